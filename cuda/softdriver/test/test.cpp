// test.cpp: that the software driver does what a driver does, and that each of
// its detectors fires. Usage: test VARIANT. Every case runs in a process of its
// own, since a fault is for good; its standard error is compared with what the
// case expects of the variant.
#include <cuda.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "../softdriver.h"
#include "cublaslt.h"

#define CHECK(condition)                                                     \
  do {                                                                       \
    if (!(condition)) {                                                      \
      std::fprintf(stderr, "test.cpp:%d: %s is false\n", __LINE__, #condition); \
      std::_Exit(3);                                                         \
    }                                                                        \
  } while (0)
#define OK(call)                                                                              \
  do {                                                                                        \
    const CUresult result_ = (call);                                                          \
    if (result_) std::fprintf(stderr, "test.cpp:%d: %s answers %d\n", __LINE__, #call, result_), std::_Exit(3); \
  } while (0)

#define DECLARE(result, name, parameters) extern "C" result name parameters;
GPUDAE_CUBLASLT_FUNCTIONS(DECLARE)
#undef DECLARE

namespace {

std::string variant;
CUmodule module_;
CUstream stream;

void open() {
  OK(cuInit(0));
  CUcontext context;
  OK(cuDevicePrimaryCtxRetain(&context, 0));
  OK(cuCtxSetCurrent(context));
  const char* ptx = "//";
  OK(cuModuleLoadData(&module_, ptx));
  OK(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
}

CUdeviceptr allocate(size_t n) {
  CUdeviceptr p;
  OK(cuMemAlloc(&p, n * 4));
  return p;
}

CUdeviceptr upload(const std::vector<float>& x) {
  const CUdeviceptr p = allocate(x.size());
  OK(cuMemcpyHtoD(p, x.data(), x.size() * 4));
  return p;
}

std::vector<float> download(CUdeviceptr p, size_t n) {
  std::vector<float> x(n);
  OK(cuMemcpyDtoH(x.data(), p, n * 4));
  return x;
}

std::vector<float> ramp(size_t n) {
  std::vector<float> x(n);
  for (size_t i = 0; i < n; ++i) x[i] = float(i) - 3;
  return x;
}

CUresult launch(const char* name, unsigned grid, unsigned block, std::vector<uint64_t> words, unsigned dynamic = 0) {
  CUfunction f;
  OK(cuModuleGetFunction(&f, module_, name));
  std::vector<void*> cells;
  for (uint64_t& w : words) cells.push_back(&w);
  return cuLaunchKernel(f, grid, 1, 1, block, 1, 1, dynamic, stream, cells.data(), nullptr);
}

// finish is what a program sees at its next synchronisation.
CUresult finish() { return cuStreamSynchronize(stream); }

softdriver_counters counters() {
  softdriver_counters c;
  softdriver_read(&c);
  return c;
}

// ---- what works

void totals_agree_at_any_order() {
  const CUdeviceptr x = upload(ramp(5000)), totals = allocate(7);
  std::vector<float> first;
  for (int seed = 0; seed < 8; ++seed) {
    softdriver_set("SOFTDRIVER_SEED", std::to_string(seed).c_str());
    OK(launch("block_totals", 7, 96, {x, totals, 5000}));
    OK(finish());
    const std::vector<float> got = download(totals, 7);
    if (seed == 0) first = got;
    CHECK(std::memcmp(got.data(), first.data(), 28) == 0);
  }
  double sum = 0;
  for (float v : first) sum += v;
  CHECK(sum == 5000.0 * 4999 / 2 - 15000);
}

void dynamic_shared_memory_reverses() {
  const std::vector<float> in = ramp(200);
  const CUdeviceptr x = upload(in), y = allocate(200);
  CHECK(launch("reverse_dynamic", 1, 200, {x, y}, 60 << 10) == CUDA_ERROR_INVALID_VALUE);
  OK(launch("reverse_dynamic", 1, 200, {x, y}, 800));
  OK(finish());
  const std::vector<float> out = download(y, 200);
  for (size_t i = 0; i < 200; ++i) CHECK(out[i] == in[199 - i]);
}

void votes_count_lanes() {
  std::vector<float> x(64, 1);
  x[3] = -1;
  const CUdeviceptr in = upload(x), out = allocate(6);
  OK(launch("warp_votes", 1, 64, {in, out}));
  OK(finish());
  unsigned votes[6];
  OK(cuMemcpyDtoH(votes, out, 24));
  const unsigned want[6] = {~8u, 1, 0, ~0u, 1, 1};
  CHECK(std::memcmp(votes, want, 24) == 0);
}

void atomics_count() {
  const CUdeviceptr x = upload(ramp(1024)), count = allocate(1);
  OK(cuMemsetD32Async(count, 0, 1, stream));
  OK(launch("count_positive", 4, 256, {x, count}));
  OK(finish());
  unsigned n;
  OK(cuMemcpyDtoH(&n, count, 4));
  CHECK(n == 1020);
}

void tickets_order_blocks() {
  const CUdeviceptr x = upload(ramp(64)), sums = allocate(8 * 64), ticket = allocate(1);
  OK(cuMemsetD32Async(ticket, 0, 1, stream));
  for (int run = 0; run < 2; ++run) OK(launch("last_block_writes", 8, 64, {x, sums, ticket}));
  OK(finish());
  const std::vector<float> was = ramp(64), got = download(x, 64);
  for (int i = 0; i < 64; ++i) CHECK(got[size_t(i)] == 8 * (8 * was[size_t(i)] + 28) + 28);
}

CUdeviceptr two_counts() {
  const CUdeviceptr counts = allocate(2);
  OK(cuMemsetD32Async(counts, 0, 2, stream));
  return counts;
}

// Blocks wait for those that have started before them, in plain order and drawn ones.
void writers_wait() {
  const CUdeviceptr counts = two_counts();
  for (int seed = 0; seed < 20; ++seed) {
    softdriver_set("SOFTDRIVER_SEED", std::to_string(seed).c_str());
    const CUdeviceptr x = upload(ramp(64)), sums = allocate(4 * 64);
    OK(launch("writers_wait_for_readers", 8, 64, {x, sums, counts}));
    OK(finish());
    const std::vector<float> was = ramp(64), got = download(sums, 4 * 64);
    for (int i = 0; i < 4 * 64; ++i) CHECK(got[size_t(i)] == was[size_t(i % 64)]);
    for (const float v : download(x, 64)) CHECK(v == -1);
    unsigned left[2];
    OK(cuMemcpyDtoH(left, counts, 8));
    CHECK(left[0] == 0 && left[1] == 0);
  }
}

// Two clusters of four blocks, in plain order and drawn ones.
void clusters_wait_for_each_other() {
  constexpr int kRounds = 6;
  for (int seed = 0; seed < 20; ++seed) {
    softdriver_set("SOFTDRIVER_SEED", std::to_string(seed).c_str());
    const CUdeviceptr x = upload(ramp(8 * 64));
    OK(launch("cluster_hands_on", 8, 64, {x, kRounds}));
    OK(finish());
    const std::vector<float> was = ramp(8 * 64), got = download(x, 8 * 64);
    for (int b = 0; b < 8; ++b) {
      for (int i = 0; i < 64; ++i) CHECK(got[size_t(b * 64 + i)] == was[size_t((b / 4 * 4 + (b + kRounds) % 4) * 64 + i)] + kRounds);
    }
  }
}

void clusters_have_to_fit() {
  CUfunction f;
  int width = -1;
  OK(cuModuleGetFunction(&f, module_, "cluster_hands_on"));
  OK(cuFuncGetAttribute(&width, CU_FUNC_ATTRIBUTE_REQUIRED_CLUSTER_WIDTH, f));
  CHECK(width == 4);
  const CUdeviceptr x = upload(ramp(8 * 64));
  CHECK(launch("cluster_hands_on", 6, 64, {x, 1}) == CUDA_ERROR_INVALID_CLUSTER_SIZE);
  softdriver_set("SOFTDRIVER_CAPABILITY", "86");
  CHECK(launch("cluster_hands_on", 8, 64, {x, 1}) == CUDA_ERROR_INVALID_CLUSTER_SIZE);
  OK(cuFuncGetAttribute(&width, CU_FUNC_ATTRIBUTE_REQUIRED_CLUSTER_WIDTH, f));
  CHECK(width == 0);
}

// Read too early, what others write is there or not.
void cluster_reads_early() {
  softdriver_set("SOFTDRIVER_SEED", "1");  // blocks in turn
  const CUdeviceptr totals = allocate(4 * 64);
  OK(launch("bug_cluster_reads_early", 4, 64, {upload(ramp(64)), allocate(4 * 64), totals}));
  if (finish()) return;
  for (const float v : download(totals, 4 * 64)) {
    if (std::isnan(v)) {
      std::fprintf(stderr, "NaN in the result\n");
      return;
    }
  }
}

void cluster_writes_early() {
  std::vector<float> first;
  for (int seed = 1; seed < 20; ++seed) {
    softdriver_set("SOFTDRIVER_SEED", std::to_string(seed).c_str());
    const CUdeviceptr x = upload(ramp(4 * 64));
    OK(launch("bug_cluster_writes_early", 4, 64, {x}));
    if (finish()) return;
    const std::vector<float> got = download(x, 4 * 64);
    if (first.empty()) first = got;
    if (got != first) {
      std::fprintf(stderr, "depends on the order of blocks\n");
      return;
    }
  }
}

void block_leaves_cluster() {
  launch("bug_block_leaves_cluster", 4, 64, {allocate(4 * 64)});
  finish();
}

void barrier_without_cluster() {
  launch("bug_barrier_without_cluster", 1, 64, {allocate(64)});
  finish();
}

// Factors of a product: A is 16×k, B k×8, C 16×8.
struct Factors {
  int k;
  std::vector<float> a, b, c;
};

Factors factors(int k, float (*element)(int)) {
  Factors f = {k, std::vector<float>(size_t(16 * k)), std::vector<float>(size_t(8 * k)), std::vector<float>(128)};
  int n = 0;
  for (auto* matrix : {&f.a, &f.b, &f.c}) {
    for (float& v : *matrix) v = element(n++);
  }
  return f;
}

// off is the largest error of d, in parts of the sum of the terms' magnitudes.
double off(const Factors& f, const std::vector<float>& d) {
  double worst = 0;
  for (int i = 0; i < 16; ++i) {
    for (int j = 0; j < 8; ++j) {
      double sum = f.c[size_t(i * 8 + j)], size = std::fabs(sum);
      for (int q = 0; q < f.k; ++q) {
        const double term = double(f.a[size_t(i * f.k + q)]) * double(f.b[size_t(q * 8 + j)]);
        sum += term, size += std::fabs(term);
      }
      worst = std::fmax(worst, std::fabs(d[size_t(i * 8 + j)] - sum) / size);
    }
  }
  return worst;
}

std::vector<float> multiply(const char* kernel, const Factors& f, std::vector<uint64_t> more = {}) {
  const CUdeviceptr d = allocate(128);
  std::vector<uint64_t> words = {upload(f.a), upload(f.b), upload(f.c), d};
  words.insert(words.end(), more.begin(), more.end());
  OK(launch(kernel, 1, 32, words));
  OK(finish());
  return download(d, 128);
}

float integer(int n) { return float(n * 37 % 29 - 14); }
float fraction(int n) { return std::sin(float(n) * 12.9898f); }

void fragments_lie_as_documented() {  // integers: every sum is exact, so one wrong place shows
  for (int seed = 0; seed < 4; ++seed) {
    softdriver_set("SOFTDRIVER_SEED", std::to_string(seed).c_str());
    const Factors narrow = factors(8, integer), wide = factors(16, integer);
    CHECK(off(narrow, multiply("product_tf32", narrow, {1})) == 0);
    CHECK(off(wide, multiply("product_bf16", wide)) == 0);
  }
}

void products_err_as_their_operands_do() {
  const Factors narrow = factors(8, fraction), wide = factors(16, fraction);
  const double rounded = off(narrow, multiply("product_tf32", narrow, {1})), cut = off(narrow, multiply("product_tf32", narrow, {0})),
               coarse = off(wide, multiply("product_bf16", wide));
  CHECK(rounded > 0x1p-16 && rounded < 0x1p-10 + 0x1p-19);  // two operands of half a unit in 2⁻¹⁰ each
  CHECK(cut > rounded && cut < 0x1p-9 + 0x1p-19);
  CHECK(coarse > 0x1p-13 && coarse < 0x1p-7 + 0x1p-16);
}

void sums_are_cut_off() {
  Factors f = factors(8, [](int) { return 0.0f; });
  const auto sum = [&](float c, float x, float y) {  // c + x + y, all in one sum
    f.c[0] = c, f.a[0] = x, f.a[1] = y, f.b[0] = f.b[8] = 1;
    return multiply("product_tf32", f, {1})[0];
  };
  CHECK(sum(1, 0x1.8p-24f, 0) == 1);              // nearest would be 1 + 2⁻²³
  CHECK(sum(-1, -0x1.8p-24f, 0) == -1);
  CHECK(sum(1, 0x1p-24f, 0x1p-24f) == 1);         // each is cut by itself
  CHECK(sum(1, -1, 0x1p-24f) == 0);               // also where the large ones cancel
  CHECK(sum(0, 0x1p-130f, 0) == 0x1p-130f);       // subnormal numbers count
  CHECK(std::isinf(sum(INFINITY, 1, 0)) && std::isnan(sum(INFINITY, -INFINITY, 0)) && std::isnan(sum(0, NAN, 0)));
  for (const auto& [far, kernel] : {std::pair{4, "product_tf32"}, std::pair{8, "product_bf16"}}) {  // the second group is a sum of its own
    f = factors(2 * far, [](int) { return 0.0f; });
    f.c[0] = 1, f.a[0] = -1, f.a[size_t(far)] = 0x1p-24f, f.b[0] = f.b[size_t(far * 8)] = 1;
    CHECK(multiply(kernel, f, far == 4 ? std::vector<uint64_t>{1} : std::vector<uint64_t>{})[0] == 0x1p-24f);
  }
}

void operands_are_rounded() {
  std::vector<float> x(64, 0);
  const float given[] = {1, 0x1.001p0f, 0x1.002p0f, 0x1.003p0f, -0x1.001p0f, 0x1.ffffp0f, INFINITY, NAN, 0x1.01p0f, 0x1.03p0f, 0x1p-149f};
  const unsigned tf32[] = {0x3F800000, 0x3F800000, 0x3F802000, 0x3F802000, 0xBF800000, 0x40000000, 0x7F800000, 0x7FFFFFFF,
                           0x3F808000, 0x3F818000, 0};
  const unsigned bf16[] = {0x3F80, 0x3F80, 0x3F80, 0x3F80, 0xBF80, 0x4000, 0x7F80, 0x7FFF, 0x3F80, 0x3F82, 0};
  std::copy(std::begin(given), std::end(given), x.begin());
  const CUdeviceptr in = upload(x), out = allocate(64), halves = allocate(64);
  OK(launch("round_operands", 1, 64, {in, out, halves}));
  OK(finish());
  unsigned got[64], pair[64];
  OK(cuMemcpyDtoH(got, out, 256));
  OK(cuMemcpyDtoH(pair, halves, 256));
  for (size_t i = 0; i < std::size(given); ++i) {
    CHECK(got[i] == tf32[i]);
    CHECK((pair[i] & 0xFFFF) == bf16[i]);
    CHECK(pair[i] >> 16 == (std::isnan(given[i]) ? bf16[i] : bf16[i] ^ 0x8000));
  }
}

void matrices_lie_as_documented() {
  const CUdeviceptr out = allocate(128);
  for (unsigned transposed = 0; transposed < 2; ++transposed) {
    OK(launch("load_matrices", 1, 32, {out, transposed}));
    OK(finish());
    unsigned got[128];
    OK(cuMemcpyDtoH(got, out, 512));
    for (unsigned lane = 0; lane < 32; ++lane) {
      for (unsigned m = 0; m < 4; ++m) {
        const unsigned i = lane / 4, j = lane % 4 * 2;  // row and first column, or of the transposed matrix
        const unsigned first = m * 64 + (transposed ? j * 8 + i : i * 8 + j), second = m * 64 + (transposed ? (j + 1) * 8 + i : i * 8 + j + 1);
        CHECK(got[lane * 4 + m] == (first | second << 16));
      }
    }
  }
}

void copies_arrive_in_groups() {
  const std::vector<float> in = ramp(1000);
  const CUdeviceptr x = upload(in), y = allocate(1024);
  for (int seed = 0; seed < 8; ++seed) {
    softdriver_set("SOFTDRIVER_SEED", std::to_string(seed).c_str());
    OK(launch("copy_through_buffers", 1, 64, {x, y, 4, 1000 - 768}));
    OK(finish());
    const std::vector<float> out = download(y, 1024);
    for (size_t i = 0; i < 1024; ++i) {
      const size_t from = i / 256 * 256 + 255 - i % 256;
      CHECK(out[i] == (from < 1000 ? in[from] : 0));
    }
  }
}

void fresh_memory_is_nan() {
  for (float v : download(allocate(100), 100)) CHECK(std::isnan(v));
}

void pinned_memory_is_stale_until_synchronised() {
  const CUdeviceptr x = upload(std::vector<float>(256, 1));
  float* host;
  OK(cuMemHostAlloc(reinterpret_cast<void**>(&host), 1024, 0));
  for (int round = 0; round < 2; ++round) {
    OK(launch("add_one", 1, 256, {x}));
    OK(cuMemcpyDtoHAsync(host, x, 1024, stream));
    CHECK(std::isnan(host[0]));
    OK(finish());
    CHECK(host[0] == float(round + 2));
  }
}

void registered_memory_is_read_where_it_lies() {
  std::vector<float> host(256, 7);
  OK(cuMemHostRegister(host.data(), 1024, CU_MEMHOSTREGISTER_DEVICEMAP));
  CHECK(cuMemHostRegister(host.data(), 1024, CU_MEMHOSTREGISTER_DEVICEMAP) == CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED);
  CUdeviceptr p;
  OK(cuMemHostGetDevicePointer(&p, host.data(), 0));
  OK(launch("add_one", 1, 256, {p}));
  OK(finish());
  CHECK(host[0] == 8 && host[255] == 8);
  OK(cuMemHostUnregister(host.data()));
  CHECK(host[0] == 8);  // it is the program's
  CHECK(cuMemHostUnregister(host.data()) == CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED);
}

void graphs_replay_and_count() {
  const CUdeviceptr x = upload(std::vector<float>(256, 0));
  float* host;
  OK(cuMemHostAlloc(reinterpret_cast<void**>(&host), 1024, 0));
  OK(cuStreamBeginCapture(stream, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL));
  OK(launch("add_one", 1, 256, {x}));
  OK(launch("add_one", 1, 256, {x}));
  OK(cuMemcpyDtoHAsync(host, x, 1024, stream));
  CUgraph graph;
  OK(cuStreamEndCapture(stream, &graph));
  CUgraphExec exec;
  OK(cuGraphInstantiate(&exec, graph, 0));
  OK(cuGraphDestroy(graph));
  softdriver_reset();
  for (int i = 0; i < 5; ++i) OK(cuGraphLaunch(exec, stream));
  CHECK(std::isnan(host[0]));
  CHECK(counters().synchronizations == 0 && counters().kernels == 0);
  OK(finish());
  CHECK(host[0] == 10);
  const softdriver_counters c = counters();
  CHECK(c.graph_launches == 5 && c.launches == 0 && c.kernels == 10 && c.synchronizations == 1 && c.to_host == 5 && c.to_host_bytes == 5120 && c.to_device == 0);
  CHECK(softdriver_ran("add_one") == 10 && softdriver_ran("block_totals") == 0);
}

void branches_of_a_graph_join() {
  const CUdeviceptr x = upload(std::vector<float>(256, 0)), y = upload(std::vector<float>(256, 5));
  CUstream side;
  CUevent fork, join;
  OK(cuStreamCreate(&side, CU_STREAM_NON_BLOCKING));
  OK(cuEventCreate(&fork, 0));
  OK(cuEventCreate(&join, 0));
  CUgraph graph;
  for (const bool joins : {false, true}) {
    OK(cuStreamBeginCapture(stream, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL));
    OK(launch("add_one", 1, 256, {x}));
    OK(cuEventRecord(fork, stream));
    OK(cuStreamWaitEvent(side, fork, 0));
    OK(cuMemcpyDtoDAsync(y, x, 1024, side));
    OK(cuEventRecord(join, side));
    if (joins) OK(cuStreamWaitEvent(stream, join, 0));
    CHECK(cuStreamEndCapture(stream, &graph) == (joins ? CUDA_SUCCESS : CUDA_ERROR_STREAM_CAPTURE_UNJOINED));
  }
  CUgraphExec exec;
  OK(cuGraphInstantiate(&exec, graph, 0));
  for (int seed = 0; seed < 5; ++seed) {
    softdriver_set("SOFTDRIVER_SEED", std::to_string(seed).c_str());
    OK(cuGraphLaunch(exec, stream));
    OK(finish());
    CHECK(download(y, 1)[0] == float(seed + 1));
  }
}

void updated_graphs_take_new_arguments() {
  const CUdeviceptr x = upload(std::vector<float>(256, 0)), y = upload(std::vector<float>(256, 0));
  CUgraph graphs[2];
  CUgraphExec exec;
  for (int i = 0; i < 2; ++i) {
    OK(cuStreamBeginCapture(stream, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL));
    OK(launch("add_one", 1, 256, {i ? y : x}));
    OK(cuStreamEndCapture(stream, &graphs[i]));
  }
  OK(cuGraphInstantiate(&exec, graphs[0], 0));
  OK(cuGraphLaunch(exec, stream));
  CUgraphExecUpdateResultInfo info;
  OK(cuGraphExecUpdate(exec, graphs[1], &info));
  OK(cuGraphLaunch(exec, stream));
  OK(finish());
  CHECK(download(x, 1)[0] == 1 && download(y, 1)[0] == 1);
}

void updates_of_another_form_are_refused() {
  const CUdeviceptr x = upload(std::vector<float>(256, 0));
  CUgraph graphs[2];
  CUgraphExec exec;
  for (int i = 0; i < 2; ++i) {
    OK(cuStreamBeginCapture(stream, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL));
    for (int n = 0; n <= i; ++n) OK(launch("add_one", 1, 256, {x}));
    OK(cuStreamEndCapture(stream, &graphs[i]));
  }
  OK(cuGraphInstantiate(&exec, graphs[0], 0));
  CUgraphExecUpdateResultInfo info;
  CHECK(cuGraphExecUpdate(exec, graphs[1], &info) == CUDA_ERROR_GRAPH_EXEC_UPDATE_FAILURE);
  CHECK(info.result == CU_GRAPH_EXEC_UPDATE_ERROR_TOPOLOGY_CHANGED);
  OK(cuGraphLaunch(exec, stream));
  OK(finish());
  CHECK(download(x, 1)[0] == 1);
}

void function_attributes_hold() {
  CUfunction f;
  int value;
  OK(cuModuleGetFunction(&f, module_, "reverse_dynamic"));
  OK(cuFuncGetAttribute(&value, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, f));
  CHECK(value == 48 << 10);
  const CUdeviceptr x = upload(ramp(200)), y = allocate(200);
  CHECK(launch("reverse_dynamic", 1, 200, {x, y}, 60 << 10) == CUDA_ERROR_INVALID_VALUE);
  OK(cuFuncSetAttribute(f, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, 60 << 10));
  OK(launch("reverse_dynamic", 1, 200, {x, y}, 60 << 10));
  OK(finish());
  CHECK(download(y, 1)[0] == 196);
  OK(cuFuncSetAttribute(f, CU_FUNC_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT, 50));
  OK(cuFuncGetAttribute(&value, CU_FUNC_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT, f));
  CHECK(value == 50);
  CHECK(cuFuncSetAttribute(f, CU_FUNC_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT, 101) == CUDA_ERROR_INVALID_VALUE);
  CHECK(cuFuncSetAttribute(f, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, 228 << 10) == CUDA_ERROR_INVALID_VALUE);
  CHECK(cuFuncSetAttribute(f, CU_FUNC_ATTRIBUTE_NUM_REGS, 8) == CUDA_ERROR_INVALID_VALUE);
}

CUmemoryPool make_pool() {
  CUmemPoolProps p{};
  p.allocType = CU_MEM_ALLOCATION_TYPE_PINNED;
  p.location.type = CU_MEM_LOCATION_TYPE_DEVICE;
  CUmemoryPool pool;
  OK(cuMemPoolCreate(&pool, &p));
  return pool;
}

uint64_t pool_bytes(CUmemoryPool pool, CUmemPool_attribute attribute) {
  cuuint64_t value;
  OK(cuMemPoolGetAttribute(pool, attribute, &value));
  return value;
}

// A pool keeps what is freed until the host waits, or longer if it is told to.
void pools_keep_what_is_freed() {
  softdriver_set("SOFTDRIVER_MEMORY", "10000");
  const CUmemoryPool pool = make_pool();
  CUdeviceptr p, q;
  size_t free, total;
  OK(cuMemAllocFromPoolAsync(&p, 6000, pool, stream));
  CHECK(cuMemAllocFromPoolAsync(&q, 6000, pool, stream) == CUDA_ERROR_OUT_OF_MEMORY);
  softdriver_reset();
  OK(cuMemFreeAsync(p, stream));
  CHECK(pool_bytes(pool, CU_MEMPOOL_ATTR_USED_MEM_CURRENT) == 6000);  // in the order of the stream
  CHECK(counters().synchronizations == 0);
  OK(finish());
  CHECK(pool_bytes(pool, CU_MEMPOOL_ATTR_USED_MEM_CURRENT) == 0 && pool_bytes(pool, CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT) == 0);
  cuuint64_t keep = 5000;
  OK(cuMemPoolSetAttribute(pool, CU_MEMPOOL_ATTR_RELEASE_THRESHOLD, &keep));
  OK(cuMemAllocFromPoolAsync(&p, 6000, pool, stream));
  OK(cuMemFreeAsync(p, stream));
  OK(finish());
  CHECK(pool_bytes(pool, CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT) == 5000);
  OK(cuMemGetInfo(&free, &total));
  CHECK(free == 5000);
  CHECK(cuMemAlloc(&q, 6000) == CUDA_ERROR_OUT_OF_MEMORY);
  OK(cuMemAllocFromPoolAsync(&p, 6000, pool, stream));  // 5000 of the pool's own
  OK(cuMemFreeAsync(p, stream));
  OK(finish());
  OK(cuMemPoolTrimTo(pool, 1000));
  CHECK(pool_bytes(pool, CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT) == 1000);
  OK(cuMemPoolDestroy(pool));
  OK(cuMemGetInfo(&free, &total));
  CHECK(free == total);
}

void a_destroyed_pool_waits_for_what_is_taken() {
  const CUmemoryPool pool = make_pool();
  CUdeviceptr p, q;
  OK(cuMemAllocFromPoolAsync(&p, 1024, pool, stream));
  OK(cuMemPoolDestroy(pool));
  CHECK(cuMemAllocFromPoolAsync(&q, 1024, pool, stream) == CUDA_ERROR_INVALID_HANDLE);
  OK(cuMemsetD32Async(p, 0, 256, stream));
  OK(launch("add_one", 1, 256, {p}));
  OK(finish());
  CHECK(download(p, 1)[0] == 1);
  OK(cuMemFreeAsync(p, stream));
  OK(finish());
  CHECK(cuMemPoolTrimTo(pool, 0) == CUDA_ERROR_INVALID_VALUE);
}

void work_after_a_free_is_too_late() {
  const CUmemoryPool pool = make_pool();
  CUdeviceptr p;
  OK(cuMemAllocFromPoolAsync(&p, 1024, pool, stream));
  OK(cuMemFreeAsync(p, stream));
  OK(launch("add_one", 1, 256, {p}));
  CHECK(finish() != CUDA_SUCCESS);
}

void captures_forbid_what_synchronises() {
  CUgraph graph;
  CUdeviceptr p;
  OK(cuStreamBeginCapture(stream, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL));
  CHECK(cuMemAlloc(&p, 4) == CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
  CHECK(cuStreamEndCapture(stream, &graph) == CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
  OK(cuStreamBeginCapture(stream, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL));
  CHECK(cuStreamSynchronize(stream) == CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
  CHECK(cuStreamEndCapture(stream, &graph) == CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
  OK(cuMemAlloc(&p, 4));
  OK(cuStreamBeginCapture(stream, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL));
  CUcontext context;
  OK(cuCtxGetCurrent(&context));
  std::thread([&] {
    OK(cuCtxSetCurrent(context));
    CHECK(cuStreamEndCapture(stream, &graph) == CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD);
  }).join();
  OK(cuStreamEndCapture(stream, &graph));
}

void events_order_streams() {
  const CUdeviceptr x = upload(std::vector<float>(256, 0));
  CUstream other;
  CUevent done;
  OK(cuStreamCreate(&other, CU_STREAM_NON_BLOCKING));
  OK(cuEventCreate(&done, 0));
  OK(launch("add_one", 1, 256, {x}));
  OK(cuEventRecord(done, stream));
  CHECK(cuEventQuery(done) == CUDA_ERROR_NOT_READY);
  OK(cuStreamWaitEvent(other, done, 0));
  const CUdeviceptr y = allocate(256);
  OK(cuMemcpyDtoDAsync(y, x, 1024, other));
  OK(cuStreamSynchronize(other));
  OK(cuEventQuery(done));
  CHECK(download(y, 1)[0] == 1);
}

void memory_ends() {
  softdriver_set("SOFTDRIVER_MEMORY", "10000");
  CUdeviceptr p, q;
  OK(cuMemAlloc(&p, 6000));
  CHECK(cuMemAlloc(&q, 6000) == CUDA_ERROR_OUT_OF_MEMORY);
  size_t free, total;
  OK(cuMemGetInfo(&free, &total));
  CHECK(free == 4000 && total == 10000);
  OK(cuMemFree(p));
  OK(cuMemAlloc(&q, 6000));
  CHECK(cuMemFree(p) == CUDA_ERROR_INVALID_VALUE || p == q);
}

void a_context_takes_its_memory_with_it() {
  CUcontext context, before;
  OK(cuCtxGetCurrent(&before));
  OK(cuCtxCreate(&context, nullptr, 0, 0));
  const uint64_t held = counters().bytes_allocated;
  const CUdeviceptr p = allocate(100);
  CHECK(counters().bytes_allocated == held + 400);
  OK(cuCtxDestroy(context));
  CHECK(counters().bytes_allocated == held);
  OK(cuCtxSetCurrent(before));
  CHECK(cuMemFree(p) == CUDA_ERROR_INVALID_VALUE);
}

void a_destroyed_context_is_of_no_use() {
  CUcontext context, before;
  OK(cuCtxGetCurrent(&before));
  OK(cuCtxCreate(&context, nullptr, 0, 0));
  std::thread([&] {
    OK(cuCtxSetCurrent(before));
    OK(cuCtxDestroy(context));
  }).join();
  CUdeviceptr p;
  CHECK(cuMemAlloc(&p, 4) == CUDA_ERROR_CONTEXT_IS_DESTROYED);  // still current here
  CHECK(cuCtxSetCurrent(context) == CUDA_ERROR_INVALID_CONTEXT);
  std::thread([&] { CHECK(cuMemAlloc(&p, 4) == CUDA_ERROR_INVALID_CONTEXT); }).join();  // a thread with no context
  OK(cuCtxSetCurrent(before));
  OK(cuMemAlloc(&p, 4));
}

void launches_fail_on_request() {
  const CUdeviceptr x = upload(std::vector<float>(256, 0));
  softdriver_set("SOFTDRIVER_REFUSE_LAUNCH", "2");
  OK(launch("add_one", 1, 256, {x}));
  CHECK(launch("add_one", 1, 256, {x}) == CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES);
  OK(launch("add_one", 1, 256, {x}));
  OK(finish());
  softdriver_set("SOFTDRIVER_FAIL_LAUNCH", "2");
  OK(launch("add_one", 1, 256, {x}));
  OK(launch("add_one", 1, 256, {x}));
  CHECK(finish() == CUDA_ERROR_LAUNCH_FAILED);
  CHECK(std::strstr(softdriver_fault(), "add_one: failed on request"));
  CHECK(cuMemFree(x) == CUDA_ERROR_LAUNCH_FAILED);  // sticky
}

void bad_handles_and_arguments_are_refused() {
  const CUdeviceptr x = upload(std::vector<float>(16, 0));
  CUevent e;
  OK(cuEventCreate(&e, 0));
  OK(cuEventDestroy(e));
  CHECK(cuEventRecord(e, stream) == CUDA_ERROR_INVALID_HANDLE);
  float host[32];
  CHECK(cuMemcpyHtoD(x, host, sizeof host) == CUDA_ERROR_INVALID_VALUE);
  CHECK(launch("add_one", 1, 512, {x}) == CUDA_ERROR_INVALID_VALUE);  // more than its bound
  CUfunction f;
  CHECK(cuModuleGetFunction(&f, module_, "no_such_kernel") == CUDA_ERROR_NOT_FOUND);
}

void unsupported_calls_say_so() {
  CUarray array;
  CUDA_ARRAY_DESCRIPTOR description{};
  CHECK(cuArrayCreate(&array, &description) == CUDA_ERROR_NOT_SUPPORTED);
}

void devices_are_as_set() {
  softdriver_set("SOFTDRIVER_DEVICES", "0");
  CHECK(cuInit(0) == CUDA_ERROR_NO_DEVICE);
  softdriver_set("SOFTDRIVER_DEVICES", "3");
  softdriver_set("SOFTDRIVER_VERSION", "12040");
  softdriver_set("SOFTDRIVER_CAPABILITY", "75");
  int n, version, major, minor;
  OK(cuInit(0));
  OK(cuDeviceGetCount(&n));
  OK(cuDriverGetVersion(&version));
  OK(cuDeviceGetAttribute(&major, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, 2));
  OK(cuDeviceGetAttribute(&minor, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR, 2));
  CHECK(n == 3 && version == 12040 && major == 7 && minor == 5);
  const uint32_t fatbin[20] = {0xBA55ED50, 0x00100001, 64, 0, 0x01010002, 64, 0, 0, 0, 0, 0, 80};  // machine code for sm_80 alone
  CHECK(cuModuleLoadData(&module_, fatbin) == CUDA_ERROR_NO_BINARY_FOR_GPU);
  softdriver_set("SOFTDRIVER_CAPABILITY", "86");
  OK(cuModuleLoadData(&module_, fatbin));
}

// ---- what is detected: the case must end in an error, or in a result that shows it

void expect_fault(CUresult result) { CHECK(result != CUDA_SUCCESS); }

void write_past_the_end() {
  OK(launch("bug_write_past", 1, 256, {upload(ramp(100)), 100}));
  expect_fault(finish());
}
void read_past_the_end() {
  OK(launch("bug_read_past", 1, 32, {upload(ramp(100)), allocate(1), 100}));
  expect_fault(finish());
}
void write_past_shared_memory() {
  OK(launch("bug_shared_past", 1, 64, {upload(ramp(64))}));
  expect_fault(finish());
}
void write_past_dynamic_shared_memory() {
  OK(launch("bug_dynamic_past", 1, 64, {upload(ramp(64))}, 256));
  expect_fault(finish());
}
void barrier_missing_before_a_read() {
  const CUdeviceptr out = allocate(256);
  OK(launch("bug_read_too_early", 1, 256, {upload(ramp(256)), out}));
  if (finish()) return;
  bool nan = false;
  for (float v : download(out, 256)) nan = nan || std::isnan(v);
  CHECK(nan);
  std::fprintf(stderr, "NaN in the result\n");
}
void barrier_missing_after_a_read() {
  const CUdeviceptr in = upload(ramp(256)), out = allocate(256);
  std::vector<float> first;
  for (int seed = 0; seed < 20; ++seed) {
    softdriver_set("SOFTDRIVER_SEED", std::to_string(seed).c_str());
    OK(launch("bug_overwrite_too_early", 1, 256, {in, out}));
    if (finish()) return;
    const std::vector<float> got = download(out, 256);
    if (seed == 0) first = got;
    if (got != first) {
      std::fprintf(stderr, "the result depends on the order of threads\n");
      return;
    }
  }
  CHECK(false);
}
void threads_end_before_a_barrier() {
  OK(launch("bug_end_before_barrier", 1, 64, {upload(ramp(64))}));
  expect_fault(finish());
}
void threads_at_two_barriers() {
  OK(launch("bug_two_barriers", 1, 64, {upload(ramp(64))}));
  expect_fault(finish());
}
void half_a_warp_shuffles() {
  OK(launch("bug_half_a_warp", 1, 64, {upload(ramp(64))}));
  expect_fault(finish());
}
void shuffle_from_outside_the_mask() {
  OK(launch("bug_lane_outside_mask", 1, 64, {upload(ramp(64))}));
  expect_fault(finish());
}
void blocks_race() {
  OK(launch("bug_blocks_race", 8, 64, {upload(ramp(64))}));
  expect_fault(finish());
}
void memory_never_written_is_read() {
  const CUdeviceptr out = allocate(64);
  OK(launch("bug_uninitialised", 1, 64, {allocate(64), out}));
  if (finish()) return;
  CHECK(std::isnan(download(out, 1)[0]));
  std::fprintf(stderr, "NaN in the result\n");
}
void shift_too_far() {
  OK(launch("bug_undefined_shift", 1, 64, {upload(ramp(64)), allocate(64)}));
  OK(finish());
}
void wide_access_off_its_alignment() {
  OK(launch("bug_misaligned", 1, 64, {upload(ramp(64)), allocate(64)}));
  OK(finish());
}
void freed_memory_is_used() {
  const CUdeviceptr x = upload(ramp(256));
  OK(cuMemFree(x));
  OK(launch("add_one", 1, 256, {x}));
  expect_fault(finish());
}

void ticket_without_fence() {
  const CUdeviceptr ticket = allocate(1);
  OK(cuMemsetD32Async(ticket, 0, 1, stream));
  OK(launch("bug_ticket_without_fence", 8, 64, {upload(ramp(64)), allocate(8 * 64), ticket}));
  expect_fault(finish());
}
void writers_do_not_wait() {
  OK(launch("bug_writers_do_not_wait", 8, 64, {upload(ramp(64)), allocate(4 * 64), two_counts()}));
  expect_fault(finish());
}
void a_wait_for_later_blocks() {
  softdriver_set("SOFTDRIVER_THREADS", "2");
  OK(launch("bug_waits_for_later_blocks", 8, 64, {allocate(1), allocate(1), two_counts()}));
  expect_fault(finish());
}
void copies_not_waited_for() {
  const CUdeviceptr out = allocate(1024);
  OK(launch("bug_waits_for_too_little", 1, 64, {upload(ramp(1024)), out, 4, 256}));
  if (finish()) return;
  CHECK(std::isnan(download(out, 1)[0]));
  std::fprintf(stderr, "NaN in the result\n");
}
void copies_into_what_is_read() {
  const CUdeviceptr in = upload(ramp(1024)), out = allocate(1024);
  std::vector<float> first;
  for (int seed = 0; seed < 20; ++seed) {
    softdriver_set("SOFTDRIVER_SEED", std::to_string(seed).c_str());
    OK(launch("bug_copies_too_early", 1, 64, {in, out, 4, 256}));
    if (finish()) return;
    const std::vector<float> got = download(out, 1024);
    if (seed == 0) first = got;
    if (got != first) {
      std::fprintf(stderr, "the result depends on the order of threads\n");
      return;
    }
  }
  CHECK(false);
}
void barrier_missing_after_copies() {
  const CUdeviceptr out = allocate(64);
  OK(launch("bug_no_barrier_after_copies", 1, 64, {upload(ramp(64)), out}));
  if (finish()) return;
  CHECK(std::isnan(download(out, 1)[0]));
  std::fprintf(stderr, "NaN in the result\n");
}
void thread_ends_with_copies() {
  OK(launch("bug_ends_with_copies", 1, 64, {upload(ramp(64))}));
  expect_fault(finish());
}
void copies_off_alignment() {
  OK(launch("bug_copies_off_alignment", 1, 32, {upload(ramp(256))}));
  expect_fault(finish());
}
void half_a_warp_multiplies() {
  OK(launch("bug_half_a_warp_multiplies", 1, 32, {upload(ramp(64)), allocate(64)}));
  expect_fault(finish());
}

// Boxes is a product of matrices of small integers, whose rows, columns and terms fill no box.
struct Boxes {
  static constexpr int kRows = 50, kColumns = 200, kTerms = 150;
  CUdeviceptr a, b, c;
  bool across_a, across_b;
};

int of_a(int i, int k) { return (i * 7 + k * 3) % 11 - 5; }
int of_b(int k, int j) { return (k * 5 + j * 2) % 13 - 6; }

// half_matrix uploads one in bfloat16 and returns its tensor map, in device memory.
template <class Element>
CUdeviceptr half_matrix(int rows, int columns, const Element& element) {
  const int stride = (columns + 7) / 8 * 8;
  std::vector<uint16_t> halves(size_t(rows * stride), 0x7FFF);  // behind the rows: NaN, which is not to be read
  for (int i = 0; i < rows; ++i) {
    for (int j = 0; j < columns; ++j) {
      const float x = float(element(i, j));
      uint32_t bits;
      std::memcpy(&bits, &x, 4);
      halves[size_t(i * stride + j)] = uint16_t(bits >> 16);
    }
  }
  const CUdeviceptr data = allocate(halves.size()), at = allocate(32);
  OK(cuMemcpyHtoD(data, halves.data(), 2 * halves.size()));
  CUtensorMap map;
  const cuuint64_t extents[] = {cuuint64_t(columns), cuuint64_t(rows)}, strides[] = {cuuint64_t(2 * stride)};
  const cuuint32_t box[] = {64, 64}, steps[] = {1, 1}, wide[] = {128, 64};
  const auto encode = [&](const cuuint64_t* lengths, const cuuint32_t* boxes) {
    return cuTensorMapEncodeTiled(&map, CU_TENSOR_MAP_DATA_TYPE_BFLOAT16, 2, reinterpret_cast<void*>(data), extents, lengths, boxes, steps,
                                  CU_TENSOR_MAP_INTERLEAVE_NONE, CU_TENSOR_MAP_SWIZZLE_128B, CU_TENSOR_MAP_L2_PROMOTION_NONE, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
  };
  const cuuint64_t odd[] = {cuuint64_t(2 * stride + 2)};
  CHECK(encode(odd, box) == CUDA_ERROR_INVALID_VALUE && encode(strides, wide) == CUDA_ERROR_INVALID_VALUE);
  OK(encode(strides, box));
  OK(cuMemcpyHtoD(at, &map, sizeof map));
  return at;
}

Boxes new_boxes(bool across_a, bool across_b) {
  Boxes x = {0, 0, allocate(64 * 256), across_a, across_b};
  x.a = across_a ? half_matrix(x.kTerms, x.kRows, [](int k, int i) { return of_a(i, k); }) : half_matrix(x.kRows, x.kTerms, [](int i, int k) { return of_a(i, k); });
  x.b = across_b ? half_matrix(x.kTerms, x.kColumns, [](int k, int j) { return of_b(k, j); }) : half_matrix(x.kColumns, x.kTerms, [](int j, int k) { return of_b(k, j); });
  return x;
}

CUresult multiply_boxes(const Boxes& x, int bug) {
  CUfunction f;
  OK(cuModuleGetFunction(&f, module_, "boxes_multiplied"));
  OK(cuFuncSetAttribute(f, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, 82 << 10));
  OK(launch("boxes_multiplied", 1, 160, {x.a, x.b, x.c, 3, x.across_a, x.across_b, uint64_t(bug)}, 81 << 10));
  return finish();
}

bool boxes_right(const Boxes& x) {
  const std::vector<float> c = download(x.c, 64 * 256);
  for (int i = 0; i < 64; ++i) {
    for (int j = 0; j < 256; ++j) {
      int want = 0;
      for (int k = 0; k < x.kTerms && i < x.kRows && j < x.kColumns; ++k) want += of_a(i, k) * of_b(k, j);
      if (c[size_t(i * 256 + j)] != float(want)) return false;
    }
  }
  return true;
}

void boxes_are_multiplied() {
  for (int order = 0; order < 4; ++order) {
    for (int seed = 0; seed < 4; ++seed) {
      softdriver_set("SOFTDRIVER_SEED", std::to_string(seed).c_str());
      const Boxes x = new_boxes(order & 1, order & 2);
      OK(multiply_boxes(x, 0));
      CHECK(boxes_right(x));
    }
  }
}

// A bug that makes the product wrong, or is a fault.
template <int Bug>
void boxes_multiplied_with() {
  const Boxes x = new_boxes(false, false);
  if (multiply_boxes(x, Bug)) return;
  CHECK(!boxes_right(x));
  std::fprintf(stderr, "the product is wrong\n");
}
void a_product_without_its_map() {
  Boxes x = new_boxes(false, false);
  x.b = x.c;
  expect_fault(multiply_boxes(x, 0));
}

// A pair of blocks that share B, with 64 rows of A each.
struct Pair {
  static constexpr int kRows = 114, kColumns = 200, kTerms = 150;
  CUdeviceptr a, b, c, total;
};

Pair new_pair() {
  return {half_matrix(Pair::kRows, Pair::kTerms, of_a), half_matrix(Pair::kColumns, Pair::kTerms, [](int j, int k) { return of_b(k, j); }), allocate(128 * 256), allocate(4)};
}

CUresult multiply_pair(const Pair& x, int bug) {
  CUfunction f;
  OK(cuModuleGetFunction(&f, module_, "boxes_shared_by_two"));
  OK(cuFuncSetAttribute(f, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, 82 << 10));
  OK(launch("boxes_shared_by_two", 2, 160, {x.a, x.b, x.c, x.total, 3, uint64_t(bug)}, 81 << 10));
  return finish();
}

bool pair_right(const Pair& x) {
  const std::vector<float> c = download(x.c, 128 * 256), total = download(x.total, 4);
  float sums[2] = {0, 0};
  for (int i = 0; i < 128; ++i) {
    for (int j = 0; j < 256; ++j) {
      int want = 0;
      for (int k = 0; k < x.kTerms && i < x.kRows && j < x.kColumns; ++k) want += of_a(i, k) * of_b(k, j);
      if (c[size_t(i * 256 + j)] != float(want)) return false;
      sums[i / 64] += float(want);
    }
  }
  for (int i = 0; i < 4; ++i) {
    if (total[size_t(i)] != sums[i % 2]) return false;
  }
  return true;
}

void boxes_are_shared() {
  for (int seed = 0; seed < 12; ++seed) {
    softdriver_set("SOFTDRIVER_SEED", std::to_string(seed).c_str());
    const Pair x = new_pair();
    OK(multiply_pair(x, 0));
    CHECK(pair_right(x));
  }
}

// A bug shows at one of some seeds at least.
template <int Bug>
void boxes_shared_with() {
  bool wrong = false;
  for (int seed = 1; seed < 40; ++seed) {
    softdriver_set("SOFTDRIVER_SEED", std::to_string(seed).c_str());
    const Pair x = new_pair();
    if (multiply_pair(x, Bug)) return;
    wrong = wrong || !pair_right(x);
  }
  CHECK(wrong);
  std::fprintf(stderr, "the product is wrong\n");
}

void arrival_without_cluster() {
  OK(launch("bug_arrives_without_cluster", 1, 64, {allocate(64)}));
  expect_fault(finish());
}

template <int Bug>
void registers_kept_with() {
  OK(launch("registers_kept", 1, 256, {allocate(256), Bug}));
  const CUresult result = finish();
  CHECK((Bug > 0) == (result != CUDA_SUCCESS));
}

// ---- the library of products

// Multiplication is D = Aᵀ·B by cublasLtMatmul, D m×n, with all that it takes, which a case may spoil.
struct Multiplication {
  uint64_t m, n, k;
  void *handle, *descriptor, *a_layout, *b_layout, *d_layout, *preference;
  CUdeviceptr a, b, d, workspace = 0;
  uint64_t workspace_bytes = 0;
  uint32_t mask = CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE;
  cublasLtMatmulAlgo_t algorithm{};
  uint64_t wanted = 0;  // bytes of workspace that the algorithm takes

  Multiplication(uint64_t m, uint64_t n, uint64_t k, const std::vector<float>& a, const std::vector<float>& b, int compute = CUBLAS_COMPUTE_32F)
      : m(m), n(n), k(k), a(upload(a)), b(upload(b)), d(upload(std::vector<float>(m * n, 1))) {
    const int32_t across = CUBLAS_OP_T;
    CHECK(!cublasLtCreate(&handle));
    CHECK(!cublasLtMatmulDescCreate(&descriptor, compute, CUDA_R_32F));
    CHECK(!cublasLtMatmulDescSetAttribute(descriptor, CUBLASLT_MATMUL_DESC_TRANSA, &across, sizeof across));
    CHECK(!cublasLtMatrixLayoutCreate(&a_layout, CUDA_R_32F, k, m, int64_t(k)));
    CHECK(!cublasLtMatrixLayoutCreate(&b_layout, CUDA_R_32F, k, n, int64_t(k)));
    CHECK(!cublasLtMatrixLayoutCreate(&d_layout, CUDA_R_32F, m, n, int64_t(m)));
    CHECK(!cublasLtMatmulPreferenceCreate(&preference));
  }
  int prefer(int attribute, uint64_t value, size_t bytes) { return cublasLtMatmulPreferenceSetAttribute(preference, attribute, &value, bytes); }
  int epilogue(uint32_t value) { return cublasLtMatmulDescSetAttribute(descriptor, CUBLASLT_MATMUL_DESC_EPILOGUE, &value, sizeof value); }
  int choose() {
    cublasLtMatmulHeuristicResult_t found;
    int count = 0;
    CHECK(!prefer(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, workspace_bytes, 8));
    CHECK(!prefer(CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, mask, 4));
    const int status = cublasLtMatmulAlgoGetHeuristic(handle, descriptor, a_layout, b_layout, d_layout, d_layout, preference, 1, &found, &count);
    if (status) return status;
    CHECK(count == 1);
    algorithm = found.algo, wanted = found.workspaceSize;
    return status;
  }
  int run(float beta = 0) {
    const float alpha = 1;
    const auto at = [](CUdeviceptr p) { return reinterpret_cast<void*>(p); };
    return cublasLtMatmul(handle, descriptor, &alpha, at(a), a_layout, at(b), b_layout, &beta, at(d), d_layout, at(d), d_layout, &algorithm, at(workspace),
                          workspace_bytes, stream);
  }
  std::vector<float> result() {
    OK(finish());
    return download(d, m * n);
  }
};

// terms are small integers, whose sums are exact in any order.
std::vector<float> terms(uint64_t n) {
  std::vector<float> x(n);
  for (uint64_t i = 0; i < n; ++i) x[i] = float(int(i * 7 % 11) - 5);
  return x;
}

void library_multiplies_in_order_of_its_stream() {
  const std::vector<float> a = terms(5 * 900), b = terms(3 * 900);
  Multiplication x(5, 3, 900, a, b);
  x.workspace_bytes = 1 << 16, x.workspace = allocate(x.workspace_bytes / 4);
  CHECK(!x.choose() && x.wanted > 0);
  std::vector<float> want(15);
  for (int i = 0; i < 5; ++i) {
    for (int j = 0; j < 3; ++j) {
      for (int l = 0; l < 900; ++l) want[size_t(i + 5 * j)] += a[size_t(l + 900 * i)] * b[size_t(l + 900 * j)];
    }
  }
  CHECK(!x.run());
  CHECK(x.result() == want);
  OK(cuStreamBeginCapture(stream, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL));
  CHECK(!x.run(1));
  CUgraph graph;
  CUgraphExec exec;
  OK(cuStreamEndCapture(stream, &graph));
  OK(cuGraphInstantiate(&exec, graph, 0));
  CHECK(x.result() == want);  // nothing has run
  for (int run = 0; run < 2; ++run) OK(cuGraphLaunch(exec, stream));
  for (float& v : want) v *= 3;
  CHECK(x.result() == want);
  CHECK(softdriver_ran("cublasLtMatmul") == 3);
}

// Factors that tf32 and bfloat16 cannot hold are rounded to nearest where the compute type allows it.
void library_rounds_as_it_is_told() {
  const std::vector<float> one = {1};
  const float x = 1 + 0x1.1p-8f;
  for (const auto& [compute, want] : {std::pair{int(CUBLAS_COMPUTE_32F), x}, {int(CUBLAS_COMPUTE_32F_FAST_TF32), 1 + 0x1p-8f}, {int(CUBLAS_COMPUTE_32F_FAST_16BF), 1 + 0x1p-7f}}) {
    Multiplication p(1, 1, 1, {compute == CUBLAS_COMPUTE_32F_FAST_TF32 ? 1 + 0x1.04p-8f : x}, one, compute);
    CHECK(!p.choose() && !p.run());
    CHECK(p.result()[0] == want);
  }
}

void library_refuses_what_does_not_fit() {
  const std::vector<float> a = terms(8 * 600), b = terms(8 * 600);
  const auto fresh = [&] {
    Multiplication x(8, 8, 600, a, b);
    x.workspace_bytes = 1 << 12, x.workspace = allocate(x.workspace_bytes / 4);
    return x;
  };
  Multiplication x = fresh();
  CHECK(!x.choose() && x.wanted == 2 * 8 * 8 * 4);
  CHECK(x.prefer(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, 1, 4) == CUBLAS_STATUS_INVALID_VALUE);
  CHECK(x.prefer(99, 1, 4) == CUBLAS_STATUS_INVALID_VALUE);
  CHECK(x.prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, 12, 4) == CUBLAS_STATUS_SUCCESS && x.choose() == CUBLAS_STATUS_INVALID_VALUE);
  x = fresh();
  x.workspace += 4;
  CHECK(!x.choose() && x.run() == CUBLAS_STATUS_INVALID_VALUE);
  x = fresh();
  CHECK(!x.choose());
  x.workspace_bytes = x.wanted - 1;
  CHECK(x.run() == CUBLAS_STATUS_INVALID_VALUE);
  x = fresh();
  CHECK(!x.choose());
  x.d += 4;
  CHECK(x.run() == CUBLAS_STATUS_INVALID_VALUE);
  x = fresh();
  Multiplication other(8, 7, 600, a, b);
  CHECK(!x.choose() && !other.choose());
  x.algorithm = other.algorithm;
  CHECK(x.run() == CUBLAS_STATUS_INVALID_VALUE);
  x = fresh();
  CHECK(!cublasLtMatrixLayoutCreate(&x.a_layout, CUDA_R_32F, 600, 8, 599) && x.choose() == CUBLAS_STATUS_INVALID_VALUE);
  x = fresh();
  CHECK(!cublasLtMatrixLayoutCreate(&x.b_layout, CUDA_R_32F, 601, 8, 601) && x.choose() == CUBLAS_STATUS_INVALID_VALUE);
  x = fresh();
  CHECK(!cublasLtMatrixLayoutCreate(&x.b_layout, CUDA_R_16BF, 600, 8, 600) && x.choose() == CUBLAS_STATUS_NOT_SUPPORTED);
  x = fresh();
  CHECK(!x.epilogue(2) && x.choose() == CUBLAS_STATUS_NOT_SUPPORTED);  // RELU
  x = fresh();
  CHECK(!x.epilogue(CUBLASLT_EPILOGUE_BIAS) && !x.choose() && x.run() == CUBLAS_STATUS_INVALID_VALUE);
  x = fresh();
  CHECK(!cublasLtMatrixLayoutDestroy(x.a_layout) && x.choose() == CUBLAS_STATUS_INVALID_VALUE && cublasLtMatrixLayoutDestroy(x.a_layout) == CUBLAS_STATUS_INVALID_VALUE);
  x = fresh();
  CHECK(!x.choose() && !cublasLtDestroy(x.handle) && x.run() == CUBLAS_STATUS_NOT_INITIALIZED);
  OK(finish());
  CHECK(softdriver_ran("cublasLtMatmul") == 0);
}

// Whoever leaves the mask of reduction schemes alone has other bits each time.
void library_without_a_mask() {
  std::vector<float> a(8 * 2000), b(8 * 2000);
  for (size_t i = 0; i < a.size(); ++i) a[i] = std::sin(float(i)), b[i] = std::exp(std::cos(float(3 * i)));
  Multiplication x(8, 8, 2000, a, b);
  x.mask = CUBLASLT_REDUCTION_SCHEME_MASK;
  CHECK(!x.choose());
  std::vector<float> first;
  for (int run = 0; run < 4; ++run) {
    CHECK(!x.run());
    const std::vector<float> got = x.result();
    if (first.empty()) first = got;
    if (got != first) {
      std::fprintf(stderr, "depends on the run\n");
      return;
    }
  }
}

void library_in_freed_memory() {
  Multiplication x(2, 2, 2, terms(4), terms(4));
  CHECK(!x.choose());
  OK(cuMemFree(x.b));
  CHECK(!x.run());
  expect_fault(finish());
}

struct Case {
  const char* name;
  void (*run)();
  // What standard error must hold, by variant; null: the variant cannot see it, "": nothing may be said.
  const char *plain, *asan, *check;
};

#define SILENT(name) {#name, name, "", "", ""}
#define ANY(name, run, text) {name, run, text, text, text}
const Case cases[] = {
    SILENT(totals_agree_at_any_order),
    SILENT(dynamic_shared_memory_reverses),
    SILENT(votes_count_lanes),
    SILENT(atomics_count),
    SILENT(tickets_order_blocks),
    SILENT(writers_wait),
    SILENT(fragments_lie_as_documented),
    SILENT(products_err_as_their_operands_do),
    SILENT(sums_are_cut_off),
    SILENT(operands_are_rounded),
    SILENT(matrices_lie_as_documented),
    SILENT(copies_arrive_in_groups),
    SILENT(boxes_are_multiplied),
    SILENT(library_multiplies_in_order_of_its_stream),
    SILENT(library_rounds_as_it_is_told),
    SILENT(library_refuses_what_does_not_fit),
    ANY("library_without_a_mask", library_without_a_mask, "depends on the run"),
    ANY("library_in_freed_memory", library_in_freed_memory, "cublasLtMatmul: 16 bytes at"),
    SILENT(fresh_memory_is_nan),
    SILENT(pinned_memory_is_stale_until_synchronised),
    SILENT(registered_memory_is_read_where_it_lies),
    SILENT(graphs_replay_and_count),
    SILENT(branches_of_a_graph_join),
    SILENT(updated_graphs_take_new_arguments),
    SILENT(updates_of_another_form_are_refused),
    SILENT(function_attributes_hold),
    SILENT(pools_keep_what_is_freed),
    SILENT(a_destroyed_pool_waits_for_what_is_taken),
    SILENT(captures_forbid_what_synchronises),
    SILENT(events_order_streams),
    SILENT(memory_ends),
    SILENT(a_context_takes_its_memory_with_it),
    SILENT(a_destroyed_context_is_of_no_use),
    SILENT(unsupported_calls_say_so),
    SILENT(devices_are_as_set),
    {"launches_fail_on_request", launches_fail_on_request, "failed on request", "failed on request", "failed on request"},
    {"bad_handles_and_arguments_are_refused", bad_handles_and_arguments_are_refused, "not within one live allocation", "not within one live allocation",
     "not within one live allocation"},
    {"write_past_the_end", write_past_the_end, "bug_write_past wrote past the end of an allocation of 400 bytes", "heap-buffer-overflow",
     "cases.cu:45: write outside any allocation"},
    {"read_past_the_end", read_past_the_end, nullptr, "heap-buffer-overflow", "cases.cu:49: read outside any allocation"},
    {"write_past_shared_memory", write_past_shared_memory, nullptr, "index 64 out of bounds", "cases.cu:55: index 64 is out of bounds"},
    {"write_past_dynamic_shared_memory", write_past_dynamic_shared_memory, nullptr, "use-after-poison", "cases.cu:62: out of bounds of dynamic shared memory"},
    {"barrier_missing_before_a_read", barrier_missing_before_a_read, "NaN in the result", "NaN in the result", "cases.cu:71: "},
    {"barrier_missing_after_a_read", barrier_missing_after_a_read, "depends on the order of threads", "depends on the order of threads",
     "cases.cu:81: race: "},
    {"threads_end_before_a_barrier", threads_end_before_a_barrier, "divergent barrier", "divergent barrier", "divergent barrier"},
    {"threads_at_two_barriers", threads_at_two_barriers, "at cases.cu:97", "at cases.cu:97", "at cases.cu:97"},
    {"half_a_warp_shuffles", half_a_warp_shuffles, "is stuck", "is stuck", "is stuck"},
    {"shuffle_from_outside_the_mask", shuffle_from_outside_the_mask, "shuffles from lane 20", "shuffles from lane 20", "shuffles from lane 20"},
    {"blocks_race", blocks_race, nullptr, nullptr, "cases.cu:115: race: "},
    SILENT(clusters_wait_for_each_other),
    SILENT(clusters_have_to_fit),
    {"cluster_reads_early", cluster_reads_early, "NaN in the result", "NaN in the result", "cases.cu:292: read of uninitialised memory"},
    {"cluster_writes_early", cluster_writes_early, "depends on the order of blocks", "depends on the order of blocks", "race: write after read"},
    {"block_leaves_cluster", block_leaves_cluster, "divergent barrier of cluster 0", "divergent barrier of cluster 0", "divergent barrier of cluster 0"},
    {"barrier_without_cluster", barrier_without_cluster, "in a kernel without clusters", "in a kernel without clusters", "in a kernel without clusters"},
    {"ticket_without_fence", ticket_without_fence, nullptr, nullptr, "race: "},
    {"writers_do_not_wait", writers_do_not_wait, nullptr, nullptr, "race: write after read"},
    ANY("a_wait_for_later_blocks", a_wait_for_later_blocks, "by blocks that have not started"),
    {"memory_never_written_is_read", memory_never_written_is_read, "NaN in the result", "NaN in the result", "cases.cu:119: read of uninitialised memory"},
    {"shift_too_far", shift_too_far, nullptr, "shift exponent", nullptr},
    {"wide_access_off_its_alignment", wide_access_off_its_alignment, nullptr, "misaligned address", nullptr},
    {"copies_not_waited_for", copies_not_waited_for, "NaN in the result", "NaN in the result", "read of uninitialised memory"},
    {"copies_into_what_is_read", copies_into_what_is_read, "depends on the order of threads", "depends on the order of threads",
     "race: write after read"},
    {"barrier_missing_after_copies", barrier_missing_after_copies, "NaN in the result", "NaN in the result", "read of uninitialised memory"},
    {"thread_ends_with_copies", thread_ends_with_copies, "copies to shared memory on their way", "copies to shared memory on their way",
     "copies to shared memory on their way"},
    {"copies_off_alignment", copies_off_alignment, "cp.async at an address that is misaligned", "cp.async at an address that is misaligned",
     "cp.async at an address that is misaligned"},
    {"half_a_warp_multiplies", half_a_warp_multiplies, "is stuck", "is stuck", "is stuck"},
    ANY("mbarrier_of_another_phase", boxes_multiplied_with<1>, "boxes on their way to shared memory"),
    ANY("sums_read_too_early", boxes_multiplied_with<2>, "the product is wrong"),
    ANY("descriptor_of_another_stride", boxes_multiplied_with<3>, "the product is wrong"),
    ANY("stage_never_given_back", boxes_multiplied_with<4>, "129 at mbarriers"),
    ANY("stage_given_back_too_early", boxes_multiplied_with<5>, "the product is wrong"),
    ANY("map_without_fence", boxes_multiplied_with<6>, "a tensor map of global memory without a fence"),
    ANY("product_without_fence", boxes_multiplied_with<7>, "a product of a warpgroup without a fence"),
    ANY("products_not_waited_for", boxes_multiplied_with<8>, "products on their way"),
    SILENT(boxes_are_shared),
    ANY("stage_given_back_without_the_other_block", boxes_shared_with<1>, "is stuck"),
    ANY("no_barrier_of_the_cluster_before", boxes_shared_with<2>, "a block of the cluster that has not begun"),
    ANY("no_barrier_of_the_cluster_after", boxes_shared_with<3>, "a block of the cluster that has ended"),
    ANY("boxes_for_one_block", boxes_shared_with<4>, "at mbarriers"),
    ANY("arrivals_in_one_block", boxes_shared_with<5>, "is stuck"),
    ANY("bytes_of_another_block_not_announced", boxes_shared_with<6>, "is stuck"),
    ANY("phase_counted_anew", boxes_shared_with<7>, "more arrivals at an mbarrier than it counts"),
    {"sums_not_waited_for", boxes_shared_with<8>, "the product is wrong", "the product is wrong", "read of uninitialised memory"},
    ANY("arrival_without_cluster", arrival_without_cluster, "in a kernel without clusters"),
    {"registers_are_kept", registers_kept_with<0>, "", "", ""},
    ANY("registers_that_are_not_there", registers_kept_with<1>, "its warpgroups want"),
    ANY("registers_of_a_part_of_a_warpgroup", registers_kept_with<2>, "keep different numbers of registers"),
    ANY("map_that_is_none", a_product_without_its_map, "a tensor map that was not encoded"),
    {"work_after_a_free_is_too_late", work_after_a_free_is_too_late, "parameter 0 is no live memory", "parameter 0 is no live memory",
     "parameter 0 is no live memory"},
    {"freed_memory_is_used", freed_memory_is_used, "parameter 0 is no live memory", "parameter 0 is no live memory", "parameter 0 is no live memory"},
};

// run_apart runs a case in a process of its own and returns its standard error.
std::string run_apart(const Case& c, int* status) {
  int pipes[2];
  if (pipe(pipes)) std::abort();
  const pid_t child = fork();
  if (child == 0) {
    dup2(pipes[1], 2);
    close(pipes[0]);
    close(pipes[1]);
    open();
    c.run();
    std::fflush(stderr);
    std::_Exit(0);
  }
  close(pipes[1]);
  std::string text;
  char buffer[4096];
  for (ssize_t n; (n = read(pipes[0], buffer, sizeof buffer)) > 0;) text.append(buffer, size_t(n));
  close(pipes[0]);
  waitpid(child, status, 0);
  return text;
}

}  // namespace

int main(int count, char** arguments) {
  variant = count > 1 ? arguments[1] : "plain";
  int passed = 0, failed = 0, skipped = 0;
  for (const Case& c : cases) {
    const char* want = variant == "asan" ? c.asan : variant == "check" ? c.check : c.plain;
    if (!want) {
      ++skipped;
      continue;
    }
    int status = 0;
    const std::string said = run_apart(c, &status);
    const bool own = WIFEXITED(status) && WEXITSTATUS(status) == 3;  // a CHECK of the case
    const bool good = !own && (*want ? said.find(want) != std::string::npos : said.empty() && status == 0);
    good ? ++passed : ++failed;
    if (!good) std::printf("FAIL %s (%s), status %d, wants \"%s\", said:\n%s\n", c.name, variant.c_str(), status, want, said.c_str());
  }
  std::printf("softdriver %s: %d passed, %d failed, %d skipped\n", variant.c_str(), passed, failed, skipped);
  return failed != 0;
}
