package table

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"runtime"

	"gpudae/data"
	"gpudae/device"
	"gpudae/internal/atomicfile"
)

// A store of records on disk is a folder: an index, a line
// with its own SHA-256 and then JSON that says what the records are of, where the columns lie, how long the files are and the checksum
// of each of their blocks; and the files, which hold nothing but the records, one
// after the other. All files but the last hold a multiple of 65,536 rows, so that
// they are whole pages on any machine and can be mapped one behind the other.
const (
	indexName      = "index"
	shardPattern   = "%05d.records"
	shardNames     = "[0-9]*[0-9].records" // as filepath.Match has it
	recordsVersion = 1
	rowsUnit       = 1 << 16
	shardBytes     = 16 << 30 // by default
	blockBytes     = 1 << 22  // that a checksum is of
	maxIndexBytes  = 1 << 30
)

// identity says what records are of.
type identity struct {
	Schema string `json:"schema_sha256"`
	Data   string `json:"data_sha256"`
}

// recordsIndex is the index of a store of records.
type recordsIndex struct {
	Version int `json:"records"`
	identity
	Rows    int           `json:"rows"`
	Stride  int           `json:"stride"`
	Columns []indexColumn `json:"columns"`
	Shards  []indexShard  `json:"shards"`
	Notices []Notice      `json:"notices"`
}

// indexColumn is a column in the records; Values and Extremes are float32 numbers, little-endian.
type indexColumn struct {
	Cell     string `json:"cell"`
	Offset   int    `json:"offset"`
	Coded    bool   `json:"coded"` // whether there are Values
	Values   []byte `json:"values,omitempty"`
	Extremes []byte `json:"extremes"`
}

type indexShard struct {
	Name      string   `json:"name"`
	Bytes     int      `json:"bytes"`
	Checksums []uint32 `json:"checksums"` // CRC-32C of each block of blockBytes
}

// shards is a sink in files. They are written in a folder of another name, which
// takes its own when all of them are complete.
type shards struct {
	folder, temporary string
	limit             int // bytes of a file
	file              *os.File
	written           []indexShard
	checksum          uint32
	scratch           []byte
}

func newShards(folder string, stride, limit int) (*shards, error) {
	if limit <= 0 {
		limit = shardBytes
	}
	unit := rowsUnit * max(stride, 1)
	if err := replaceable(folder); err != nil {
		return nil, err
	}
	parent := filepath.Dir(filepath.Clean(folder))
	if err := os.MkdirAll(parent, 0o777); err != nil {
		return nil, fmt.Errorf("%s: making the folder of records: %w", folder, err)
	}
	temporary, err := os.MkdirTemp(parent, "."+filepath.Base(folder)+".*.tmp")
	if err != nil {
		return nil, fmt.Errorf("%s: making the folder of records: %w", folder, err)
	}
	return &shards{folder: folder, temporary: temporary, limit: max(limit/unit, 1) * unit}, nil
}

// replaceable refuses to take the place of what is no store of records.
func replaceable(folder string) error {
	entries, err := os.ReadDir(folder)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("%s: looking for records: %w", folder, err)
	}
	if len(entries) == 0 || holdsRecords(entries) {
		return nil
	}
	return &data.Error{Path: folder, Problem: "is a folder of other things than records", Remedy: "name another folder, or remove it"}
}

// holdsRecords reports whether a folder with these entries is a store of records and nothing else.
func holdsRecords(entries []fs.DirEntry) bool {
	indexed := false
	for _, entry := range entries {
		shard, err := filepath.Match(shardNames, entry.Name())
		if entry.Name() == indexName {
			indexed = true
		} else if err != nil || !shard {
			return false
		}
	}
	return indexed
}

func (s *shards) next(n int) ([]byte, error) {
	if cap(s.scratch) < n {
		s.scratch = make([]byte, n)
	}
	s.scratch = s.scratch[:n]
	clear(s.scratch)
	return s.scratch, nil
}

func (s *shards) commit() error {
	for part := s.scratch; len(part) > 0; {
		if s.file == nil {
			if err := s.start(); err != nil {
				return err
			}
		}
		shard := &s.written[len(s.written)-1]
		n := min(len(part), s.limit-shard.Bytes, blockBytes-shard.Bytes%blockBytes)
		if _, err := s.file.Write(part[:n]); err != nil {
			return s.failed("writing", err)
		}
		s.checksum = crc32.Update(s.checksum, castagnoli(), part[:n])
		shard.Bytes += n
		if shard.Bytes%blockBytes == 0 {
			s.sum(shard)
		}
		if shard.Bytes == s.limit {
			if err := s.end(); err != nil {
				return err
			}
		}
		part = part[n:]
	}
	return nil
}

func castagnoli() *crc32.Table { return crc32.MakeTable(crc32.Castagnoli) }

func (s *shards) failed(doing string, err error) error {
	return fmt.Errorf("%s: %s the records: %w; free some space, or name a folder on another disk", s.folder, doing, err)
}

func (s *shards) start() (err error) {
	name := fmt.Sprintf(shardPattern, len(s.written))
	if s.file, err = os.Create(filepath.Join(s.temporary, name)); err != nil {
		return s.failed("creating", err)
	}
	s.written = append(s.written, indexShard{Name: name})
	return nil
}

// sum ends a block.
func (s *shards) sum(shard *indexShard) {
	shard.Checksums = append(shard.Checksums, s.checksum)
	s.checksum = 0
}

// end completes a file.
func (s *shards) end() error {
	if s.file == nil {
		return nil
	}
	shard := &s.written[len(s.written)-1]
	if shard.Bytes%blockBytes != 0 {
		s.sum(shard)
	}
	file := s.file
	s.file = nil
	err := file.Sync()
	if closed := file.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return s.failed("flushing", err)
	}
	return nil
}

func (s *shards) finish(ctx context.Context, store *Store, of identity) error {
	if err := s.end(); err != nil {
		return err
	}
	index := recordsIndex{Version: recordsVersion, identity: of, Rows: store.rows, Stride: store.records.Stride, Shards: s.written, Notices: store.Notices}
	for j, c := range store.records.Columns {
		index.Columns = append(index.Columns, indexColumn{c.Cell.String(), c.Offset, c.Values != nil, floatBytes(c.Values), floatBytes([]float32{store.low[j], store.high[j]})})
	}
	if err := index.write(filepath.Join(s.temporary, indexName)); err != nil {
		return err
	}
	if err := takePlace(s.temporary, s.folder); err != nil {
		return s.failed("naming", err)
	}
	var err error
	store.records.Bytes, store.release, err = index.bytes(s.folder)
	return err
}

// takePlace gives a folder its name; an older one of that name goes.
func takePlace(temporary, folder string) error {
	old := temporary + ".old"
	err := os.Rename(folder, old)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.Rename(temporary, folder); err != nil {
		os.Rename(old, folder)
		return err
	}
	return os.RemoveAll(old)
}

func (s *shards) discard() {
	if s.file != nil {
		s.file.Close()
	}
	os.RemoveAll(s.temporary)
}

func (x *recordsIndex) write(path string) error {
	text, err := json.Marshal(x)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return atomicfile.Write(path, func(w io.Writer) error {
		_, err := w.Write(seal(text))
		return err
	})
}

// seal puts a checksum before an index.
func seal(index []byte) []byte {
	sum := sha256.Sum256(index)
	return append(hex.AppendEncode(nil, sum[:]), append([]byte("\n"), index...)...)
}

// bytes maps the files.
func (x *recordsIndex) bytes(folder string) ([]byte, func() error, error) {
	var paths []string
	var sizes []int
	for _, shard := range x.Shards {
		paths, sizes = append(paths, filepath.Join(folder, shard.Name)), append(sizes, shard.Bytes)
	}
	return mapShards(paths, sizes)
}

func floatBytes(values []float32) []byte {
	var b []byte
	for _, v := range values {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(v))
	}
	return b
}

func bytesFloats(b []byte) []float32 {
	values := make([]float32, len(b)/4)
	for i := range values {
		values[i] = math.Float32frombits(binary.LittleEndian.Uint32(b[4*i:]))
	}
	return values
}

// OpenStore opens a folder of records that Encode wrote, having checked that
// they are of this schema and of the data with this SHA-256, and that every
// block of them is as it was written. It fails with *data.Error or the context's
// error.
func OpenStore(ctx context.Context, folder string, schema *Schema, dataSHA256 string) (*Store, error) {
	const remedy = "remove the folder, and encode the data again"
	fail := func(format string, arguments ...any) (*Store, error) {
		return nil, &data.Error{Path: folder, Problem: fmt.Sprintf(format, arguments...), Remedy: remedy}
	}
	index, problem := readIndex(filepath.Join(folder, indexName))
	if problem == "" && index.identity != (identity{schema.SHA256(), dataSHA256}) {
		problem = "holds records of other data or of another schema"
	}
	if problem == "" {
		problem = index.check(len(schema.Used()))
	}
	if problem != "" {
		return fail("%s", problem)
	}
	for _, shard := range index.Shards {
		if err := shard.verify(ctx, filepath.Join(folder, shard.Name)); err != nil {
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			return fail("%s: %v", shard.Name, err)
		}
	}
	s := &Store{rows: index.Rows, Notices: index.Notices}
	s.records.Stride = index.Stride
	for _, c := range index.Columns {
		s.records.Columns = append(s.records.Columns, c.column())
		extremes := bytesFloats(c.Extremes)
		s.low, s.high = append(s.low, extremes[0]), append(s.high, extremes[1])
	}
	var err error
	if s.records.Bytes, s.release, err = index.bytes(folder); err != nil {
		return nil, fmt.Errorf("%s: %w", folder, err)
	}
	return s, nil
}

// readIndex reads the index, or says what is wrong with it.
func readIndex(path string) (*recordsIndex, string) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return nil, "holds no " + indexName
	case info.Size() > maxIndexBytes:
		return nil, fmt.Sprintf("has an %s of %d bytes, more than one has", indexName, info.Size())
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err.Error()
	}
	return parseIndex(text)
}

func parseIndex(text []byte) (*recordsIndex, string) {
	var x recordsIndex
	_, index, _ := bytes.Cut(text, []byte("\n"))
	if !bytes.Equal(text, seal(index)) {
		return nil, indexName + " is not as it was written: its checksum differs"
	}
	if err := json.Unmarshal(index, &x); err != nil || x.Version != recordsVersion {
		return nil, fmt.Sprintf("%s is no index of records of version %d", indexName, recordsVersion)
	}
	return &x, ""
}

// check says what does not fit together in an index.
func (x *recordsIndex) check(columns int) string {
	total := 0
	for i, shard := range x.Shards {
		whole := shard.Bytes%(rowsUnit*max(x.Stride, 1)) == 0
		blocks := (shard.Bytes + blockBytes - 1) / blockBytes
		if shard.Name != fmt.Sprintf(shardPattern, i) || shard.Bytes <= 0 || shard.Bytes > math.MaxInt-total || len(shard.Checksums) != blocks || !whole && i+1 < len(x.Shards) {
			return fmt.Sprintf("%s: its file %d does not fit", indexName, i+1)
		}
		total += shard.Bytes
	}
	switch {
	case x.Rows < 0 || x.Stride < 0 || x.Stride > 0 && x.Rows > math.MaxInt/x.Stride || total != x.Rows*x.Stride:
		return fmt.Sprintf("%s: %d rows of %d bytes do not fit %d bytes of files", indexName, x.Rows, x.Stride, total)
	case len(x.Columns) != columns:
		return fmt.Sprintf("%s: %d columns of %d", indexName, len(x.Columns), columns)
	}
	for j, c := range x.Columns {
		if !c.fits(x.Stride) {
			return fmt.Sprintf("%s: column %d does not fit", indexName, j+1)
		}
	}
	return ""
}

func (c indexColumn) cell() (device.Cell, bool) {
	for _, cell := range device.Cells() {
		if cell.String() == c.Cell {
			return cell, true
		}
	}
	return 0, false
}

// fits reports whether the column lies in a record as device.Records demands.
func (c indexColumn) fits(stride int) bool {
	cell, known := c.cell()
	size := map[device.Cell]int{device.CellBit: 1, device.CellUint8: 8, device.CellUint16: 16, device.CellFloat32: 32}[cell]
	first := c.Offset
	if cell != device.CellBit && first <= stride {
		first *= 8
	}
	return known && c.Offset >= 0 && stride <= math.MaxInt32 && first+size <= 8*stride && first%size == 0 && (size <= 8 || 8*stride%size == 0) &&
		len(c.Values)%4 == 0 && len(c.Values)/4 <= cell.Codes() && (c.Coded || len(c.Values) == 0) && len(c.Extremes) == 8
}

func (c indexColumn) column() device.Column {
	cell, _ := c.cell()
	column := device.Column{Cell: cell, Offset: c.Offset}
	if c.Coded {
		column.Values = bytesFloats(c.Values)
	}
	return column
}

// verify checks the length of the file and each block of it.
func (s indexShard) verify(ctx context.Context, path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	if info, err := file.Stat(); err != nil {
		return err
	} else if info.Size() != int64(s.Bytes) {
		return fmt.Errorf("has %d bytes where %d were written", info.Size(), s.Bytes)
	}
	return inParallel(runtime.GOMAXPROCS(0), len(s.Checksums), func(i int) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		from := i * blockBytes
		block := make([]byte, min(blockBytes, s.Bytes-from))
		if _, err := file.ReadAt(block, int64(from)); err != nil {
			return err
		}
		if crc32.Checksum(block, castagnoli()) != s.Checksums[i] {
			return fmt.Errorf("the bytes from %d on are not as they were written: their checksum differs", from)
		}
		return nil
	})
}
