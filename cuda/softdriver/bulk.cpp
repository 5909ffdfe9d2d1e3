#include "bulk.h"

#include <cstring>

#include "launch.h"
#include "machine.h"
#include "tensor.h"

namespace softdriver {
namespace {

constexpr uintptr_t kAtom = 1024;  // bytes of the 128-byte swizzle's pattern

// swizzled is where a byte lies whose place without swizzle is at: bits 4 to 6 change with bits 7 to 9.
uintptr_t swizzled(uintptr_t at) { return at ^ (at >> 7 & 7) << 4; }

double value(uint16_t half) { return double(softdriver_bits_float(uint32_t(half) << 16)); }

}  // namespace

void Bulk::clear(Range dynamic) {
  std::lock_guard lock(mutex_);
  dynamic_ = dynamic;
  signals_.clear(), boxes_.clear(), maps_.clear(), settled_.clear();
}

Mbarrier* Bulk::find(const void* signal) {
  const auto found = signals_.find(signal);
  return found == signals_.end() ? nullptr : &found->second;
}

void Bulk::advance(const void* signal, Mbarrier& m) {
  if (m.pending > 0 || m.bytes != 0) return;
  m.phase ^= 1, m.pending = m.count;
  settled_.push_back(signal);
}

std::string Bulk::init(const void* signal, int count) {
  std::lock_guard lock(mutex_);
  if (reinterpret_cast<uintptr_t>(signal) % 8) return "an mbarrier off its alignment";
  if (count < 1) return "an mbarrier of no arrivals";
  signals_[signal] = {count, count, 0, 0};
  return "";
}

std::string Bulk::expect(const void* signal, int bytes) {
  std::lock_guard lock(mutex_);
  Mbarrier* m = find(signal);
  if (!m) return "an mbarrier that was not initialised";
  m->bytes += bytes;
  return arrive(signal);
}

std::string Bulk::arrive(const void* signal) {
  std::lock_guard lock(mutex_);
  Mbarrier* m = find(signal);
  if (!m) return "an mbarrier that was not initialised";
  if (m->pending == 0) return "more arrivals at an mbarrier than it counts";
  --m->pending;
  advance(signal, *m);
  return "";
}

std::string Bulk::show(const void* map) {
  std::lock_guard lock(mutex_);
  if (!inside(map, 128)) return "a tensor map outside device memory";
  if (reinterpret_cast<uintptr_t>(map) % 64) return "a tensor map off its alignment";
  maps_.insert(map);
  return "";
}

std::string Bulk::read(const void* map, TensorMap* out) {
  std::lock_guard lock(mutex_);
  if (!maps_.count(map)) return "a tensor map of global memory without a fence for it";
  std::memcpy(out, map, sizeof *out);
  if (out->magic != kTensorMap) return "a tensor map that was not encoded";
  if (!inside(out->data, out->stride * (out->rows - 1) + 2 * out->columns)) return "the tensor map of a matrix that is no live memory";
  return "";
}

std::string Bulk::take(const Box& box) {
  std::lock_guard lock(mutex_);
  const size_t size = size_t(2) * box.map.box_rows * box.map.box_columns;
  if (!dynamic_.holds(box.to, size)) return "a box outside dynamic shared memory";
  if (reinterpret_cast<uintptr_t>(box.to) % (box.map.swizzled ? kAtom : 128)) return "a box off its alignment in shared memory";
  if (!find(box.signal)) return "an mbarrier that was not initialised";
  boxes_.push_back(box);
  return "";
}

size_t Bulk::on_their_way() {
  std::lock_guard lock(mutex_);
  return boxes_.size();
}

void Bulk::bring(const void* signal) {
  std::lock_guard lock(mutex_);
  std::vector<Box> later;
  Mbarrier& m = *find(signal);
  bool came = false;
  for (const Box& b : boxes_) {
    if (b.signal != signal) {
      later.push_back(b);
      continue;
    }
    const TensorMap& map = b.map;
    for (int64_t i = 0; i < map.box_rows; ++i) {
      for (int64_t j = 0; j < map.box_columns; ++j) {
        const int64_t row = b.row + i, column = b.column + j;
        const bool there = row >= 0 && column >= 0 && uint64_t(row) < map.rows && uint64_t(column) < map.columns;
        const uintptr_t plain = reinterpret_cast<uintptr_t>(b.to) + uintptr_t(2 * (i * map.box_columns + j));
        char* const to = reinterpret_cast<char*>(map.swizzled ? swizzled(plain) : plain);
        there ? std::memcpy(to, map.data + uint64_t(row) * map.stride + 2 * uint64_t(column), 2) : std::memset(to, 0, 2);
      }
    }
    m.bytes -= 2 * int64_t(map.box_rows) * map.box_columns;
    came = true;
  }
  boxes_.swap(later);
  if (came) advance(signal, m);
}

std::string Bulk::ended(const void* signal, uint32_t parity, bool* yes) {
  std::lock_guard lock(mutex_);
  const Mbarrier* m = find(signal);
  if (!m) return "an mbarrier that was not initialised";
  if (m->phase == parity) bring(signal);
  *yes = m->phase != parity;
  return "";
}

const void* Bulk::settled() {
  std::lock_guard lock(mutex_);
  if (settled_.empty()) return nullptr;
  const void* signal = settled_.back();
  settled_.pop_back();
  return signal;
}

std::string Bulk::address(const void* p, uint32_t* out) const {
  if (!dynamic_.holds(p, 1)) return "an operand outside dynamic shared memory";
  const uintptr_t window = reinterpret_cast<uintptr_t>(dynamic_.begin) / kAtom * kAtom;
  *out = uint32_t(reinterpret_cast<uintptr_t>(p) - window);
  return "";
}

// operand reads width × 16 elements as the descriptor says: bits 0 to 13 are the address, 16 to 29 the leading and 32 to 45 the stride
// byte offset, each by 16, 49 to 51 the base offset, 62 and 63 the swizzle. Along k a row of w is 128 bytes, and 8 of them
// follow 8 others by the stride. Across k a row of k is 128 bytes, 64 elements of w; 8 of them follow 8 others by the stride, and
// the next 64 of w by the leading offset (PTX ISA, "Matrix-descriptor format" and "Canonical layouts").
std::string Bulk::operand(uint64_t descriptor, bool across, int width, std::vector<double>& to) const {
  const uint64_t start = (descriptor & 0x3FFF) << 4, leading = (descriptor >> 16 & 0x3FFF) << 4, stride = (descriptor >> 32 & 0x3FFF) << 4;
  if (descriptor >> 62 != 1) return "a descriptor whose swizzle is not that of 128 bytes";
  if (descriptor >> 49 & 7) return "a descriptor with a base offset";
  const uintptr_t window = reinterpret_cast<uintptr_t>(dynamic_.begin) / kAtom * kAtom;
  to.resize(size_t(width) * 16);
  for (int w = 0; w < width; ++w) {
    for (int k = 0; k < 16; ++k) {
      const uint64_t plain = across ? start + uint64_t(w / 64) * leading + uint64_t(k / 8) * stride + uint64_t(k % 8) * 128 + uint64_t(w % 64) * 2
                                    : start + uint64_t(w / 8) * stride + uint64_t(w % 8) * 128 + uint64_t(k) * 2;
      const char* at = reinterpret_cast<const char*>(window + swizzled(plain));
      if (!dynamic_.holds(at, 2)) return "a descriptor of memory outside dynamic shared memory";
      uint16_t half;
      std::memcpy(&half, at, 2);
      to[size_t(w) * 16 + size_t(k)] = value(half);
    }
  }
  return "";
}

std::string Bulk::multiply(const Multiplication* (&of)[kWarpgroup]) const {
  const Multiplication& m = *of[0];
  for (const Multiplication* other : of) {
    if (!m.same(*other)) return "threads of a warpgroup that ask for different products";
  }
  std::vector<double> a, b;
  std::string wrong = operand(m.a, m.across_a, 64, a);
  if (wrong.empty()) wrong = operand(m.b, m.across_b, m.n, b);
  if (!wrong.empty()) return wrong;
  // Thread 32w + l has of row 16w + l/4 + 8h and columns 8j + 2(l%4) + {0, 1} the registers 4j + 2h + {0, 1}.
  for (int row = 0; row < 64; ++row) {
    for (int j = 0; j < m.n / 8; ++j) {
      float sums[8];
      const auto place = [&](int column) -> float& {
        return of[row / 16 * 32 + row % 8 * 4 + column / 2]->c[4 * j + row / 8 % 2 * 2 + column % 2];
      };
      for (int column = 0; column < 8; ++column) sums[column] = place(column);
      for (int k = 0; k < 16; k += 8) {
        double products[8][8];
        for (int q = 0; q < 8; ++q) {
          for (int column = 0; column < 8; ++column) products[q][column] = a[size_t(row * 16 + k + q)] * b[size_t((8 * j + column) * 16 + k + q)];
        }
        softdriver_add(sums, products);
      }
      for (int column = 0; column < 8; ++column) place(column) = sums[column];
    }
  }
  return "";
}

}  // namespace softdriver

using namespace softdriver;

// A map is of matrices of bfloat16, in boxes with or without swizzle of 128 bytes: what kernels/ uses. The limits are those of the driver's documentation.
SOFTDRIVER_API cuTensorMapEncodeTiled(CUtensorMap* out, CUtensorMapDataType type, cuuint32_t rank, void* data, const cuuint64_t* extents, const cuuint64_t* strides,
                                      const cuuint32_t* box, const cuuint32_t* steps, CUtensorMapInterleave interleave, CUtensorMapSwizzle swizzle,
                                      CUtensorMapL2promotion, CUtensorMapFloatOOBfill fill) {
  if (type != CU_TENSOR_MAP_DATA_TYPE_BFLOAT16 || rank != 2 || interleave != CU_TENSOR_MAP_INTERLEAVE_NONE || fill != CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE ||
      (swizzle != CU_TENSOR_MAP_SWIZZLE_NONE && swizzle != CU_TENSOR_MAP_SWIZZLE_128B)) {
    return CUDA_ERROR_NOT_SUPPORTED;
  }
  const bool swizzled = swizzle == CU_TENSOR_MAP_SWIZZLE_128B;
  const auto legal = [](uint64_t extent) { return extent > 0 && extent <= uint64_t(1) << 32; };
  if (reinterpret_cast<uintptr_t>(out) % 64 || !data || reinterpret_cast<uintptr_t>(data) % 16 || !legal(extents[0]) || !legal(extents[1]) ||
      strides[0] % 16 || strides[0] < 2 * extents[0] || strides[0] >= uint64_t(1) << 40 || box[0] < 1 || box[0] > 256 || box[1] < 1 || box[1] > 256 ||
      2 * box[0] % 16 || (swizzled && 2 * box[0] > 128) || steps[0] != 1 || steps[1] != 1) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  const TensorMap map = {kTensorMap, static_cast<const char*>(data), extents[0], extents[1], strides[0], box[0], box[1], swizzled};
  static_assert(sizeof map <= sizeof *out, "a map has 128 bytes");
  std::memset(out, 0, sizeof *out);
  std::memcpy(out, &map, sizeof map);
  return CUDA_SUCCESS;
}
