// Package device is the contract between the model and the machine that runs
// it: memory, and the operations of one training step
//
//	x  --corrupt-->  x̃  --dense, activate, normalise-->  p(x|h)  --likelihood-->  gradients  -->  update
//
// A method of Device is a shape of computation; its variants are the
// enumerations of kind.go. Everything that changes from step to step (the step
// number, the position within the epoch, the learning rate) lies in device
// memory, so that a device may record the operations of a step once and replay
// them.
//
// The package must not know models, files or any particular machine. Package
// devicetest holds the suite that an implementation passes; package reference
// is the implementation that the others are compared with.
package device

import "context"

// Device runs operations in the order of the calls, possibly later than the
// call; Sync waits for them. Operations return nothing: a device that fails
// ignores the operations that follow and Sync, Download and a Program's call
// report the first failure. An operation whose arguments do not fit together
// panics (see the Check method of each argument struct), since that is an error
// of the program and not of the machine. A Device is used by one goroutine at a
// time. No operation allocates memory, on the device or the host.
//
// Results do not depend on the number of threads, and repeat bit for bit.
type Device interface {
	// Info describes the device.
	Info() Info
	// Close waits for outstanding work and releases everything that the device owns.
	Close() error
	// Alloc returns n zeroed elements. It fails with *OutOfMemoryError.
	Alloc(t Type, n int) (Memory, error)
	// Load makes a table resident in the type in which it is stored. It fails
	// with *OutOfMemoryError or the context's error. The table must not be
	// changed until Close: a device that shares the host's memory reads it there,
	// and so does one whose own memory is too small (see Info.Holds).
	Load(ctx context.Context, t Table) (Dataset, error)
	// Upload copies src to dst, which has as many elements.
	Upload(dst View, src []float32) error
	// Download waits for the operations before it and copies src to dst.
	Download(dst []float32, src View) error
	// UploadWords copies src to dst.
	UploadWords(dst Words, src []uint32) error
	// DownloadWords waits for the operations before it and copies src to dst.
	DownloadWords(dst []uint32, src Words) error
	// Record returns a program that repeats the operations issued by body, with
	// the same arguments. body must not call anything but operations, and may be
	// called once, or at each run. Recording runs no operation. Of a whole training
	// step, from Gather to Update and Tick, only what Update and Tick write, and the
	// values that Tick logs, need be in memory afterwards: what its operations leave
	// to each other may not, and steps may be put off until something else is asked for.
	Record(body func()) (Program, error)
	// Sync waits for all operations and returns the first failure, if any.
	Sync() error

	// Gather makes a minibatch: rows of the resident data set in the order of
	// the epoch, widened to float32.
	Gather(GatherArgs)
	// Corrupt draws x̃ ~ C(x̃|x), one stage of a composition.
	Corrupt(CorruptArgs)
	// Embed makes the network's input of the columns of a table.
	Embed(EmbedArgs)
	// EmbedBackward computes the gradient of Embed's vectors.
	EmbedBackward(EmbedBackwardArgs)
	// Dense computes Y = act(X·Wᵀ + b).
	Dense(DenseArgs)
	// DenseBackward computes the gradients of Dense before its activation.
	DenseBackward(DenseBackwardArgs)
	// Activate computes Y = act(X).
	Activate(ActivateArgs)
	// ActivateBackward computes DX = DY ⊙ act'(X).
	ActivateBackward(ActivateBackwardArgs)
	// Normalize computes layer or batch normalisation.
	Normalize(NormalizeArgs)
	// NormalizeBackward computes its gradients (in training mode).
	NormalizeBackward(NormalizeBackwardArgs)
	// Dropout zeroes units and rescales the others; it is its own backward pass.
	Dropout(DropoutArgs)
	// Likelihood computes -log p(x|h) of each example and its gradient.
	Likelihood(LikelihoodArgs)
	// Mean computes the reconstruction E[x|h] from the decoder's output.
	Mean(MeanArgs)
	// Reduce sums, per row or in all, in an order that depends on the shape only.
	Reduce(ReduceArgs)
	// Combine computes Dst = α·A + β·B.
	Combine(CombineArgs)
	// Diffuse draws a noise level for each row, and then x̃ ~ N(x, σ²I).
	Diffuse(DiffuseArgs)
	// Condition makes a score model's input of x̃ and its noise level.
	Condition(ConditionArgs)
	// Blend computes Out = α·X + β·Y with coefficients of the row's noise level.
	Blend(BlendArgs)
	// ScoreMatch computes the loss of denoising score matching and its gradient.
	ScoreMatch(ScoreMatchArgs)
	// SampleCode draws h ~ q(h|x̃) and computes its divergence from the prior.
	SampleCode(SampleCodeArgs)
	// SampleCodeBackward computes the gradients of SampleCode.
	SampleCodeBackward(SampleCodeBackwardArgs)
	// Importance computes the importance-weighted bound and its weights.
	Importance(ImportanceArgs)
	// ScaleRows multiplies each row by a number of its own.
	ScaleRows(ScaleRowsArgs)
	// Draw draws x ~ p(x|h).
	Draw(DrawArgs)
	// Update applies an optimiser to all parameters at once.
	Update(UpdateArgs)
	// Tick logs the step's scalars and advances the clock.
	Tick(TickArgs)
}

// Info describes a device.
type Info struct {
	Name        string // as in --device: "cpu", "reference", "cuda:0"
	Description string // for a person: model, cores, instruction set
	Threads     int    // worker threads, 0 where the word has no meaning
	MemoryTotal uint64 // bytes, 0 if unknown
	MemoryFree  uint64 // bytes, 0 if unknown
	Mapped      uint64 // bytes of data sets that the device reads in the host's memory, for want of room in its own
}

// Holds reports whether a device with memory of its own has room for a data set
// of that many bytes and, beside it, a sixteenth of its memory for a model.
// Where it has not, Load leaves the rows in the host's memory, and only those of
// a minibatch and of its donors cross over to the device.
func (i Info) Holds(bytes uint64) bool {
	margin := i.MemoryTotal / 16
	return i.MemoryFree > margin && bytes <= i.MemoryFree-margin
}

// Program is a recorded run of operations. It returns the device's first failure.
type Program func() error

// Type is the type of the elements of a Memory.
type Type uint8

const (
	// Float is a floating-point number, float32 on every device but the
	// reference, where it is float64.
	Float Type = iota
	// Word is an unsigned integer of 32 bits.
	Word
)

// Memory is a contiguous array on a device, owned by it until Close. Only the
// device that allocated it can look inside.
type Memory interface {
	// Type is the type of the elements.
	Type() Type
	// Len is the number of elements.
	Len() int
}

// Dataset is a table resident on a device.
type Dataset interface {
	// Shape returns the numbers of rows and columns.
	Shape() (rows, columns int)
}

// Table is a matrix on the host in the type in which it is stored; exactly one
// of Uint8, Float32 and Records is set. An element is widened to Scale·value,
// rounded once to float32 (Scale applies to Uint8 only; float32 values are taken
// as they are).
type Table struct {
	Rows, Columns int
	Uint8         []uint8
	Float32       []float32
	Records       *Records
	Scale         float32
}

// At returns the widened element i of the row-major table.
func (t *Table) At(i int) float32 {
	switch {
	case t.Records != nil:
		return t.Records.At(i/t.Columns, i%t.Columns)
	case t.Float32 != nil:
		return t.Float32[i]
	default:
		return float32(t.Scale * float32(t.Uint8[i]))
	}
}

// Check panics unless the table is stored in exactly one way, in full.
func (t *Table) Check() {
	if t.Records != nil && t.Uint8 == nil && t.Float32 == nil {
		t.Records.Check(t.Rows, t.Columns)
		return
	}
	if t.Records != nil || (t.Uint8 == nil) == (t.Float32 == nil) || len(t.Uint8)+len(t.Float32) != t.Rows*t.Columns {
		panicf("load %d×%d from %d uint8 and %d float32 values (records %t)", t.Rows, t.Columns, len(t.Uint8), len(t.Float32), t.Records != nil)
	}
}

// Size is the number of bytes in which the table is stored.
func (t *Table) Size() uint64 {
	if t.Records != nil {
		return uint64(len(t.Records.Bytes))
	}
	return uint64(len(t.Uint8)) + 4*uint64(len(t.Float32))
}

// View is a row-major matrix inside a Memory of type Float. Views are values;
// they may overlap, but an operation's outputs may only overlap its inputs
// where its documentation says so. The zero View stands for an absent argument.
type View struct {
	Memory        Memory
	Offset        int
	Rows, Columns int
}

// Len is the number of elements.
func (v View) Len() int { return v.Rows * v.Columns }

// IsZero reports whether the view is absent.
func (v View) IsZero() bool { return v.Memory == nil }

// Reshape returns the same elements with other dimensions of the same product.
func (v View) Reshape(rows, columns int) View {
	if rows*columns != v.Len() {
		panicf("reshape of %d×%d to %d×%d", v.Rows, v.Columns, rows, columns)
	}
	v.Rows, v.Columns = rows, columns
	return v
}

// Top returns the first rows of the view.
func (v View) Top(rows int) View {
	if rows < 0 || rows > v.Rows {
		panicf("top %d rows of %d", rows, v.Rows)
	}
	v.Rows = rows
	return v
}

// Words is a run of elements inside a Memory of type Word. The zero Words
// stands for an absent argument.
type Words struct {
	Memory Memory
	Offset int
	Len    int
}

// IsZero reports whether the words are absent.
func (w Words) IsZero() bool { return w.Memory == nil }

// MatrixOf returns a view of rows×columns elements of m from offset on.
func MatrixOf(m Memory, offset, rows, columns int) View {
	if m.Type() != Float || offset < 0 || rows < 0 || columns < 0 || offset+rows*columns > m.Len() {
		panicf("view %d×%d at %d of memory of type %d and %d elements", rows, columns, offset, m.Type(), m.Len())
	}
	return View{Memory: m, Offset: offset, Rows: rows, Columns: columns}
}

// WordsOf returns n words of m from offset on.
func WordsOf(m Memory, offset, n int) Words {
	if m.Type() != Word || offset < 0 || n < 0 || offset+n > m.Len() {
		panicf("%d words at %d of memory of type %d and %d elements", n, offset, m.Type(), m.Len())
	}
	return Words{Memory: m, Offset: offset, Len: n}
}
