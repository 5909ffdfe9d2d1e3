// cublaslt.cpp: libcublasLt.so.13 in software, as far as package cuda/cublaslt calls it: column-major matrices of
// float32, or of bfloat16 with a result of float32, a bias or none. It checks what the documentation of cuBLASLt
// 13.10 asks of handles, layouts, alignments, workspace and algorithms, and works on the software driver's memory in
// the order of its streams. Factors are rounded as the compute type allows; sums are float32.
//
// Long sums are shared where the preference leaves a scheme for it and a workspace: shares of COMPUTE_TYPE lie in the
// workspace and are added in one order. Where the mask allows INPLACE too, as it does unless it is set, that is taken,
// and shares are added in another order at each run: a caller that forgot the mask has sums that are not the same twice.
#include <cuda.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <mutex>
#include <set>
#include <vector>

#include "cublaslt.h"
#include "softdriver.h"

#define API extern "C" __attribute__((visibility("default")))
#define DECLARE(result, name, parameters) API result name parameters;
GPUDAE_CUBLASLT_FUNCTIONS(DECLARE)
#undef DECLARE

namespace {

constexpr int kVersion = 131000;
constexpr uint64_t kMagic = 0x6c746c61736c6275;
constexpr uint64_t kMostAssumed = 16;       // bytes of alignment that an algorithm makes use of
constexpr uint64_t kWorkspaceAlignment = 256;
constexpr uint64_t kLongSum = 512, kShare = 256, kMostShares = 4;

struct Handle {};
struct Layout {
  int type;
  uint64_t rows, columns;
  int64_t ld;
  bool operator==(const Layout& o) const { return type == o.type && rows == o.rows && columns == o.columns && ld == o.ld; }
};
struct Descriptor {
  int compute, scale_type;
  int32_t transpose_a = CUBLAS_OP_N, transpose_b = CUBLAS_OP_N;
  uint32_t epilogue = CUBLASLT_EPILOGUE_DEFAULT;
  const void* bias = nullptr;
};
struct Preference {
  uint64_t workspace = 0;
  uint32_t scheme = CUBLASLT_REDUCTION_SCHEME_MASK;
  uint32_t alignment[4] = {256, 256, 256, 256};  // of A, B, C, D
};

// Live are the objects of a kind that were made and not destroyed.
template <class T>
class Live {
 public:
  template <class... Values>
  int make(void** out, Values... values) {
    if (!out) return CUBLAS_STATUS_INVALID_VALUE;
    std::lock_guard lock(mutex_);
    T* t = new T{values...};
    live_.insert(t);
    *out = t;
    return CUBLAS_STATUS_SUCCESS;
  }
  int destroy(void* p, int unknown) {
    std::lock_guard lock(mutex_);
    if (!live_.erase(static_cast<T*>(p))) return unknown;
    delete static_cast<T*>(p);
    return CUBLAS_STATUS_SUCCESS;
  }
  T* find(void* p) {
    std::lock_guard lock(mutex_);
    return live_.count(static_cast<T*>(p)) ? static_cast<T*>(p) : nullptr;
  }

 private:
  std::mutex mutex_;
  std::set<T*> live_;
};

template <class T>
Live<T>& live() {
  static auto* l = new Live<T>;  // outlives static destruction
  return *l;
}

template <class T>
int set(T* to, const void* value, size_t bytes) {
  if (!value || bytes != sizeof *to) return CUBLAS_STATUS_INVALID_VALUE;
  std::memcpy(to, value, bytes);
  return CUBLAS_STATUS_SUCCESS;
}

uint64_t element(int type) { return type == CUDA_R_16BF ? 2 : 4; }

// Product is a multiplication whose arguments fit together.
struct Product {
  Layout a, b, d;
  int compute;
  bool transpose_a, transpose_b, bias;
  uint64_t m, n, k;
};

// fit reports whether descriptor and layouts describe a product.
int fit(void* descriptor, void* a, void* b, void* c, void* d, Product* out) {
  const Descriptor* op = live<Descriptor>().find(descriptor);
  const Layout *la = live<Layout>().find(a), *lb = live<Layout>().find(b), *lc = live<Layout>().find(c), *ld = live<Layout>().find(d);
  if (!op || !la || !lb || !lc || !ld) return CUBLAS_STATUS_INVALID_VALUE;
  const auto is_operation = [](int32_t t) { return t == CUBLAS_OP_N || t == CUBLAS_OP_T; };
  if (!is_operation(op->transpose_a) || !is_operation(op->transpose_b)) return CUBLAS_STATUS_INVALID_VALUE;
  Product p{*la, *lb, *ld, op->compute, op->transpose_a == CUBLAS_OP_T, op->transpose_b == CUBLAS_OP_T, op->epilogue == CUBLASLT_EPILOGUE_BIAS, ld->rows, ld->columns, 0};
  p.k = p.transpose_a ? la->rows : la->columns;
  if ((p.transpose_a ? la->columns : la->rows) != p.m || (p.transpose_b ? lb->columns : lb->rows) != p.k || (p.transpose_b ? lb->rows : lb->columns) != p.n ||
      !(*lc == *ld) || !p.m || !p.n || !p.k) {
    return CUBLAS_STATUS_INVALID_VALUE;
  }
  for (const Layout* l : {la, lb, ld}) {
    if (l->ld < int64_t(l->rows)) return CUBLAS_STATUS_INVALID_VALUE;
  }
  const bool rounds = op->compute == CUBLAS_COMPUTE_32F_FAST_TF32 || op->compute == CUBLAS_COMPUTE_32F_FAST_16BF;
  const bool factors = la->type == lb->type && (la->type == CUDA_R_32F || (la->type == CUDA_R_16BF && !rounds));
  if (!factors || ld->type != CUDA_R_32F || (!rounds && op->compute != CUBLAS_COMPUTE_32F) || op->scale_type != CUDA_R_32F ||
      (op->epilogue != CUBLASLT_EPILOGUE_DEFAULT && !p.bias)) {
    return CUBLAS_STATUS_NOT_SUPPORTED;
  }
  *out = p;
  return CUBLAS_STATUS_SUCCESS;
}

// Algorithm is what the library hides in a cublasLtMatmulAlgo_t.
struct Algorithm {
  uint64_t magic, product;  // what it is for
  uint32_t scheme, shares;
  uint64_t workspace;
  uint8_t alignment[4];  // logarithms, of A, B, C, D
};
static_assert(sizeof(Algorithm) <= sizeof(cublasLtMatmulAlgo_t));

// fingerprint tells products apart for which an algorithm was chosen (FNV-1a).
uint64_t fingerprint(const Product& p) {
  uint64_t hash = 0xcbf29ce484222325;
  for (const uint64_t word : {uint64_t(p.a.type), uint64_t(p.a.ld), uint64_t(p.b.ld), uint64_t(p.d.ld), uint64_t(p.compute), uint64_t(p.transpose_a), uint64_t(p.transpose_b),
                              uint64_t(p.bias), p.m, p.n, p.k}) {
    hash = (hash ^ word) * 0x100000001b3;
  }
  return hash;
}

// Work is what a stream runs.
struct Work {
  Product product;
  Algorithm algorithm;
  float alpha, beta;
  const void *a, *b, *c, *bias;
  float *d, *workspace;
};

float to_tf32(float x) {  // to nearest, ties away from zero
  uint32_t bits;
  std::memcpy(&bits, &x, 4);
  if ((bits & 0x7f800000) == 0x7f800000) return x;
  bits = (bits + 0x1000) & ~0x1fffu;
  std::memcpy(&x, &bits, 4);
  return x;
}

float to_bf16(float x) {  // to nearest, ties to even
  uint32_t bits;
  std::memcpy(&bits, &x, 4);
  if ((bits & 0x7f800000) == 0x7f800000) return x;
  bits = (bits + 0x7fff + (bits >> 16 & 1)) & 0xffff0000u;
  std::memcpy(&x, &bits, 4);
  return x;
}

// factor reads op(x) of rows×columns as column-major float32, rounded.
std::vector<float> factor(const void* x, const Layout& l, bool transpose, int compute) {
  const uint64_t rows = transpose ? l.columns : l.rows, columns = transpose ? l.rows : l.columns;
  std::vector<float> out(rows * columns);
  for (uint64_t j = 0; j < columns; ++j) {
    for (uint64_t i = 0; i < rows; ++i) {
      const uint64_t at = transpose ? j + i * uint64_t(l.ld) : i + j * uint64_t(l.ld);
      float v;
      if (l.type == CUDA_R_16BF) {
        const uint32_t bits = uint32_t(static_cast<const uint16_t*>(x)[at]) << 16;
        std::memcpy(&v, &bits, 4);
      } else {
        v = static_cast<const float*>(x)[at];
      }
      out[i + j * rows] = compute == CUBLAS_COMPUTE_32F_FAST_TF32 ? to_tf32(v) : compute == CUBLAS_COMPUTE_32F_FAST_16BF ? to_bf16(v) : v;
    }
  }
  return out;
}

// sums adds the terms of a range, in their order, for one column.
void sums(const float* a, const float* b, uint64_t m, uint64_t from, uint64_t to, float* out) {
  std::fill(out, out + m, 0.0f);
  for (uint64_t l = from; l < to; ++l) {
    const float factor = b[l];
    const float* column = a + l * m;
    for (uint64_t i = 0; i < m; ++i) out[i] += column[i] * factor;
  }
}

void multiply(const void* argument) {
  const Work& w = *static_cast<const Work*>(argument);
  const Product& p = w.product;
  const std::vector<float> a = factor(w.a, p.a, p.transpose_a, p.compute), b = factor(w.b, p.b, p.transpose_b, p.compute);
  const uint64_t shares = w.algorithm.shares, depth = (p.k + shares - 1) / shares;
  static uint64_t runs = 0;  // the driver runs one piece of work at a time
  const uint64_t first = w.algorithm.scheme == CUBLASLT_REDUCTION_SCHEME_INPLACE ? runs++ % shares : 0;
  std::vector<float> share(p.m), total(p.m);
  for (uint64_t j = 0; j < p.n; ++j) {
    std::fill(total.begin(), total.end(), 0.0f);
    for (uint64_t s = 0; s < shares; ++s) {
      const uint64_t from = (first + s) % shares * depth;
      float* to = w.algorithm.scheme == CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE ? w.workspace + (s * p.n + j) * p.m : share.data();
      sums(a.data(), b.data() + j * p.k, p.m, from, std::min(from + depth, p.k), to);
      for (uint64_t i = 0; i < p.m; ++i) total[i] += to[i];
    }
    for (uint64_t i = 0; i < p.m; ++i) {
      const uint64_t at = i + j * uint64_t(p.d.ld);
      float v = w.alpha * total[i];
      if (w.beta != 0) v += w.beta * static_cast<const float*>(w.c)[at];
      if (w.bias) v += static_cast<const float*>(w.bias)[i];
      w.d[at] = v;
    }
  }
}

uint64_t bytes_of(const Layout& l) { return (uint64_t(l.ld) * (l.columns - 1) + l.rows) * element(l.type); }

bool aligned(const void* p, uint64_t bytes) { return reinterpret_cast<uintptr_t>(p) % bytes == 0; }

softdriver_span span(const void* p, uint64_t bytes, bool written) { return {const_cast<void*>(p), bytes, written}; }

}  // namespace

API size_t cublasLtGetVersion(void) { return kVersion; }

API const char* cublasLtGetStatusName(int status) {
  switch (status) {
    case CUBLAS_STATUS_SUCCESS: return "CUBLAS_STATUS_SUCCESS";
    case CUBLAS_STATUS_NOT_INITIALIZED: return "CUBLAS_STATUS_NOT_INITIALIZED";
    case CUBLAS_STATUS_INVALID_VALUE: return "CUBLAS_STATUS_INVALID_VALUE";
    case CUBLAS_STATUS_EXECUTION_FAILED: return "CUBLAS_STATUS_EXECUTION_FAILED";
    case CUBLAS_STATUS_NOT_SUPPORTED: return "CUBLAS_STATUS_NOT_SUPPORTED";
    default: return "unrecognized status";
  }
}
API const char* cublasLtGetStatusString(int status) {
  switch (status) {
    case CUBLAS_STATUS_SUCCESS: return "success";
    case CUBLAS_STATUS_NOT_INITIALIZED: return "the library was not initialized";
    case CUBLAS_STATUS_INVALID_VALUE: return "an unsupported value or parameter was passed to the function";
    case CUBLAS_STATUS_EXECUTION_FAILED: return "the function failed to launch on the GPU";
    case CUBLAS_STATUS_NOT_SUPPORTED: return "the requested functionality is not supported";
    default: return "unrecognized status";
  }
}

API int cublasLtCreate(void** handle) {
  CUcontext context = nullptr;
  if (cuCtxGetCurrent(&context) != CUDA_SUCCESS || !context) return CUBLAS_STATUS_NOT_INITIALIZED;
  return live<Handle>().make(handle);
}
API int cublasLtDestroy(void* handle) { return live<Handle>().destroy(handle, CUBLAS_STATUS_NOT_INITIALIZED); }

API int cublasLtMatrixLayoutCreate(void** layout, int type, uint64_t rows, uint64_t columns, int64_t ld) { return live<Layout>().make(layout, type, rows, columns, ld); }
API int cublasLtMatrixLayoutDestroy(void* layout) { return live<Layout>().destroy(layout, CUBLAS_STATUS_INVALID_VALUE); }

API int cublasLtMatmulDescCreate(void** descriptor, int compute, int scale_type) { return live<Descriptor>().make(descriptor, compute, scale_type); }
API int cublasLtMatmulDescDestroy(void* descriptor) { return live<Descriptor>().destroy(descriptor, CUBLAS_STATUS_INVALID_VALUE); }
API int cublasLtMatmulDescSetAttribute(void* descriptor, int attribute, const void* value, size_t bytes) {
  Descriptor* d = live<Descriptor>().find(descriptor);
  if (!d) return CUBLAS_STATUS_INVALID_VALUE;
  switch (attribute) {
    case CUBLASLT_MATMUL_DESC_TRANSA: return set(&d->transpose_a, value, bytes);
    case CUBLASLT_MATMUL_DESC_TRANSB: return set(&d->transpose_b, value, bytes);
    case CUBLASLT_MATMUL_DESC_EPILOGUE: return set(&d->epilogue, value, bytes);
    case CUBLASLT_MATMUL_DESC_BIAS_POINTER: return set(&d->bias, value, bytes);
    default: return CUBLAS_STATUS_INVALID_VALUE;
  }
}

API int cublasLtMatmulPreferenceCreate(void** preference) { return live<Preference>().make(preference); }
API int cublasLtMatmulPreferenceDestroy(void* preference) { return live<Preference>().destroy(preference, CUBLAS_STATUS_INVALID_VALUE); }
API int cublasLtMatmulPreferenceSetAttribute(void* preference, int attribute, const void* value, size_t bytes) {
  Preference* p = live<Preference>().find(preference);
  if (!p) return CUBLAS_STATUS_INVALID_VALUE;
  switch (attribute) {
    case CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES: return set(&p->workspace, value, bytes);
    case CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK: return set(&p->scheme, value, bytes);
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES: return set(&p->alignment[0], value, bytes);
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES: return set(&p->alignment[1], value, bytes);
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES: return set(&p->alignment[2], value, bytes);
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES: return set(&p->alignment[3], value, bytes);
    default: return CUBLAS_STATUS_INVALID_VALUE;
  }
}

API int cublasLtMatmulAlgoGetHeuristic(void* handle, void* descriptor, void* a, void* b, void* c, void* d, void* preference, int requested,
                                       cublasLtMatmulHeuristicResult_t* results, int* returned) {
  const Preference* wanted = live<Preference>().find(preference);
  if (!live<Handle>().find(handle)) return CUBLAS_STATUS_NOT_INITIALIZED;
  if (!wanted || requested <= 0 || !results || !returned) return CUBLAS_STATUS_INVALID_VALUE;
  Product p;
  if (const int status = fit(descriptor, a, b, c, d, &p)) return status;
  Algorithm chosen{kMagic, fingerprint(p), CUBLASLT_REDUCTION_SCHEME_NONE, 1, 0, {}};
  const uint64_t needed[4] = {element(p.a.type), element(p.b.type), 4, 4};
  for (int i = 0; i < 4; ++i) {
    const uint64_t given = wanted->alignment[i];
    if (!given || given & (given - 1) || given < needed[i]) return CUBLAS_STATUS_INVALID_VALUE;
    while ((2u << chosen.alignment[i]) <= std::min(given, kMostAssumed)) ++chosen.alignment[i];
  }
  if (p.k >= kLongSum) {
    const uint64_t shares = std::min(kMostShares, p.k / kShare), bytes = 4 * shares * p.m * p.n;
    if (wanted->scheme & CUBLASLT_REDUCTION_SCHEME_INPLACE) {
      chosen.scheme = CUBLASLT_REDUCTION_SCHEME_INPLACE, chosen.shares = uint32_t(shares);
    } else if (wanted->scheme & CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE && bytes <= wanted->workspace) {
      chosen.scheme = CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE, chosen.shares = uint32_t(shares), chosen.workspace = bytes;
    }
  }
  std::memset(results, 0, sizeof *results);
  std::memcpy(&results->algo, &chosen, sizeof chosen);
  results->workspaceSize = chosen.workspace;
  results->state = CUBLAS_STATUS_SUCCESS;
  results->wavesCount = 1;
  *returned = 1;
  return CUBLAS_STATUS_SUCCESS;
}

API int cublasLtMatmul(void* handle, void* descriptor, const void* alpha, const void* a, void* a_layout, const void* b, void* b_layout, const void* beta, const void* c,
                       void* c_layout, void* d, void* d_layout, const cublasLtMatmulAlgo_t* algorithm, void* workspace, size_t bytes, void* stream) {
  if (!live<Handle>().find(handle)) return CUBLAS_STATUS_NOT_INITIALIZED;
  if (!alpha || !beta || !algorithm) return CUBLAS_STATUS_INVALID_VALUE;
  Work w{};
  if (const int status = fit(descriptor, a_layout, b_layout, c_layout, d_layout, &w.product)) return status;
  const Product& p = w.product;
  std::memcpy(&w.algorithm, algorithm, sizeof w.algorithm);
  if (w.algorithm.magic != kMagic || w.algorithm.product != fingerprint(p)) return CUBLAS_STATUS_INVALID_VALUE;
  std::memcpy(&w.alpha, alpha, 4);
  std::memcpy(&w.beta, beta, 4);
  w.a = a, w.b = b, w.c = c, w.d = static_cast<float*>(d), w.workspace = static_cast<float*>(workspace);
  const void* operands[4] = {a, b, c, d};
  for (int i = 0; i < 4; ++i) {
    if (!operands[i] || !aligned(operands[i], 1ull << w.algorithm.alignment[i])) return CUBLAS_STATUS_INVALID_VALUE;
  }
  if (!aligned(workspace, kWorkspaceAlignment) || bytes < w.algorithm.workspace || (w.algorithm.workspace && !workspace)) return CUBLAS_STATUS_INVALID_VALUE;
  std::vector<softdriver_span> spans = {span(a, bytes_of(p.a), false), span(b, bytes_of(p.b), false), span(d, bytes_of(p.d), true)};
  if (w.beta != 0) spans.push_back(span(c, bytes_of(p.d), false));
  if (w.algorithm.workspace) spans.push_back(span(workspace, w.algorithm.workspace, true));
  if (p.bias) {
    w.bias = live<Descriptor>().find(descriptor)->bias;
    if (!w.bias || !aligned(w.bias, 4)) return CUBLAS_STATUS_INVALID_VALUE;
    spans.push_back(span(w.bias, 4 * p.m, false));
  }
  return softdriver_submit(stream, "cublasLtMatmul", spans.data(), int(spans.size()), multiply, &w, sizeof w) ? CUBLAS_STATUS_EXECUTION_FAILED : CUBLAS_STATUS_SUCCESS;
}
