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
		{"cpu", "vector instructions and threads", func(_, threads int) (device.Device, error) { return cpu.New(threads) }},
		{cudaName, "an NVIDIA GPU; cuda:N is the one with ordinal N", openCUDA},
		{referenceName, "plain loops in float64: slow, and the oracle of the tests", func(int, int) (device.Device, error) { return reference.New(), nil }},
	}
}

// maxThreads is far more than any machine has cores.
const maxThreads = 1024

// deviceDoc is the flag's documentation.
const deviceDoc = "auto, cpu, cuda[:N] or reference"

// openDevice opens the device that a name stands for. auto prefers a GPU and
// otherwise takes the CPU; log is told so.
func openDevice(name, where string, threads int, log func(format string, args ...any)) (device.Device, error) {
	if name == "auto" {
		return openBest(threads, log)
	}
	kind, ordinal, err := parseDevice(name, where)
	if err != nil {
		return nil, err
	}
	return openNamed(kind, ordinal, threads)
}

func openBest(threads int, log func(format string, args ...any)) (device.Device, error) {
	dev, why := openNamed(cudaName, 0, threads)
	if why == nil {
		return dev, nil
	}
	dev, err := openNamed("cpu", 0, threads)
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
