package export

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"gorgonia.org/tensor"

	"gpudae/data"
	"gpudae/internal/safetensors"
	"gpudae/train"
)

// Safetensors returns a model's weights with PyTorch's names and shapes, tied
// ones written out for both layers, and in the metadata what rebuilds the
// network: "layers", "model" (its configuration) and "scaler", all JSON.
func Safetensors(s *train.Saved) (*safetensors.File, error) {
	f := &safetensors.File{Metadata: map[string]string{"format": "pt", "producer": Program}, Tensors: map[string]safetensors.Tensor{}}
	for _, p := range properties(s) {
		text, err := p.text()
		if err != nil {
			return nil, err
		}
		f.Metadata[p.key] = text
	}
	w := weightsOf(s)
	w.untied(s.DAE)
	for name, a := range w {
		f.Tensors[name] = safetensors.New(a.shape, a.values)
	}
	return f, nil
}

// metadataArray is the name of the array that describes the others in an NPZ.
const metadataArray = "metadata"

// NPZ returns the same as arrays: the weights sorted by name, then "metadata",
// the bytes of a JSON object.
func NPZ(s *train.Saved) ([]data.Array, error) {
	w := weightsOf(s)
	w.untied(s.DAE)
	var all []data.Array
	for _, name := range slices.Sorted(maps.Keys(w)) {
		all = append(all, data.Array{Name: name, Values: tensor.New(tensor.WithShape(w[name].shape...), tensor.WithBacking(w[name].values))})
	}
	object := map[string]any{"producer": Program}
	for _, p := range properties(s) {
		object[p.key] = p.value
	}
	text, err := json.Marshal(object)
	if err != nil {
		return nil, fmt.Errorf("encoding the metadata: %w", err)
	}
	return append(all, data.Array{Name: metadataArray, Values: tensor.New(tensor.WithShape(len(text)), tensor.WithBacking(text))}), nil
}
