package data

import (
	"bufio"
	"fmt"
	"io"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/encoding/thrift"
	parquetformat "github.com/parquet-go/parquet-go/format"
)

// parquetColumn reads a column by ranges of rows. The rows after the last that
// were read are at hand; others are sought.
type parquetColumn struct {
	number int // of the column in the table, from 0
	float  func(parquet.Value) float32
	chunks []parquet.ColumnChunk // by group of rows

	next   int // row that comes next
	chunk  int // to which it belongs
	pages  parquet.Pages
	page   parquet.Page
	values parquet.ValueReader // of the page
}

func newParquetColumn(f *parquet.File, column *parquet.Column, number int) (*parquetColumn, error) {
	float, err := parquetFloat(column)
	if err != nil {
		return nil, err
	}
	return &parquetColumn{number: number, float: float, chunks: chunksOf(f, column.Index())}, nil
}

// chunksOf are the parts of a leaf, by group of rows.
func chunksOf(f *parquet.File, leaf int) []parquet.ColumnChunk {
	var chunks []parquet.ColumnChunk
	for _, group := range f.RowGroups() {
		chunks = append(chunks, group.ColumnChunks()[leaf])
	}
	return chunks
}

// each calls visit with the values of rows from, ..., from+n-1.
func (c *parquetColumn) each(from, n int, visit func(row int, v parquet.Value) error) error {
	if c.pages == nil || from != c.next {
		if err := c.seek(from); err != nil {
			return err
		}
	}
	var buffer [1024]parquet.Value
	for end := from + n; c.next < end; {
		if c.values == nil {
			if err := c.turn(); err != nil {
				return err
			}
		}
		got, err := c.values.ReadValues(buffer[:min(len(buffer), end-c.next)])
		for _, v := range buffer[:got] {
			if err := visit(c.next, v); err != nil {
				c.release() // the rest of these values is lost
				return err
			}
			c.next++
		}
		switch {
		case err == io.EOF:
			c.leave()
		case err != nil:
			return err
		case got == 0:
			return io.ErrNoProgress
		}
	}
	return nil
}

// seek goes to a row.
func (c *parquetColumn) seek(row int) error {
	c.release()
	before := 0
	for i, chunk := range c.chunks {
		rows := int(chunk.NumValues())
		if row < before+rows {
			c.chunk, c.next, c.pages = i, row, chunk.Pages()
			return c.pages.SeekToRow(int64(row - before))
		}
		before += rows
	}
	return io.ErrUnexpectedEOF
}

// turn goes to the next page, in the next group of rows after the last.
func (c *parquetColumn) turn() error {
	for {
		page, err := c.pages.ReadPage()
		if err == nil {
			c.page, c.values = page, page.Values()
			return nil
		}
		if err != io.EOF {
			return err
		}
		if c.chunk+1 == len(c.chunks) {
			return io.ErrUnexpectedEOF
		}
		if err := c.pages.Close(); err != nil {
			return err
		}
		c.chunk++
		c.pages = c.chunks[c.chunk].Pages()
	}
}

// leave gives back the page.
func (c *parquetColumn) leave() {
	if c.page != nil {
		parquet.Release(c.page)
	}
	c.page, c.values = nil, nil
}

// release gives back all memory.
func (c *parquetColumn) release() {
	c.leave()
	if c.pages != nil {
		c.pages.Close()
	}
	c.pages = nil
}

// Limits of a page. Writers make pages of 1 MB, or of 20,000 values.
const (
	pageLongest = 1 << 28 // bytes, decompressed
	pageMost    = 1 << 26 // values
)

// checkPages compares what the headers of all pages declare with the file, since
// the decoder allocates what they say, and with what comes out of the pages.
func checkPages(f *parquet.File, in *input) error {
	leaves := f.Root().Columns()
	for g, group := range f.Metadata().RowGroups {
		if group.NumRows < 0 || group.NumRows > f.NumRows() {
			return &Error{Path: in.path, Problem: fmt.Sprintf("declares %d rows in a group, and %d in all", group.NumRows, f.NumRows()), Remedy: remedyRewrite}
		}
		for c := range group.Columns {
			if err := checkChunk(&group.Columns[c].MetaData, in); err != nil {
				return parquetError(in.path, -1, "", err)
			}
		}
		for c, leaf := range leaves {
			if !leaf.Leaf() || leaf.Repeated() {
				continue
			}
			if held := group.Columns[leaf.Index()].MetaData.NumValues; held != group.NumRows {
				return &Error{Path: in.path, Column: c + 1, ColumnName: leaf.Name(), Remedy: remedyRewrite,
					Problem: fmt.Sprintf("has %d values in group %d, which has %d rows", held, g+1, group.NumRows)}
			}
		}
	}
	var rows int64
	for _, group := range f.Metadata().RowGroups {
		rows += group.NumRows
	}
	if rows != f.NumRows() {
		return &Error{Path: in.path, Problem: fmt.Sprintf("declares %d rows, but its groups have %d", f.NumRows(), rows), Remedy: remedyRewrite}
	}
	return nil
}

// checkChunk walks the pages of a column in one group of rows: their headers, and
// whether they decompress to what those declare.
func checkChunk(m *parquetformat.ColumnMetaData, in *input) error {
	start := m.DataPageOffset
	if m.DictionaryPageOffset > 0 {
		start = min(start, m.DictionaryPageOffset)
	}
	if start < 0 || m.TotalCompressedSize < 0 || start > in.size || m.TotalCompressedSize > in.size-start {
		return &Error{Problem: fmt.Sprintf("is truncated: it declares %d bytes of a column at byte %d, of %d", m.TotalCompressedSize, start, in.size), Remedy: remedyRewrite}
	}
	end := start + m.TotalCompressedSize
	for at, values := start, int64(0); at < end && values < m.NumValues; {
		section := io.NewSectionReader(in.file, at, end-at)
		counted := &countingReader{Reader: bufio.NewReaderSize(section, 256)}
		var h parquetformat.PageHeader
		if err := thrift.NewDecoder(new(thrift.CompactProtocol).NewReader(counted)).Decode(&h); err != nil {
			return err
		}
		compressed := int64(h.CompressedPageSize)
		at += counted.n + compressed
		dictionary := h.Type == parquetformat.DictionaryPage
		count := int64(h.DataPageHeader.V.NumValues) + int64(h.DataPageHeaderV2.V.NumValues)
		if dictionary {
			count = int64(h.DictionaryPageHeader.V.NumValues)
		}
		switch {
		case compressed < 0 || at > end || h.UncompressedPageSize < 0 || count < 0:
			return &Error{Problem: fmt.Sprintf("has a page of %d bytes and %d values that the file has no room for", compressed, count), Remedy: remedyRewrite}
		case h.UncompressedPageSize > pageLongest:
			return &Error{Problem: fmt.Sprintf("has a page of %d bytes, more than the %d that are supported", h.UncompressedPageSize, pageLongest), Remedy: "write it with smaller pages"}
		case count > pageMost || dictionary && count > 8*int64(h.UncompressedPageSize):
			return &Error{Problem: fmt.Sprintf("has a page of %d values, more than the %d that are supported", count, pageMost), Remedy: "write it with smaller pages"}
		}
		if skip, declared, ok := compressedPart(&h, compressed); skip < 0 || skip > compressed || declared < 0 {
			return &Error{Problem: fmt.Sprintf("has a page of %d bytes with levels of %d", compressed, skip), Remedy: remedyRewrite}
		} else if ok {
			page := io.NewSectionReader(in.file, at-compressed+skip, compressed-skip)
			if err := checkInflation(m.Codec, page, declared); err != nil {
				return err
			}
		}
		if !dictionary {
			values += count
		}
	}
	return nil
}

// countingReader counts what is read through it.
type countingReader struct {
	*bufio.Reader
	n int64
}

func (r *countingReader) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	r.n += int64(n)
	return n, err
}

func (r *countingReader) ReadByte() (byte, error) {
	b, err := r.Reader.ReadByte()
	if err == nil {
		r.n++
	}
	return b, err
}
