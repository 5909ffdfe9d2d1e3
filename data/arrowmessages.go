package data

import (
	"encoding/binary"
	"fmt"
	"io"
)

// arrowMessages passes the messages of an Arrow stream on, having checked that the
// lengths in their descriptions are of things that are there: the library
// allocates by them. A message is a description, a FlatBuffer of the format's
// Message.fbs and Schema.fbs, and a body.
type arrowMessages struct {
	from    io.Reader
	size    int64  // of the file
	pending []byte // a description that has been checked
	body    int64  // what is left of a body
	began   bool   // whether the first message, the schema, has come
	ended   bool
}

// Read implements io.Reader. It fails with *Error.
func (m *arrowMessages) Read(p []byte) (int, error) {
	if len(m.pending) == 0 && m.body == 0 {
		if m.ended {
			return 0, io.EOF
		}
		if err := m.next(); err != nil {
			return 0, err
		}
	}
	if len(m.pending) > 0 {
		n := copy(p, m.pending)
		m.pending = m.pending[n:]
		return n, nil
	}
	n, err := m.from.Read(p[:min(int64(len(p)), m.body)])
	m.body -= int64(n)
	if err == io.EOF && m.body > 0 {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// next reads the description of a message: its length, after a mark that old files
// lack, and its bytes. A length of 0 ends the stream.
func (m *arrowMessages) next() error {
	head := make([]byte, 4, 8)
	if _, err := io.ReadFull(m.from, head); err != nil {
		return err
	}
	if binary.LittleEndian.Uint32(head) == 0xFFFFFFFF {
		head = head[:8]
		if _, err := io.ReadFull(m.from, head[4:]); err != nil {
			return unexpectedEnd(err)
		}
	}
	length := int64(int32(binary.LittleEndian.Uint32(head[len(head)-4:])))
	if limit := min(arrowDescription, m.size); length < 0 || length > limit {
		return arrowDamage("a description of %d bytes exceeds limit %d", length, limit)
	}
	m.pending = append(head, make([]byte, length)...)
	if length == 0 {
		m.ended = true
		return nil
	}
	description := m.pending[len(head):]
	if _, err := io.ReadFull(m.from, description); err != nil {
		return unexpectedEnd(err)
	}
	return m.check(description)
}

func unexpectedEnd(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

func arrowDamage(format string, arguments ...any) *Error {
	return &Error{Problem: "is a damaged Arrow file: " + fmt.Sprintf(format, arguments...), Remedy: remedyRewrite}
}

// Headers of a message, and the places of their parts in the format's tables.
const (
	arrowSchemaHeader, arrowDictionaryHeader, arrowRecordHeader = 1, 2, 3

	arrowDeepest    = 64      // fields within fields
	arrowMostTables = 1 << 16 // fields and pairs of metadata
	arrowFewRows    = 1 << 16 // that a batch may have whatever its size
)

// check looks at a description; what does not fit panics with *Error.
func (m *arrowMessages) check(description []byte) (err error) {
	defer func() {
		if p := recover(); p != nil {
			damage, ours := p.(*Error)
			if !ours {
				panic(p)
			}
			err = damage
		}
	}()
	b := &flatBuffer{bytes: description}
	message := b.follow(0)
	if body := b.part(message, 3); body != 0 {
		m.body = int64(binary.LittleEndian.Uint64(b.at(body, 8)))
	}
	if m.body < 0 || m.body > m.size {
		panic(arrowDamage("a body of %d bytes", m.body))
	}
	b.pairs(b.part(message, 4))
	kind, header := b.part(message, 1), b.part(message, 2)
	if kind == 0 || header == 0 {
		panic(arrowDamage("a message of nothing"))
	}
	table, first := b.follow(header), !m.began
	m.began = true
	switch is := b.at(kind, 1)[0]; {
	case first != (is == arrowSchemaHeader): // the library takes the first message for one whatever it is
		panic(arrowDamage("a message of kind %d out of its turn", is))
	case first:
		b.fields(b.part(table, 1), 0)
		b.pairs(b.part(table, 2))
		b.vector(b.part(table, 3), 8)
	case is == arrowDictionaryHeader:
		if data := b.part(table, 1); data != 0 {
			b.batch(b.follow(data), m.body)
		}
	case is == arrowRecordHeader:
		b.batch(table, m.body)
	default:
		panic(arrowDamage("a message of kind %d", is))
	}
	return nil
}

// flatBuffer reads a FlatBuffer. Whatever lies outside of it panics with *Error.
type flatBuffer struct {
	bytes  []byte
	tables int
}

// at is n bytes at a place.
func (b *flatBuffer) at(place, n int) []byte {
	if place < 0 || n < 0 || place > len(b.bytes)-n {
		panic(arrowDamage("%d bytes at %d of a description of %d", n, place, len(b.bytes)))
	}
	return b.bytes[place : place+n]
}

// follow is the place that the offset at a place leads to.
func (b *flatBuffer) follow(place int) int {
	return place + int(binary.LittleEndian.Uint32(b.at(place, 4)))
}

// part is the place of a table's part, 0 if it is absent.
func (b *flatBuffer) part(table, index int) int {
	places := table - int(int32(binary.LittleEndian.Uint32(b.at(table, 4))))
	length, at := int(binary.LittleEndian.Uint16(b.at(places, 2))), 4+2*index
	if at >= length {
		return 0
	}
	offset := int(binary.LittleEndian.Uint16(b.at(places+at, 2)))
	if offset == 0 {
		return 0
	}
	return table + offset
}

// vector is the first element and the number of those of a vector whose offset
// stands at a place; none if that is 0.
func (b *flatBuffer) vector(place, size int) (first, n int) {
	if place == 0 {
		return 0, 0
	}
	at := b.follow(place)
	n = int(binary.LittleEndian.Uint32(b.at(at, 4)))
	if n > len(b.bytes)/size {
		panic(arrowDamage("a list of %d in a description of %d bytes", n, len(b.bytes)))
	}
	b.at(at+4, n*size)
	return at + 4, n
}

// eachTable calls visit with the tables of a vector.
func (b *flatBuffer) eachTable(place int, visit func(table int)) {
	first, n := b.vector(place, 4)
	for i := range n {
		if b.tables++; b.tables > arrowMostTables {
			panic(arrowDamage("more than %d fields and remarks", arrowMostTables))
		}
		visit(b.follow(first + 4*i))
	}
}

// pairs are names and values of metadata.
func (b *flatBuffer) pairs(place int) {
	b.eachTable(place, func(pair int) {
		b.vector(b.part(pair, 0), 1)
		b.vector(b.part(pair, 1), 1)
	})
}

// Types of a field that have lists of their own.
const (
	arrowTimestampType, arrowUnionType = 10, 14
)

func (b *flatBuffer) fields(place, depth int) {
	if depth > arrowDeepest {
		panic(arrowDamage("fields within fields, %d deep", depth))
	}
	b.eachTable(place, func(field int) {
		b.vector(b.part(field, 0), 1)
		if kind, of := b.part(field, 2), b.part(field, 3); kind != 0 && of != 0 {
			switch b.at(kind, 1)[0] {
			case arrowTimestampType:
				b.vector(b.part(b.follow(of), 1), 1)
			case arrowUnionType:
				b.vector(b.part(b.follow(of), 1), 4)
			}
		}
		b.fields(b.part(field, 5), depth+1)
		b.pairs(b.part(field, 6))
	})
}

// batch is rows, of which there are no more than their bodies hold.
func (b *flatBuffer) batch(table int, body int64) {
	if at := b.part(table, 0); at != 0 {
		rows := int64(binary.LittleEndian.Uint64(b.at(at, 8)))
		if rows < 0 || rows > arrowFewRows && rows/8/inflateRatio > body {
			panic(arrowDamage("%d rows in %d bytes", rows, body))
		}
	}
	b.vector(b.part(table, 1), 16)
	b.vector(b.part(table, 2), 16)
	b.vector(b.part(table, 4), 8)
}
