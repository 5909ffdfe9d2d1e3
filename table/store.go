package table

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"gpudae/data"
	"gpudae/device"
)

// Store holds the rows of a table in narrow types: in memory, or in files mapped
// into it. It must not be closed as long as a device uses its table.
type Store struct {
	Notices   []Notice // of the columns and cells that were encoded
	records   device.Records
	rows      int
	low, high []float32
	release   func() error
}

// Rows is the number of rows.
func (s *Store) Rows() int { return s.rows }

// Bytes is the size of the records.
func (s *Store) Bytes() int { return len(s.records.Bytes) }

// Records are the rows in the types in which they are stored.
func (s *Store) Records() *device.Records { return &s.records }

// Table is the table as a device loads it.
func (s *Store) Table() device.Table {
	return device.Table{Rows: s.rows, Columns: len(s.records.Columns), Records: &s.records}
}

// ColumnExtremes returns the least and the greatest value of each column in the
// scale of the model, absent ones aside; NaN where all are.
func (s *Store) ColumnExtremes() (low, high []float32) { return s.low, s.high }

// Close gives the memory back.
func (s *Store) Close() error {
	release := s.release
	s.release = nil
	if release == nil {
		return nil
	}
	return release()
}

// StoreOptions say where the records of a Store lie.
type StoreOptions struct {
	// Folder is the path of the folder that holds the records if they are larger
	// than Memory bytes. A folder of the same data under the same schema is used as
	// it is, any other store of records is replaced. "": they stay in memory.
	Folder string
	Memory int
	// ShardBytes bounds the size of a file of the folder; 0: 16 GiB. A file has at
	// least 65,536 rows.
	ShardBytes int
	Threads    int // 0: all processors
}

// Encode reads the frame from its start and stores its rows as the schema says,
// in the narrowest cells: bits, codes of 8 or 16 bits with a dictionary, float32.
// Where the data turn out to have more values than those that the schema was
// fitted to, so that a column needs wider cells, they are read once more. The
// records are the same at any number of threads. It holds a few blocks of cells
// beside the records. It fails with *data.Error or the context's error.
func Encode(ctx context.Context, frame data.Frame, schema *Schema, o StoreOptions) (*Store, error) {
	encoder, err := schema.NewEncoder(frame.Info())
	if err != nil {
		return nil, err
	}
	identity := identity{Schema: schema.SHA256(), Data: frame.Info().SHA256}
	if o.Folder != "" && identity.Data != "" {
		if s, err := OpenStore(ctx, o.Folder, schema, identity.Data); err == nil {
			return s, nil
		} else if ctx.Err() != nil {
			return nil, ctx.Err()
		}
	}
	var cells []device.Cell
	for _, c := range encoder.columns {
		cells = append(cells, cellOf(c.column))
	}
	for {
		a := &attempt{StoreOptions: o, encoder: encoder, identity: identity}
		s, err := a.run(ctx, frame, cells)
		if s != nil || err != nil {
			return s, err
		}
		for j, p := range a.packers { // the cells were too narrow
			cells[j] = p.needed
		}
		if encoder, err = schema.NewEncoder(frame.Info()); err != nil {
			return nil, err
		}
	}
}

// SHA256 identifies the schema.
func (s *Schema) SHA256() string {
	sum := sha256.Sum256(s.JSON())
	return hex.EncodeToString(sum[:])
}

// attempt is a pass of Encode over the frame.
type attempt struct {
	StoreOptions
	encoder  *Encoder
	identity identity
	packers  []*packer
	columns  []device.Column
	stride   int
	sink     sink
	misfit   bool // whether a cell was too narrow: the rest of the pass only measures
}

// run returns no store where the cells turn out to be too narrow.
func (a *attempt) run(ctx context.Context, frame data.Frame, cells []device.Cell) (s *Store, err error) {
	if err := frame.Rewind(); err != nil {
		return nil, err
	}
	a.columns, a.stride = place(cells)
	for j := range a.encoder.columns {
		a.packers = append(a.packers, newPacker(a.encoder.columns[j].column, cells[j]))
	}
	rows := a.encoder.schema.Rows
	if known := frame.Info().Rows; known >= 0 {
		rows = known
	}
	if a.Folder != "" && rows*a.stride > a.Memory {
		a.sink, err = newShards(a.Folder, a.stride, a.ShardBytes)
	} else {
		a.sink, err = newMemory(rows * a.stride)
	}
	if err != nil {
		return nil, err
	}
	defer func() {
		if s == nil {
			a.sink.discard()
		}
	}()
	n, err := eachBlock(ctx, frame, func(from int, cells *data.Cells) error { return a.add(from, cells) })
	if err != nil || a.misfit {
		return nil, err
	}
	return a.finish(ctx, n)
}

// add stores a block.
func (a *attempt) add(from int, cells *data.Cells) error {
	threads := threadsOf(a.Threads)
	err := inParallel(threads, len(a.packers), func(j int) error {
		p := a.packers[j]
		if cap(p.z) < cells.Rows {
			p.z, p.contents = make([]float32, cells.Rows), make([]uint32, cells.Rows)
		}
		p.z, p.contents = p.z[:cells.Rows], p.contents[:cells.Rows]
		if err := a.encoder.encodeColumn(j, cells, from, p.z); err != nil {
			return err
		}
		p.pack()
		return nil
	})
	if err != nil {
		return err
	}
	for _, p := range a.packers {
		a.misfit = a.misfit || p.needed != p.cell
	}
	if a.misfit {
		return nil
	}
	if err := a.spill(from+cells.Rows, cells.Rows); err != nil {
		return err
	}
	records, err := a.sink.next(cells.Rows * a.stride)
	if err != nil {
		return err
	}
	const atLeast = 512 // rows that are worth a thread
	parts := max(min(threads, cells.Rows/atLeast), 1)
	inParallel(threads, parts, func(part int) error {
		from, to := part*cells.Rows/parts, (part+1)*cells.Rows/parts
		for j := range a.columns {
			write(records, a.stride, &a.columns[j], a.packers[j].contents, from, to)
		}
		return nil
	})
	return a.sink.commit()
}

// spill moves records that have outgrown the memory for them, whose number was
// not known, to files.
func (a *attempt) spill(rows, added int) error {
	held, ok := a.sink.(*memory)
	if !ok || a.Folder == "" || rows*a.stride <= a.Memory {
		return nil
	}
	files, err := newShards(a.Folder, a.stride, a.ShardBytes)
	if err != nil {
		return err
	}
	a.sink = files
	defer held.discard()
	bytes := held.slab.bytes[:held.size]
	for step := mostRowsAtATime * a.stride; len(bytes) > 0; bytes = bytes[min(step, len(bytes)):] {
		part := bytes[:min(step, len(bytes))]
		to, err := files.next(len(part))
		if err != nil {
			return err
		}
		copy(to, part)
		if err := files.commit(); err != nil {
			return err
		}
	}
	return nil
}

// finish makes the store of what the sink holds.
func (a *attempt) finish(ctx context.Context, rows int) (*Store, error) {
	s := &Store{rows: rows, Notices: a.encoder.Notices()}
	s.records.Stride, s.records.Columns = a.stride, a.columns
	for j, p := range a.packers {
		s.records.Columns[j].Values = p.values()
		s.low, s.high = append(s.low, p.low), append(s.high, p.high)
	}
	if err := a.sink.finish(ctx, s, a.identity); err != nil {
		return nil, err
	}
	return s, nil
}

// sink takes the records block by block.
type sink interface {
	// next returns zeroed bytes for the next records, valid until commit.
	next(n int) ([]byte, error)
	// commit takes them.
	commit() error
	// finish gives the store its bytes.
	finish(context.Context, *Store, identity) error
	// discard gives up what was taken.
	discard()
}

// memory is a sink in memory.
type memory struct {
	slab  slab
	size  int // bytes that are taken
	added int // bytes that next returned
}

// newMemory reserves so many bytes; more come as they are needed.
func newMemory(expected int) (*memory, error) {
	m := &memory{}
	if expected > 0 {
		if err := m.reserve(expected); err != nil {
			return nil, err
		}
	}
	return m, nil
}

func (m *memory) reserve(n int) error {
	if err := m.slab.reserve(n); err != nil {
		return fmt.Errorf("%d bytes for the records of the table: %w; let them lie in a folder", n, err)
	}
	return nil
}

func (m *memory) next(n int) ([]byte, error) {
	if end := m.size + n; end > len(m.slab.bytes) {
		if err := m.reserve(max(end, len(m.slab.bytes)+len(m.slab.bytes)/4)); err != nil {
			return nil, err
		}
	}
	m.added = n
	return m.slab.bytes[m.size : m.size+n], nil
}

func (m *memory) commit() error {
	m.size += m.added
	return nil
}

func (m *memory) finish(_ context.Context, s *Store, _ identity) error {
	s.records.Bytes = m.slab.bytes[:m.size:m.size]
	s.release = m.slab.free
	return nil
}

func (m *memory) discard() { m.slab.free() }
