//go:build !cuda

package main

import (
	"fmt"

	"gpudae/device"
	"gpudae/model"
)

// openCUDA says that this build, which is pure Go, has no GPU to open.
func openCUDA(ordinal int, _ machineSettings, _ logger) (device.Device, error) {
	return nil, &failure{code: exitDevice, where: fmt.Sprintf("--device cuda:%d", ordinal),
		problem: "this build has no CUDA support", remedy: "use --device cpu, or build with scripts/cuda-env go build -tags cuda ./cmd/gpudae"}
}

// productsOf has nothing to say: only a GPU chooses.
func productsOf(device.Device, []model.Layer, int) []productJSON { return nil }

// openCopying is for builds with the tag cuda.
func openCopying(int) (device.Device, error) { return openCUDA(0, machineSettings{}, nil) }

// countCUDA is the number of GPUs that this build sees.
func countCUDA() int { return 0 }

// examineCUDA has nothing to add to what openCUDA says.
func examineCUDA() []finding { return nil }
