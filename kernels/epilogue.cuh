// epilogue.cuh: what becomes of the sums of a dense layer's products as they leave
// the registers, by rows of four: see gemm.cuh and tensor.cuh.
#pragma once

#include "activation.cuh"
#include "apply.cuh"
#include "mma.cuh"
#include "vector.cuh"

namespace gpudae {

// Beside is where a copy in bfloat16 of what a product leaves goes, if it is there (see narrow.cu). What lies behind the end of
// its rows is 0 from before, and stays so.
struct Beside {
  uint16_t* copy = nullptr;
  int64_t stride = 0;
  __device__ void operator()(int64_t row, int64_t column, int64_t count, const Quad& q) const {
    if (!copy) return;
    const auto at = [&](int l) { return l < count ? q.at[l] : 0.0f; };
    *reinterpret_cast<uint2*>(copy + row * stride + column) = make_uint2(to_bf16(at(0), at(1)), to_bf16(at(2), at(3)));
  }
};

// Output applies bias and activation to four sums of a row and stores them.
struct Output {
  int64_t n;
  const float* bias;
  int act;
  float *pre, *y;
  Beside beside = {};
  __device__ void operator()(int64_t row, int64_t column, int64_t count, Quad sums) const {
    if (bias) {
      const Quad b = load_quad(bias + column, count);
#pragma unroll
      for (int l = 0; l < 4; ++l) sums.at[l] += b.at[l];
    }
    if (pre) store_quad(pre + row * n + column, count, sums);
    if (act != kIdentity) {
      const float4 a = activate_quad(act, make_float4(sums.at[0], sums.at[1], sums.at[2], sums.at[3]));
      sums = {{a.x, a.y, a.z, a.w}};
    }
    store_quad(y + row * n + column, count, sums);
    beside(row, column, count, sums);
  }
};

// InputGradient multiplies four sums of a row by act' and stores them.
struct InputGradient {
  int64_t n;
  int act;
  const float* source;
  float* dx;
  Beside beside = {};
  __device__ void operator()(int64_t row, int64_t column, int64_t count, Quad sums) const {
    if (act != kIdentity) {
      const Quad from = load_quad(source + row * n + column, count);
      const float4 d = derivative_quad(act, make_float4(from.at[0], from.at[1], from.at[2], from.at[3]));
      sums = {{sums.at[0] * d.x, sums.at[1] * d.y, sums.at[2] * d.z, sums.at[3] * d.w}};
    }
    store_quad(dx + row * n + column, count, sums);
    beside(row, column, count, sums);
  }
};

// WeightGradient stores four sums of a row, or adds them to what is there, and takes
// the squares of what it stores together. With a rule it updates the parameters in place of storing, once W may be written, and
// leaves a copy of them.
struct WeightGradient {
  int64_t n, accumulate;
  float *dw, *squares;
  const Applying* rule = nullptr;
  bool* waited = nullptr;  // of the thread
  Beside beside = {};
  __device__ void operator()(int64_t row, int64_t column, int64_t count, Quad sums) const {
    float* to = dw + row * n + column;
    if (accumulate && !(kFewRegisters && rule)) {  // with a rule nothing is added
      const Quad before = load_quad(to, count);
#pragma unroll
      for (int l = 0; l < 4; ++l) sums.at[l] += before.at[l];
    }
#pragma unroll
    for (int l = 0; l < 4; ++l) *squares += l < count ? sums.at[l] * sums.at[l] : 0.0f;
    if (!rule) {
      store_quad(to, count, sums);
      return;
    }
    if (rule->step.skipped) return;
    const auto ready = [this] {
      if (!*waited) rule->wait();
      *waited = true;
    };
    const int inside = count < 4 ? int(count) : 4;
    rule->update(to, inside, sums, ready, [&](const Quad& theta) { beside(row, column, inside, theta); });
  }
};

}  // namespace gpudae
