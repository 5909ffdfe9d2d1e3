package data_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"gorgonia.org/tensor"

	"gpudae/data"
)

// Open reads any format, known by its first bytes and its suffix.
func ExampleOpen() {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "points.csv")
	if err := os.WriteFile(path, []byte("x,y,kind\n1,2,near\n3,4,far\n5,6,near\n"), 0o666); err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	d, err := data.Open(ctx, path, data.Options{LabelColumn: "kind"})
	if err != nil {
		log.Fatal(err)
	}
	defer d.Close()
	info := d.Info()
	fmt.Println(info.Rows, info.Features, info.Columns, info.Classes)
	rows, err := data.Floats(ctx, d, 1, 2)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(rows.Data())
	// Output:
	// 3 2 [x y] [far near]
	// [3 4 5 6]
}

// Fit learns a scaling from the training rows alone; Apply and Invert undo each other.
func ExampleFit() {
	ctx := context.Background()
	x := tensor.New(tensor.WithShape(4, 1), tensor.WithBacking([]float32{2, 4, 6, 1000}))
	d, err := data.FromTensor(ctx, "four numbers", x, nil)
	if err != nil {
		log.Fatal(err)
	}
	s, err := data.Fit(ctx, data.ScaleStandard, d, func(row int) bool { return row < 3 })
	if err != nil {
		log.Fatal(err)
	}
	y, err := s.Apply(x)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%.3f\n", y.Data())
	// Output: [-1.225 0.000 1.225 609.923]
}
