package data

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"gpudae/internal/safetensors"
)

// The safetensors format holds named arrays behind a JSON header. One array is a
// data set: the only one, or the one named in "path.safetensors:name".

// isSafetensors takes a length that the format allows and the start of an object.
func isSafetensors(head []byte) bool {
	const longest = 100 * 1000 * 1000
	return len(head) > 8 && head[8] == '{' && binary.LittleEndian.Uint64(head) <= longest
}

// safetensorsKinds maps types of the format to those of arrays.
func safetensorsKinds() map[string]string {
	return map[string]string{"U8": "u1", "I32": "i4", "U32": "u4", "I64": "i8", "U64": "u8", "F32": "f4", "F64": "f8"}
}

func openSafetensors(ctx context.Context, in *input, o Options) (Dataset, error) {
	a, in, err := readSafetensors(ctx, in, o)
	if err != nil {
		return nil, err
	}
	return newArrayDataset(ctx, a, in, "safetensors", o)
}

// readSafetensors finds the array.
func readSafetensors(_ context.Context, in *input, o Options) (*array, *input, error) {
	if in.file == nil { // compressed: the header needs the size
		content, err := io.ReadAll(in.stream)
		if err != nil {
			return nil, nil, in.readError(err)
		}
		in.file, in.size = bytes.NewReader(content), int64(len(content))
	}
	places, err := safetensors.Places(io.NewSectionReader(in.file, 0, in.size), in.size, in.path)
	if bad := (*safetensors.Error)(nil); errors.As(err, &bad) {
		return nil, nil, &Error{Path: in.path, ColumnName: bad.Tensor, Problem: bad.Problem, Remedy: remedyRewrite, Err: err}
	}
	if err != nil {
		return nil, nil, in.readError(err)
	}
	place, err := choosePlace(places, in.path, o.key)
	if err != nil {
		return nil, nil, err
	}
	a := &array{order: binary.LittleEndian, shape: place.Shape, bytes: io.NewSectionReader(in.file, place.Offset, place.Length)}
	for i := range kinds {
		if kinds[i].numpy == safetensorsKinds()[place.Type] {
			a.kind = &kinds[i]
		}
	}
	_, err = a.length(in.path)
	return a, in, err
}

// choosePlace finds the tensor named key, or the only one if key is empty.
func choosePlace(places []safetensors.Place, path, key string) (safetensors.Place, error) {
	var names []string
	for _, p := range places {
		if p.Name == key && key != "" {
			return p, nil
		}
		names = append(names, p.Name)
	}
	none := safetensors.Place{}
	switch {
	case len(places) == 0:
		return none, &Error{Path: path, Problem: "holds no tensor", Remedy: remedyRewrite}
	case key != "":
		return none, &Error{Path: path, Problem: fmt.Sprintf("holds no tensor %q", key), Remedy: "choose one of " + listed(names)}
	case len(places) > 1:
		return none, &Error{Path: path, Problem: "holds the tensors " + listed(names), Remedy: fmt.Sprintf("choose one, as in %s:%s", path, names[0])}
	}
	return places[0], nil
}
