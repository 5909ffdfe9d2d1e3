//go:build cuda

package cuda

/*
#include <cuda.h>
#include <string.h>

// A map has to lie at a multiple of 64 bytes, which memory of Go does not promise.
static CUresult encode(void *out, CUdeviceptr at, cuuint64_t rows, cuuint64_t columns, cuuint64_t stride, cuuint32_t side) {
	CUtensorMap map;
	const cuuint64_t extents[] = {columns, rows}, strides[] = {stride};
	const cuuint32_t box[] = {side, side}, steps[] = {1, 1};
	CUresult result = cuTensorMapEncodeTiled(&map, CU_TENSOR_MAP_DATA_TYPE_BFLOAT16, 2, (void *)at, extents, strides, box, steps, CU_TENSOR_MAP_INTERLEAVE_NONE,
		CU_TENSOR_MAP_SWIZZLE_128B, CU_TENSOR_MAP_L2_PROMOTION_L2_256B, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
	memcpy(out, &map, sizeof map);
	return result;
}
*/
import "C"

import (
	"runtime"
	"unsafe"
)

// TensorMapBytes is the size of a tensor map.
const TensorMapBytes = 128

// TensorMap describes a matrix of bfloat16 to the tensor memory accelerator of compute capability 9.0: rows
// that are stride bytes apart, a multiple of 16, of which it brings square boxes with the 128-byte swizzle, and
// zeros for what lies outside. What it returns has to lie at a multiple of 64 bytes for a kernel to use it.
func (c *Context) TensorMap(at Address, rows, columns, stride, box int) ([]byte, error) {
	defer runtime.UnlockOSThread()
	if err := c.enter(); err != nil {
		return nil, err
	}
	out := make([]byte, TensorMapBytes)
	result := C.encode(unsafe.Pointer(unsafe.SliceData(out)), C.CUdeviceptr(at), C.cuuint64_t(rows), C.cuuint64_t(columns), C.cuuint64_t(stride), C.cuuint32_t(box))
	return out, check("cuTensorMapEncodeTiled", result, "%d×%d, rows of %d bytes", rows, columns, stride)
}
