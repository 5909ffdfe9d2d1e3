//go:build cuda

package main

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"gpudae/cuda"
	"gpudae/cuda/cublaslt"
	"gpudae/device"
	"gpudae/gpu"
	"gpudae/kernels"
	"gpudae/model"
)

// openCUDA opens the GPU with that ordinal, with products of that precision.
func openCUDA(ordinal int, m machineSettings, log logger) (device.Device, error) {
	options := gpu.OptionsFromEnvironment(classNamed(m.Precision))
	options.Gemm, options.Log = gemmNamed(m.Gemm), log
	return openGPU(ordinal, options)
}

// gemmNamed is that of the setting.
func gemmNamed(name string) gpu.Gemm {
	for g := gpu.GemmOwn; g <= gpu.GemmAuto; g++ {
		if g.String() == name {
			return g
		}
	}
	panic("devices: no products of " + name)
}

// openCopying opens it in bf16 with the kernels of big products for products of every size.
func openCopying(ordinal int) (device.Device, error) {
	options := gpu.OptionsFromEnvironment(kernels.BFloat16)
	options.Big = kernels.Big{Extent: 1}
	return openGPU(ordinal, options)
}

func openGPU(ordinal int, options gpu.Options) (device.Device, error) {
	dev, err := gpu.New(ordinal, options)
	if err == nil {
		return dev, nil
	}
	f := &failure{code: exitDevice, where: fmt.Sprintf("--device cuda:%d", ordinal), problem: err.Error(), err: err,
		remedy: "run 'gpudae doctor', or use --device cpu"}
	var unavailable *cuda.UnavailableError
	if errors.As(err, &unavailable) {
		f.problem, f.remedy = unavailable.Problem, unavailable.Remedy
	}
	var missing *cublaslt.MissingError
	if errors.As(err, &missing) {
		f.where, f.problem, f.remedy = "--gemm "+options.Gemm.String(), missing.Problem, missing.Remedy
	}
	return nil, f
}

// productsOf says how a GPU computes the products of layers for so many rows; other
// devices have nothing to say.
func productsOf(dev device.Device, layers []model.Layer, rows int) []productJSON {
	d, ok := dev.(*gpu.Device)
	if !ok {
		return nil
	}
	var all []productJSON
	for i, l := range layers {
		add := func(name string, m, n, k int) {
			arithmetic, tile, shares := d.ProductOf(m, n, k)
			all = append(all, productJSON{Layer: l.Name, Product: name, M: m, N: n, K: k, Arithmetic: arithmetic, Tile: tile, Shares: shares})
		}
		add("forward", rows, l.Out, l.In)
		if i > 0 {
			add("input's gradient", rows, l.In, l.Out)
		}
		if l.Tied != "" {
			add("weights' gradient", l.In, l.Out, rows)
		} else {
			add("weights' gradient", l.Out, l.In, rows)
		}
	}
	return all
}

// examineCUDA describes the driver, the kernels and every GPU.
func examineCUDA() []finding {
	findings := []finding{examineKernels()}
	driver, err := cuda.OpenDriver()
	if err != nil {
		return findings // openCUDA says why
	}
	findings = append(findings, examineCublasLt(), finding{Check: "NVIDIA driver", OK: true,
		Detail: fmt.Sprintf("%sruns CUDA up to %s, sees devices: %d", driverRelease(moduleVersion), cuda.VersionText(driver.Version), driver.Devices)})
	for i := range driver.Devices {
		f := finding{Check: fmt.Sprintf("NVIDIA GPU %d", i), OK: true, Optional: true}
		info, err := cuda.Describe(i)
		if err != nil {
			f.OK, f.Detail, f.Remedy = false, err.Error(), "look at 'nvidia-smi'"
		} else {
			f.Detail = fmt.Sprintf("%s, compute capability %d.%d, %d multiprocessors, %s of memory",
				info.Name, info.Major, info.Minor, info.Multiprocessors, fileSize(info.Memory))
		}
		findings = append(findings, f)
	}
	return findings
}

// examineCublasLt looks for the library that --gemm may ask for.
func examineCublasLt() finding {
	f := finding{Check: "cuBLASLt", Optional: true}
	library, err := cublaslt.Load()
	var missing *cublaslt.MissingError
	if errors.As(err, &missing) {
		f.Detail, f.Remedy = missing.Problem, missing.Remedy
		return f
	}
	f.OK, f.Detail = true, fmt.Sprintf("%s, version %s, for --gemm", library.Name, library.Version)
	return f
}

// countCUDA is the number of GPUs that the driver sees, 0 where there is no driver.
func countCUDA() int {
	driver, err := cuda.OpenDriver()
	if err != nil {
		return 0 // openCUDA says why
	}
	return driver.Devices
}

// moduleVersion is where Linux shows the release of the driver's kernel module,
// which the CUDA interface does not tell.
const moduleVersion = "/sys/module/nvidia/version"

// driverRelease reads the driver's release, such as 580.65.06, and is empty where
// the system does not show it.
func driverRelease(path string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	return "release " + strings.TrimSpace(string(text)) + ", "
}

// examineKernels lists what is embedded in this program.
func examineKernels() finding {
	f := finding{Check: "CUDA kernels", Remedy: "build again after scripts/cuda-build"}
	toolkit, err := kernels.Toolkit()
	if err != nil {
		f.Detail = err.Error()
		return f
	}
	images, err := kernels.Images(kernels.Fatbin())
	if err != nil {
		f.Detail = err.Error()
		return f
	}
	names := make([]string, len(images))
	for i, image := range images {
		names[i] = image.String()
	}
	return finding{Check: f.Check, OK: true, Detail: fmt.Sprintf("built with CUDA %s for %s", cuda.VersionText(toolkit), strings.Join(names, ", "))}
}
