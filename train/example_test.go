package train_test

import (
	"context"
	"fmt"
	"log"
	"os"

	"gpudae/cpu"
	"gpudae/data"
	"gpudae/device"
	"gpudae/model"
	"gpudae/train"
)

// A run from data to a model in a folder, which any command of the program takes.
func ExampleRun() {
	ctx := context.Background()
	d, err := data.Open(ctx, "two-moons:n=400", data.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer d.Close()
	config := train.DefaultConfig()
	config.Epochs, config.Batch, config.LR = 20, 32, 3e-3

	split, err := train.NewSplit(d.Info().Rows, config)
	if err != nil {
		log.Fatal(err)
	}
	scaler, err := data.Fit(ctx, data.ScaleStandard, d, split.Trains())
	if err != nil {
		log.Fatal(err)
	}
	matrix, err := data.Table(ctx, d, scaler)
	if err != nil {
		log.Fatal(err)
	}
	table := device.Table{Rows: matrix.Rows, Columns: matrix.Columns, Uint8: matrix.Uint8, Float32: matrix.Float32, Scale: matrix.Scale}
	dae, err := model.New(model.Config{Features: 2, Hidden: []int{32, 32}, Activation: "silu",
		Corruption: "gaussian:0.2", Likelihood: "gaussian:0.2"})
	if err != nil {
		log.Fatal(err)
	}
	dev, err := cpu.New(0) // a thread for each core; the number changes no result
	if err != nil {
		log.Fatal(err)
	}
	defer dev.Close()
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)

	result, err := train.Run(ctx, train.Job{Device: dev, Model: dae, Table: table, Schema: d.Info(), Scaler: scaler, Config: config, Dir: dir})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(result.Reason, "after", result.Epochs, "epochs and", result.Steps, "steps")
	fmt.Println("loss fell:", result.Last.ValNLL < result.History[0].ValNLL)

	saved, err := train.LoadModel(dir)
	if err != nil {
		log.Fatal(err)
	}
	evaluation, err := saved.Evaluate(ctx, dev, table, saved.Split.Validation())
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("the saved model has the loss of the best epoch:", evaluation.NLL == result.Best.ValNLL)
	// Output:
	// finished after 20 epochs and 240 steps
	// loss fell: true
	// the saved model has the loss of the best epoch: true
}
