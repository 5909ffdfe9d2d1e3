package model_test

import (
	"context"
	"fmt"
	"log"

	"gorgonia.org/tensor"

	"gpudae/device/reference"
	"gpudae/model"
)

// A model is laid out once, and bound to a device to compute.
func ExampleNew() {
	dae, err := model.New(model.Config{
		Features: 64, Hidden: []int{32}, Code: 8, Activation: "gelu", CodeActivation: "identity",
		Corruption: "masking:0.25", Likelihood: "bernoulli",
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(dae.ParameterCount(), "parameters")
	for _, p := range dae.Parameters() {
		fmt.Println(p.Name, p.Rows, p.Columns)
	}
	// Output:
	// 4744 parameters
	// encoder.0.weight 32 64
	// encoder.1.weight 8 32
	// decoder.0.weight 32 8
	// decoder.1.weight 64 32
	// encoder.0.bias 1 32
	// encoder.1.bias 1 8
	// decoder.0.bias 1 32
	// decoder.1.bias 1 64
}

// ExampleNet_Denoise sends one example through a model whose parameters are all
// zero: a Bernoulli decoder then says one half for each feature.
func ExampleNet_Denoise() {
	dae, err := model.New(model.Config{Features: 3, Hidden: []int{2}, Likelihood: "bernoulli"})
	if err != nil {
		log.Fatal(err)
	}
	dev := reference.New()
	defer dev.Close()
	net, err := model.Bind(dev, dae, model.Binding{Examples: 1})
	if err != nil {
		log.Fatal(err)
	}
	x := tensor.New(tensor.WithShape(1, 3), tensor.WithBacking([]float32{0, 1, 1}))
	r, err := net.Denoise(context.Background(), x)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(r.Data())
	// Output: [0.5 0.5 0.5]
}

// Corruptions are written as name:rate and joined by +.
func ExampleParseCorruption() {
	c, err := model.ParseCorruption("gaussian:0.1+masking:0.25")
	fmt.Println(c, err)
	_, err = model.ParseCorruption("masking:1.5")
	fmt.Println(err)
	// Output:
	// gaussian:0.1+masking:0.25 <nil>
	// corruption: masking has rate 1.5, out of range; rate must lie between 0 and 1
}
