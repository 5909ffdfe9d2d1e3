// Package export turns a trained model into what other programs load: an ONNX
// graph that takes and gives numbers in the scale of the data, and its weights
// alone, as safetensors or NPZ, with PyTorch's names and shapes.
//
// Whatever is exported is computed from model.Layers, the one description of a
// network; Check runs an ONNX graph beside the model itself.
//
// The package must not know the command line, and writes no files.
package export

import (
	"encoding/json"
	"fmt"

	"gpudae/data"
	"gpudae/model"
	"gpudae/train"
)

// Program is what exports call the program that wrote them.
const Program = "gpudae"

// property is something that an export tells of its model beside the weights.
type property struct {
	key   string
	value any
}

// properties lists what every format carries.
func properties(s *train.Saved) []property {
	list := []property{
		{"version", s.Version}, {"data", s.Schema.Name}, {"data_sha256", s.Schema.SHA256}, {"epoch", s.Row.Epoch},
		{"noise_levels", noiseLevels(s.DAE)}, {"model", s.DAE.Config()}, {"layers", layersOf(s.DAE)}, {"scaler", s.Scaler}, {"columns", s.Schema.Columns},
	}
	if s.Columns != nil {
		list = append(list, property{"schema", s.Columns})
	}
	if s.DAE.IsPredictor() {
		list = append(list, property{"target", s.Target})
	}
	return list
}

// noiseLevels are those of a score model, rising; otherwise there are none.
func noiseLevels(d *model.DAE) []float64 {
	if c := d.Conditioning(); c != nil {
		return c.Levels
	}
	return []float64{}
}

// text is a property's value where a format has strings only: JSON, unless it
// is a string.
func (p property) text() (string, error) {
	if text, ok := p.value.(string); ok {
		return text, nil
	}
	text, err := json.Marshal(p.value)
	if err != nil {
		return "", fmt.Errorf("encoding %s: %w", p.key, err)
	}
	return string(text), nil
}

// layer is a model.Layer in JSON.
type layer struct {
	Name       string `json:"name"`
	In         int    `json:"in"`
	Out        int    `json:"out"`
	Activation string `json:"activation"`
	Norm       string `json:"norm"`
}

func layersOf(d *model.DAE) []layer {
	var all []layer
	for _, l := range d.Layers() {
		all = append(all, layer{l.Name, l.In, l.Out, l.Activation.String(), l.Norm})
	}
	return all
}

// weights finds a model's tensors by name.
type weights map[string]array

type array struct {
	shape  []int // matrices are [out, in], all else vectors
	values []float32
}

func weightsOf(s *train.Saved) weights {
	w := weights{}
	for _, part := range []struct {
		list   []model.Parameter
		values []float32
	}{{s.DAE.Parameters(), s.Params}, {s.DAE.Buffers(), s.Buffers}} {
		for _, p := range part.list {
			shape := []int{p.Len()}
			if p.Decayed {
				shape = []int{p.Rows, p.Columns}
			}
			w[p.Name] = array{shape, part.values[p.Offset : p.Offset+p.Len()]}
		}
	}
	return w
}

// untied adds, for each layer that uses another's weight, a transposed copy
// under its own name: [out, in] as any other.
func (w weights) untied(d *model.DAE) {
	for _, l := range d.Layers() {
		if l.Tied == "" {
			continue
		}
		from := w[l.Tied+".weight"].values
		to := make([]float32, len(from))
		for i := range l.In {
			for o := range l.Out {
				to[o*l.In+i] = from[i*l.Out+o]
			}
		}
		w[l.Name+".weight"] = array{[]int{l.Out, l.In}, to}
	}
}

// scales reports whether a scaler changes anything.
func scales(s *data.Scaler) bool { return s.Kind != data.ScaleNone }
