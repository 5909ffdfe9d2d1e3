package baseline_test

import (
	"context"
	"fmt"
	"log"

	"gonum.org/v1/gonum/mat"

	"gpudae/baseline"
)

// Points along a line have one direction of variance.
func ExampleFitPCA() {
	rows := baseline.Rows{Features: 2, Values: []float32{0, 1, 1, 3, 2, 5, 3, 7}} // y = 2x + 1
	pca, err := baseline.FitPCA(context.Background(), rows, 2)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%d component of variance %.2f\n", len(pca.Variances), pca.Variances[0])
	fmt.Printf("slope %.2f\n", pca.Components.At(1, 0)/pca.Components.At(0, 0))
	// Output:
	// 1 component of variance 6.25
	// slope 2.00
}

// The Wiener filter shrinks each direction by its share of signal: λ/(λ+σ²).
func ExampleWiener() {
	m := baseline.Moments{Mean: []float64{0, 0}, Covariance: mat.NewSymDense(2, []float64{4, 0, 0, 1})}
	filter, err := baseline.Wiener(m, 1, 2)
	if err != nil {
		log.Fatal(err)
	}
	mse, err := baseline.WienerMSE(m, 1, 2)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%.2f\n", mat.Formatted(filter.W))
	fmt.Printf("expected MSE %.2f\n", mse)
	// Output:
	// ⎡0.80  0.00⎤
	// ⎣0.00  0.50⎦
	// expected MSE 0.65
}
