package data

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
)

// The IDX format (http://yann.lecun.com/exdb/mnist, "THE IDX FILE FORMAT"):
//
//	2 bytes     0, 0
//	1 byte      element type: 0x08 uint8, 0x09 int8, 0x0B int16, 0x0C int32, 0x0D float32, 0x0E float64
//	1 byte      d, the number of dimensions
//	d·4 bytes   sizes, big-endian
//	the rest    the elements, the last index running fastest, big-endian

const idxMagicLength = 4

func isIDX(head []byte) bool {
	return len(head) >= idxMagicLength && head[0] == 0 && head[1] == 0 && idxKind(head[2]) != nil && head[3] > 0
}

func idxKind(code byte) *kind {
	for i := range kinds {
		if kinds[i].idx == code && code != 0 {
			return &kinds[i]
		}
	}
	return nil
}

func openIDX(ctx context.Context, in *input, o Options) (Dataset, error) {
	a, err := readIDX(in)
	if err != nil {
		return nil, err
	}
	return newArrayDataset(ctx, a, in, "idx", o)
}

// readIDX reads the header.
func readIDX(in *input) (*array, error) {
	var magic [idxMagicLength]byte
	if _, err := io.ReadFull(in.stream, magic[:]); err != nil {
		return nil, in.readError(err)
	}
	if !isIDX(magic[:]) {
		return nil, &Error{Path: in.path, Problem: fmt.Sprintf("does not start like an IDX file (00 00, type, dimensions) but with % x", magic),
			Remedy: "give it the suffix of its real format"}
	}
	sizes := make([]byte, 4*int(magic[3]))
	if _, err := io.ReadFull(in.stream, sizes); err != nil {
		return nil, in.readError(err)
	}
	a := &array{kind: idxKind(magic[2]), order: binary.BigEndian}
	for ; len(sizes) > 0; sizes = sizes[4:] {
		a.shape = append(a.shape, int(binary.BigEndian.Uint32(sizes)))
	}
	return a, a.locate(in, int64(idxMagicLength+4*len(a.shape)))
}
