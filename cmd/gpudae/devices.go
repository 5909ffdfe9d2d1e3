package main

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"gpudae/cpu"
	"gpudae/device"
	"gpudae/device/reference"
	"gpudae/internal/settings"
	"gpudae/kernels"
)

const (
	cpuName       = "cpu"
	cudaName      = "cuda" // has a memory of its own
	referenceName = "reference"
)

// deviceKind is a row of the table of devices.
type deviceKind struct {
	name string // of --device, without an ordinal
	doc  string
	// precisions are those that it has; the first is the one that doctor tests.
	precisions []string
	// open returns the device with that ordinal, of name:ordinal, and those settings. log
	// is told what it finds out about the machine.
	open func(ordinal int, m machineSettings, log logger) (device.Device, error)
}

// deviceKinds lists the devices that --device names, besides auto. openCUDA is
// the real one in a build with the tag cuda.
func deviceKinds() []deviceKind {
	return []deviceKind{
		{cpuName, "vector instructions and threads", []string{precisionFloat32, precisionBFloat16}, openCPU},
		{cudaName, "an NVIDIA GPU; cuda:N is the one with ordinal N", precisions(),
			openCUDA},
		{referenceName, "plain loops in float64: slow, and the oracle of the tests", []string{precisionFloat32},
			func(int, machineSettings, logger) (device.Device, error) { return reference.New(), nil }},
	}
}

// maxThreads is far more than any machine has cores.
const maxThreads = 1024

// deviceDoc is the flag's documentation.
const deviceDoc = "auto, cpu, cuda[:N] or reference"

// Precisions of matrix products; all else is float32, or what the device's own
// arithmetic is.
const (
	precisionFloat32  = "float32"
	precisionTF32     = "tf32"
	precisionBFloat16 = "bf16"
	precisionStrict   = "strict"
)

func precisions() []string {
	return []string{precisionFloat32, precisionTF32, precisionBFloat16, precisionStrict}
}

// Who makes the matrix products of a GPU: names of gpu.Gemm.
const (
	gemmOwn      = "own"
	gemmCublasLt = "cublaslt"
	gemmAuto     = "auto"
)

func gemms() []string { return []string{gemmOwn, gemmCublasLt, gemmAuto} }

// cublasLtVariable names the file of the library, as in cublaslt.PathVariable.
const cublasLtVariable = "GPUDAE_CUBLASLT"

// logger is told what a person may want to know.
type logger func(format string, args ...any)

// classNamed is the arithmetic of products on a GPU in a precision.
func classNamed(precision string) kernels.Class {
	for _, c := range kernels.Classes() {
		if c.String() == precision {
			return c
		}
	}
	panic("devices: no class of arithmetic " + precision)
}

// openDevice opens the device that the settings name. auto prefers a GPU and
// otherwise takes the CPU; log is told so.
func openDevice(m machineSettings, origins settings.Origins, log logger) (device.Device, error) {
	if err := checkMachine(m, origins); err != nil {
		return nil, err
	}
	where := origin(origins, "precision")
	if m.Device == auto {
		return openBest(m, origins, log)
	}
	kind, ordinal, err := parseDevice(m.Device, origin(origins, "device"))
	if err != nil {
		return nil, err
	}
	dev, err := kindNamed(kind).open(ordinal, m, log)
	return dev, precisionProblem(err, where)
}

func openCPU(_ int, m machineSettings, _ logger) (device.Device, error) {
	if m.Precision == precisionBFloat16 {
		return cpu.NewBFloat16(m.Threads)
	}
	return cpu.New(m.Threads)
}

// precisionProblem says where a processor that lacks a precision was asked for it.
func precisionProblem(err error, where string) error {
	if errors.Is(err, cpu.ErrNoBFloat16) {
		return usage(where, "this processor has neither AVX512-BF16 nor AMX-BF16", "use --precision float32")
	}
	return err
}

// openBest opens a GPU, or the CPU if there is none and it has the precision.
func openBest(m machineSettings, origins settings.Origins, log logger) (device.Device, error) {
	dev, why := kindNamed(cudaName).open(0, m, log)
	if why == nil {
		return dev, nil
	}
	if m.Gemm == gemmCublasLt {
		return nil, why // which may be that the library is missing: no reason to take the CPU
	}
	where := origin(origins, "precision")
	host := kindNamed(cpuName)
	if !slices.Contains(host.precisions, m.Precision) {
		return nil, usage(where, m.Precision+" needs a GPU, and "+reason(why), "use --precision float32")
	}
	dev, err := host.open(0, m, log)
	if err == nil {
		log("device: cpu (%s), since %s", dev.Info().Description, reason(why))
	}
	return dev, precisionProblem(err, where)
}

// reason is what happened, without where and the remedy.
func reason(err error) string {
	var told *failure
	if errors.As(err, &told) {
		return told.problem
	}
	return err.Error()
}

func kindNamed(name string) deviceKind {
	for _, k := range deviceKinds() {
		if k.name == name {
			return k
		}
	}
	panic("devices: no row for " + name)
}

// checkMachine reports settings that name no machine, before any work is done.
func checkMachine(m machineSettings, origins settings.Origins) error {
	if m.Threads < 0 || m.Threads > maxThreads {
		return usage(origin(origins, "threads"), fmt.Sprintf("%d threads", m.Threads), fmt.Sprintf("give 1 to %d, or 0 for one a core", maxThreads))
	}
	if m.Device == auto {
		return nil
	}
	name, _, err := parseDevice(m.Device, origin(origins, "device"))
	if err == nil && name != cudaName && m.Gemm == gemmCublasLt {
		return usage(origin(origins, "gemm"), m.Gemm+" on "+m.Device, "use --device cuda, or --gemm own")
	}
	if err != nil || slices.Contains(kindNamed(name).precisions, m.Precision) {
		return err
	}
	var able []string
	for _, k := range deviceKinds() {
		if slices.Contains(k.precisions, m.Precision) {
			able = append(able, k.name)
		}
	}
	return usage(origin(origins, "precision"), m.Precision+" on "+m.Device, "use --device "+strings.Join(able, " or ")+", or --precision float32")
}

// parseDevice splits name:ordinal; only cuda has ordinals.
func parseDevice(name, where string) (kind string, ordinal int, err error) {
	kind, number, hasNumber := strings.Cut(name, ":")
	names := []string{"auto"}
	known := false
	for _, k := range deviceKinds() {
		names = append(names, k.name)
		known = known || k.name == kind
	}
	if !known {
		return "", 0, usage(where, "unknown device "+quoted(name), settings.Suggest(kind, names, "")+"choose "+deviceDoc)
	}
	if !hasNumber {
		return kind, 0, nil
	}
	ordinal, bad := strconv.Atoi(number)
	if kind != cudaName || bad != nil || ordinal < 0 {
		return "", 0, usage(where, "unknown device "+quoted(name), "choose "+deviceDoc)
	}
	return kind, ordinal, nil
}
