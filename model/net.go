package model

import (
	"fmt"

	"gpudae/device"
)

// Binding says what a Net is for.
type Binding struct {
	Examples int  // greatest number of examples in a minibatch of training, of rows in one of inference
	Training bool // whether Gradient will be called
}

// maxRows bounds the rows of a minibatch, replicates included.
const maxRows = 1 << 28

// Net is a DAE on a device: its parameters, and the memory of one minibatch.
// Everything is allocated by Bind. Like its device it is used by one goroutine
// at a time.
type Net struct {
	Params  device.View // [1, ParameterCount]
	Grads   device.View // [1, ParameterCount], absent unless Training
	Buffers device.View // [1, BufferCount], absent if there are none
	// Values [1, 2] is what Gradient leaves: the minibatch's mean loss, weighted
	// by the emphasis, and the sum of squares of Grads.
	Values device.View

	dae     *DAE
	dev     device.Device
	rows    int // greatest number of rows of a minibatch, replicates and links included
	blocks  []block
	fields  device.Fields
	columns device.TableColumns // absent unless the columns are mixed
	memory
	noise  *noiseMemory   // absent unless trained by denoising score matching
	code   codeMemory     // absent unless the code is stochastic
	chain  []links        // of walkback, by the size of a minibatch
	probe  minibatch      // of DenoiseAt and PullBackAt
	pull   pullBackMemory // absent until PullBackAt
	target targetMemory   // absent unless the model is a predictor
	watch  func(Sighting) // absent but for Watched
}

// memory is that of one minibatch.
type memory struct {
	clean, corrupted, mask device.View    // [rows, features]
	reconstruction         device.View    // [rows, features]
	embedded               device.View    // [rows, inputs of the first layer], of mixed columns
	byColumn               device.View    // [rows, features] -log p by column, of mixed columns
	weights                device.View    // [1, features] of the columns' losses, or absent
	continuous             device.Words   // [features] 1 for numbers, of mixed columns
	losses, squares        device.View    // [rows, 1]
	index                  device.Words   // of the minibatch
	clock                  device.Words   // of evaluation: the cursor; its step stays 0
	rates                  []device.Words // of each stage of the corruption by field, absent where all are its own
	scratch                [2]device.View
}

// Bind allocates a Net on the device, its parameters zero until SetParameters.
// It fails with a *ConfigError if the minibatch is not positive or absurdly
// large, and with the device's *device.OutOfMemoryError.
func Bind(dev device.Device, d *DAE, b Binding) (*Net, error) {
	copies := d.rowsOfExample(b)
	if b.Examples < 1 || b.Examples > maxRows/copies {
		return nil, configErrorf("batch", fmt.Sprintf("choose 1 to %d", maxRows/copies), "%d examples in a minibatch", b.Examples)
	}
	n := &Net{dae: d, dev: dev, rows: b.Examples * copies}
	a := &allocator{dev: dev}
	n.allocate(a, b)
	if a.err != nil {
		return nil, fmt.Errorf("allocating a model of %d parameters for minibatches of %d rows: %w", d.ParameterCount(), n.rows, a.err)
	}
	if err := n.uploadFields(); err != nil {
		return nil, fmt.Errorf("copying the fields: %w", err)
	}
	if err := n.uploadColumns(); err != nil {
		return nil, fmt.Errorf("copying the description of the columns: %w", err)
	}
	if err := n.uploadNoise(); err != nil {
		return nil, fmt.Errorf("copying the noise levels: %w", err)
	}
	if err := n.uploadTargetFields(); err != nil {
		return nil, fmt.Errorf("copying the field of the classes: %w", err)
	}
	if err := n.SetStep(0); err != nil {
		return nil, err
	}
	return n, nil
}

// rowsOfExample is the number of rows that an example takes in a minibatch:
// replicates and links are of training alone.
func (d *DAE) rowsOfExample(b Binding) int {
	if !b.Training {
		return 1
	}
	return d.resolved.rowsOfExample()
}

// Rows is the number of rows of a minibatch, by which a layer's products are divided.
func (d *DAE) Rows(b Binding) int { return b.Examples * d.rowsOfExample(b) }

// Bytes is the device memory that Bind asks for, at 4 bytes an element, for a
// binding that it accepts.
func (d *DAE) Bytes(b Binding) uint64 {
	n := &Net{dae: d, rows: d.Rows(b)}
	a := &allocator{}
	n.allocate(a, b)
	return a.bytes
}

func (n *Net) allocate(a *allocator, b Binding) {
	d := n.dae
	n.Params = a.matrix(1, d.ParameterCount())
	if d.BufferCount() > 0 {
		n.Buffers = a.matrix(1, d.BufferCount())
	}
	features := d.resolved.Features
	n.clean, n.corrupted, n.mask = a.matrix(n.rows, features), a.matrix(n.rows, features), a.matrix(n.rows, features)
	n.reconstruction = a.matrix(n.rows, features)
	n.losses, n.squares = a.matrix(n.rows, 1), a.matrix(n.rows, 1)
	n.index = a.words(device.IndexWords(n.rows))
	n.clock = a.words(device.ClockWords)
	if fields := d.resolved.Fields; d.resolved.grouped() {
		n.fields = device.Fields{Count: len(fields), OfColumn: a.words(features), Offsets: a.words(len(fields) + 1)}
	}
	n.allocateColumns(a)
	n.allocateNoise(a)
	n.allocateCode(a, b.Training)
	n.allocateTarget(a, b.Training)
	n.blocks = make([]block, len(d.layers))
	widest := 0
	if d.embeds() {
		widest = d.layers[0].in
	}
	for i := range d.layers {
		n.blocks[i].allocate(a, &d.layers[i], n.rows)
		widest = max(widest, d.layers[i].out)
	}
	if b.Training {
		n.Grads, n.Values = a.matrix(1, d.ParameterCount()), a.matrix(1, 2)
		n.scratch = [2]device.View{a.matrix(n.rows, widest), a.matrix(n.rows, widest)}
	}
	if a.dev != nil && a.err == nil {
		n.place()
	}
}

// place gives the blocks their views of the arenas.
func (n *Net) place() {
	d := n.dae
	for i := range n.blocks {
		b, s := &n.blocks[i], d.slots[i]
		b.value = blockParameters{part(n.Params, d.parameters, s.weight), part(n.Params, d.parameters, s.bias),
			part(n.Params, d.parameters, s.gain), part(n.Params, d.parameters, s.shift)}
		b.gradient = blockParameters{part(n.Grads, d.parameters, s.weight), part(n.Grads, d.parameters, s.bias),
			part(n.Grads, d.parameters, s.gain), part(n.Grads, d.parameters, s.shift)}
		b.runMean, b.runVar = part(n.Buffers, d.buffers, s.runMean), part(n.Buffers, d.buffers, s.runVar)
	}
}

// part is the view of one parameter in an arena, absent where either is.
func part(arena device.View, list []Parameter, slot int) device.View {
	if slot < 0 || arena.IsZero() {
		return device.View{}
	}
	p := list[slot]
	return device.MatrixOf(arena.Memory, arena.Offset+p.Offset, p.Rows, p.Columns)
}

func (n *Net) uploadFields() error {
	if n.fields.IsZero() {
		return nil
	}
	var ofColumn, offsets []uint32
	for field, width := range n.dae.resolved.Fields {
		offsets = append(offsets, uint32(len(ofColumn)))
		for range width {
			ofColumn = append(ofColumn, uint32(field))
		}
	}
	offsets = append(offsets, uint32(len(ofColumn)))
	if err := n.dev.UploadWords(n.fields.OfColumn, ofColumn); err != nil {
		return err
	}
	return n.dev.UploadWords(n.fields.Offsets, offsets)
}

// DAE returns the architecture.
func (n *Net) DAE() *DAE { return n.dae }

// MeanLoss is the first of Values [1, 1].
func (n *Net) MeanLoss() device.View { return element(n.Values, 0) }

// GradSq is the second of Values [1, 1].
func (n *Net) GradSq() device.View { return element(n.Values, 1) }

func element(v device.View, i int) device.View { return device.MatrixOf(v.Memory, v.Offset+i, 1, 1) }

// WithParameters returns a Net that shares everything with n but reads its
// weights from params [1, ParameterCount], such as their moving average.
func (n *Net) WithParameters(params device.View) *Net {
	if params.Len() != n.dae.ParameterCount() {
		panic(fmt.Sprintf("model: %d parameters for a model of %d", params.Len(), n.dae.ParameterCount()))
	}
	other := *n
	other.Params = params
	other.blocks = append([]block(nil), n.blocks...)
	other.place()
	other.chain = nil
	return &other
}

// SetParameters copies the arenas of parameters and buffers to the device.
func (n *Net) SetParameters(params, buffers []float32) error {
	n.checkLengths(params, buffers)
	if err := n.dev.Upload(n.Params, params); err != nil {
		return fmt.Errorf("copying parameters to the device: %w", err)
	}
	if n.Buffers.IsZero() {
		return nil
	}
	if err := n.dev.Upload(n.Buffers, buffers); err != nil {
		return fmt.Errorf("copying running statistics to the device: %w", err)
	}
	return nil
}

// Parameters copies the arenas from the device into params and buffers, which
// have ParameterCount and BufferCount elements.
func (n *Net) Parameters(params, buffers []float32) error {
	n.checkLengths(params, buffers)
	if err := n.dev.Download(params, n.Params); err != nil {
		return fmt.Errorf("copying parameters from the device: %w", err)
	}
	if n.Buffers.IsZero() {
		return nil
	}
	if err := n.dev.Download(buffers, n.Buffers); err != nil {
		return fmt.Errorf("copying running statistics from the device: %w", err)
	}
	return nil
}

func (n *Net) checkLengths(params, buffers []float32) {
	if len(params) != n.dae.ParameterCount() || len(buffers) != n.dae.BufferCount() {
		panic(fmt.Sprintf("model: %d parameters and %d buffers for a model of %d and %d",
			len(params), len(buffers), n.dae.ParameterCount(), n.dae.BufferCount()))
	}
}

// allocator allocates until the first failure; without a device it counts only.
type allocator struct {
	dev   device.Device
	bytes uint64
	err   error
}

func (a *allocator) matrix(rows, columns int) device.View {
	memory := a.memory(device.Float, rows, columns)
	if memory == nil {
		return device.View{Rows: rows, Columns: columns}
	}
	return device.MatrixOf(memory, 0, rows, columns)
}

func (a *allocator) words(count int) device.Words {
	memory := a.memory(device.Word, 1, count)
	if memory == nil {
		return device.Words{Len: count}
	}
	return device.WordsOf(memory, 0, count)
}

func (a *allocator) memory(t device.Type, rows, columns int) device.Memory {
	a.bytes += uint64(rows) * uint64(columns) * bytesPerFloat
	if a.dev == nil || a.err != nil {
		return nil
	}
	memory, err := a.dev.Alloc(t, rows*columns)
	if err != nil {
		a.err = err
		return nil
	}
	return memory
}
