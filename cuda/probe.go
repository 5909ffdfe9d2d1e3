//go:build cuda

package cuda

/*
#include "libcuda/libcuda.h"
#include <cuda.h>
*/
import "C"

import (
	"fmt"
	"strings"
	"sync"

	"gorgonia.org/cu"
)

// Driver is the NVIDIA driver of this machine.
type Driver struct {
	Version int // the latest CUDA that it runs, as the driver counts: 12040 is 12.4
	Devices int // at least 1
}

// opening keeps threads from loading the library at once; it is the process
// that has a driver, not a value of this package.
var opening sync.Mutex

// OpenDriver loads the driver and counts its devices. It fails with
// *UnavailableError where there is no driver or no device.
func OpenDriver() (Driver, error) {
	opening.Lock()
	defer opening.Unlock()
	var why *C.char
	if err := unavailable(int(C.gpudae_open_libcuda(&why)), &why); err != nil {
		return Driver{}, err
	}
	d := Driver{Version: cu.Version()}
	var err error
	if d.Devices, err = cu.NumDevices(); err != nil {
		return Driver{}, failed("cuDeviceGetCount", err, "")
	}
	if d.Devices == 0 {
		return Driver{}, noDevice()
	}
	return d, nil
}

const (
	installDriver = "install the NVIDIA driver, in a container start it with --gpus all, or use --device cpu"
	showDevice    = "look at 'nvidia-smi' and CUDA_VISIBLE_DEVICES, in a container start it with --gpus all, or use --device cpu"
)

func noDevice() *UnavailableError {
	return &UnavailableError{Problem: "the NVIDIA driver sees no device", Remedy: showDevice}
}

// unavailable tells what opening the library or initialising the driver met.
func unavailable(code int, why **C.char) error {
	switch code {
	case C.CUDA_SUCCESS:
		return nil
	case -1:
		return &UnavailableError{Problem: "there is no NVIDIA driver (" + strings.TrimSpace(C.GoString(*why)) + ")", Remedy: installDriver}
	case C.CUDA_ERROR_NO_DEVICE:
		return noDevice()
	}
	e := newError("cuInit", code, "")
	return &UnavailableError{Problem: fmt.Sprintf("the NVIDIA driver does not start (%s, %s)", e.Name, e.Reason), Remedy: showDevice}
}

// VersionText writes a version as people do: 13.0 for 13000.
func VersionText(version int) string { return fmt.Sprintf("%d.%d", version/1000, version%1000/10) }

// DeviceInfo describes a device without using it.
type DeviceInfo struct {
	Name            string
	Major, Minor    int // compute capability
	Multiprocessors int
	Memory          uint64 // bytes
	MaxShared       int    // bytes of shared memory that a block may have, if its kernel asks (MaxDynamicShared)
	MemoryPools     bool   // whether NewPool works
}

// Capability is the compute capability as a number: 90 for 9.0.
func (i DeviceInfo) Capability() int { return 10*i.Major + i.Minor }

// Describe describes the device with that ordinal, less than Driver.Devices.
func Describe(ordinal int) (DeviceInfo, error) {
	device, err := cu.GetDevice(ordinal)
	var i DeviceInfo
	if err != nil {
		return i, failed("cuDeviceGet", err, "device %d", ordinal)
	}
	if i.Name, err = device.Name(); err != nil {
		return i, failed("cuDeviceGetName", err, "device %d", ordinal)
	}
	bytes, err := device.TotalMem()
	if err != nil {
		return i, failed("cuDeviceTotalMem", err, "device %d", ordinal)
	}
	i.Memory = uint64(bytes)
	var pools int
	for _, a := range []struct {
		to   *int
		name string
		of   C.CUdevice_attribute
	}{
		{&i.Major, "compute capability", C.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR},
		{&i.Minor, "compute capability", C.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR},
		{&i.Multiprocessors, "multiprocessors", C.CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT},
		{&i.MaxShared, "shared memory", C.CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN},
		{&pools, "memory pools", C.CU_DEVICE_ATTRIBUTE_MEMORY_POOLS_SUPPORTED},
	} {
		var value C.int
		if err := check("cuDeviceGetAttribute", C.cuDeviceGetAttribute(&value, a.of, C.CUdevice(device)), "%s of device %d", a.name, ordinal); err != nil {
			return i, err
		}
		*a.to = int(value)
	}
	i.MemoryPools = pools != 0
	return i, nil
}
