package devicetest

import "gpudae/device"

// minibatch is the memory of an experiment that runs on the device under test
// alone: examples and what corruption makes of them.
type minibatch struct {
	rig        *rig
	replicates int
	x, y, mask device.View  // clean, corrupted, destroyed: [examples·replicates, features]
	index      device.Words // of the rows of x
	clock      device.Words
}

func (r *rig) newMinibatch(examples, features, replicates int) *minibatch {
	n := examples * replicates
	floats, err := r.dev.Alloc(device.Float, 3*n*features)
	r.must(err)
	words, err := r.dev.Alloc(device.Word, device.ClockWords+device.IndexWords(n))
	r.must(err)
	return &minibatch{
		rig: r, replicates: replicates,
		x:     device.MatrixOf(floats, 0, n, features),
		y:     device.MatrixOf(floats, n*features, n, features),
		mask:  device.MatrixOf(floats, 2*n*features, n, features),
		clock: device.WordsOf(words, 0, device.ClockWords),
		index: device.WordsOf(words, device.ClockWords, device.IndexWords(n)),
	}
}

func (m *minibatch) setClock(c device.Clock) {
	m.rig.Helper()
	m.rig.must(m.rig.dev.UploadWords(m.clock, c.Words()))
}

func (m *minibatch) gather(data device.Dataset, part device.Rows, shuffle bool, seed uint64) {
	m.rig.dev.Gather(device.GatherArgs{Data: data, Part: part, Shuffle: shuffle, Seed: seed, Replicates: m.replicates,
		Clock: m.clock, X: m.x, Index: m.index})
}

// corrupt draws y and mask from x, with the arguments given completed.
func (m *minibatch) corrupt(a device.CorruptArgs) {
	a.From, a.To, a.Mask, a.Index, a.Clock, a.Replicates = m.x, m.y, m.mask, m.index, m.clock, m.replicates
	m.rig.dev.Corrupt(a)
}

// rows are the data set's rows of the minibatch; it waits for the device.
func (m *minibatch) rows() []uint32 { return m.words()[:m.x.Rows] }

// positions are the rows' positions in their part.
func (m *minibatch) positions() []uint32 { return m.words()[m.x.Rows:] }

func (m *minibatch) words() []uint32 {
	m.rig.Helper()
	all := make([]uint32, m.index.Len)
	m.rig.must(m.rig.dev.DownloadWords(all, m.index))
	return all
}

// read downloads a view.
func (r *rig) read(v device.View) []float32 {
	r.Helper()
	x := make([]float32, v.Len())
	r.must(r.dev.Download(x, v))
	return x
}
