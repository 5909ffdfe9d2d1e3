package main

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"gpudae/cpu"
	"gpudae/device"
	"gpudae/device/reference"
	"gpudae/internal/settings"
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
	// open returns the device; ordinal is that of name:ordinal, and threads the
	// number of worker threads, 0 for as many as there are cores.
	open func(ordinal, threads int) (device.Device, error)
}

// deviceKinds lists the devices that --device names, besides auto. openCUDA is
// the real one in a build with the tag cuda.
func deviceKinds() []deviceKind {
	return []deviceKind{
		{cpuName, "vector instructions and threads", func(_, threads int) (device.Device, error) { return cpu.New(threads) }},
		{cudaName, "an NVIDIA GPU; cuda:N is the one with ordinal N", openCUDA},
		{referenceName, "plain loops in float64: slow, and the oracle of the tests", func(int, int) (device.Device, error) { return reference.New(), nil }},
	}
}

// maxThreads is far more than any machine has cores.
const maxThreads = 1024

// deviceDoc is the flag's documentation.
const deviceDoc = "auto, cpu, cuda[:N] or reference"

// Precisions of the factors of matrix products; all else is float32, or what the
// device's own arithmetic is.
const (
	precisionFloat32  = "float32"
	precisionBFloat16 = "bf16"
)

func precisions() []string { return []string{precisionFloat32, precisionBFloat16} }

// openDevice opens the device that the settings name. auto prefers a GPU and
// otherwise takes the CPU; log is told so.
func openDevice(m machineSettings, origins settings.Origins, log func(format string, args ...any)) (device.Device, error) {
	if m.Precision == precisionBFloat16 {
		return openBFloat16(m, origins)
	}
	if m.Device == auto {
		return openBest(m.Threads, log)
	}
	kind, ordinal, err := parseDevice(m.Device, origin(origins, "device"))
	if err != nil {
		return nil, err
	}
	return openNamed(kind, ordinal, m.Threads)
}

// openBFloat16 opens the one device that has products of bfloat16.
func openBFloat16(m machineSettings, origins settings.Origins) (device.Device, error) {
	where := origin(origins, "precision")
	if m.Device != auto && m.Device != cpuName {
		return nil, usage(where, precisionBFloat16+" on "+m.Device, "use --device cpu, or --precision float32")
	}
	dev, err := cpu.NewBFloat16(m.Threads)
	if errors.Is(err, cpu.ErrNoBFloat16) {
		return nil, usage(where, "this processor has no AVX512-BF16", "use --precision float32")
	}
	if err != nil {
		return nil, err
	}
	return dev, nil
}

func openBest(threads int, log func(format string, args ...any)) (device.Device, error) {
	dev, why := openNamed(cudaName, 0, threads)
	if why == nil {
		return dev, nil
	}
	dev, err := openNamed(cpuName, 0, threads)
	if err == nil {
		log("device: cpu (%s), since %s", dev.Info().Description, reason(why))
	}
	return dev, err
}

// reason is what happened, without where and the remedy.
func reason(err error) string {
	var told *failure
	if errors.As(err, &told) {
		return told.problem
	}
	return err.Error()
}

func openNamed(kind string, ordinal, threads int) (device.Device, error) {
	for _, k := range deviceKinds() {
		if k.name == kind {
			return k.open(ordinal, threads)
		}
	}
	panic("devices: no row for " + kind)
}

// checkMachine reports settings that name no machine, before any work is done.
func checkMachine(m machineSettings, origins settings.Origins) error {
	if m.Threads < 0 || m.Threads > maxThreads {
		return usage(origin(origins, "threads"), fmt.Sprintf("%d threads", m.Threads), fmt.Sprintf("give 1 to %d, or 0 for one a core", maxThreads))
	}
	if m.Device == auto {
		return nil
	}
	_, _, err := parseDevice(m.Device, origin(origins, "device"))
	return err
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
