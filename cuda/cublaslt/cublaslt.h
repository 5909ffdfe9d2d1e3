/* cublaslt.h: what gpudae calls of cuBLASLt, with the names and the values of NVIDIA's headers of version
   13.10.0 (cublasLt.h, cublas_api.h, library_types.h). None of those is needed to build and nothing is
   linked: gpudae_cublaslt_open opens the library. testdata/headers.txt is what a program printed that was
   compiled with NVIDIA's headers; a test compares the values of this file with it. */
#pragma once

#include <stddef.h>
#include <stdint.h>

enum { CUDA_R_32F = 0, CUDA_R_16BF = 14 };                                                                       /* cudaDataType */
enum { CUBLAS_COMPUTE_32F = 68, CUBLAS_COMPUTE_32F_FAST_16BF = 75, CUBLAS_COMPUTE_32F_FAST_TF32 = 77 };          /* cublasComputeType_t */
enum { CUBLAS_OP_N = 0, CUBLAS_OP_T = 1 };                                                                       /* cublasOperation_t */
enum {                                                                                                           /* cublasStatus_t */
	CUBLAS_STATUS_SUCCESS = 0,
	CUBLAS_STATUS_NOT_INITIALIZED = 1,
	CUBLAS_STATUS_ALLOC_FAILED = 3,
	CUBLAS_STATUS_INVALID_VALUE = 7,
	CUBLAS_STATUS_ARCH_MISMATCH = 8,
	CUBLAS_STATUS_EXECUTION_FAILED = 13,
	CUBLAS_STATUS_INTERNAL_ERROR = 14,
	CUBLAS_STATUS_NOT_SUPPORTED = 15,
};
enum {                                                                                                           /* cublasLtMatmulDescAttributes_t */
	CUBLASLT_MATMUL_DESC_TRANSA = 3,        /* int32_t */
	CUBLASLT_MATMUL_DESC_TRANSB = 4,        /* int32_t */
	CUBLASLT_MATMUL_DESC_EPILOGUE = 7,      /* uint32_t */
	CUBLASLT_MATMUL_DESC_BIAS_POINTER = 8,  /* const void * */
};
enum { CUBLASLT_EPILOGUE_DEFAULT = 1, CUBLASLT_EPILOGUE_BIAS = 4 };                                              /* cublasLtEpilogue_t */
enum {                                                                                                           /* cublasLtReductionScheme_t */
	CUBLASLT_REDUCTION_SCHEME_NONE = 0,
	CUBLASLT_REDUCTION_SCHEME_INPLACE = 1,
	CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE = 2,
	CUBLASLT_REDUCTION_SCHEME_OUTPUT_TYPE = 4,
	CUBLASLT_REDUCTION_SCHEME_MASK = 7,
};
enum {                                                                                                           /* cublasLtMatmulPreferenceAttributes_t */
	CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES = 1,    /* uint64_t */
	CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK = 3,  /* uint32_t */
	CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES = 5,  /* uint32_t, as those that follow */
	CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES = 6,
	CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES = 7,
	CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES = 8,
};

typedef struct {
	uint64_t data[8];
} cublasLtMatmulAlgo_t;

typedef struct {
	cublasLtMatmulAlgo_t algo;
	size_t workspaceSize;
	int state; /* cublasStatus_t */
	float wavesCount;
	int reserved[4];
} cublasLtMatmulHeuristicResult_t;

/* The functions, with void pointers for the handles of the library, its layouts, descriptors and preferences, and for a stream. */
#define GPUDAE_CUBLASLT_FUNCTIONS(F) \
	F(size_t, cublasLtGetVersion, (void)) \
	F(const char *, cublasLtGetStatusName, (int status)) \
	F(const char *, cublasLtGetStatusString, (int status)) \
	F(int, cublasLtCreate, (void **handle)) \
	F(int, cublasLtDestroy, (void *handle)) \
	F(int, cublasLtMatrixLayoutCreate, (void **layout, int type, uint64_t rows, uint64_t columns, int64_t ld)) \
	F(int, cublasLtMatrixLayoutDestroy, (void *layout)) \
	F(int, cublasLtMatmulDescCreate, (void **descriptor, int compute, int scale_type)) \
	F(int, cublasLtMatmulDescDestroy, (void *descriptor)) \
	F(int, cublasLtMatmulDescSetAttribute, (void *descriptor, int attribute, const void *value, size_t bytes)) \
	F(int, cublasLtMatmulPreferenceCreate, (void **preference)) \
	F(int, cublasLtMatmulPreferenceDestroy, (void *preference)) \
	F(int, cublasLtMatmulPreferenceSetAttribute, (void *preference, int attribute, const void *value, size_t bytes)) \
	F(int, cublasLtMatmulAlgoGetHeuristic, (void *handle, void *descriptor, void *a, void *b, void *c, void *d, void *preference, int requested, \
	                                        cublasLtMatmulHeuristicResult_t *results, int *returned)) \
	F(int, cublasLtMatmul, (void *handle, void *descriptor, const void *alpha, const void *a, void *a_layout, const void *b, void *b_layout, const void *beta, \
	                        const void *c, void *c_layout, void *d, void *d_layout, const cublasLtMatmulAlgo_t *algorithm, void *workspace, size_t bytes, void *stream))

/* gpudae_cublaslt are the functions of an open library, by their names. */
struct gpudae_cublaslt {
#define GPUDAE_POINTER(result, name, parameters) result(*name) parameters;
	GPUDAE_CUBLASLT_FUNCTIONS(GPUDAE_POINTER)
#undef GPUDAE_POINTER
};

/* gpudae_cublaslt_open opens the library of a path, as dlopen finds it, and returns NULL, or what is wrong in why, which it returns. It
   stays open as long as the process. */
const char *gpudae_cublaslt_open(struct gpudae_cublaslt *library, const char *path, char *why, size_t bytes);

/* The calls that take nothing but the library and a handle. */
size_t gpudae_cublaslt_version(const struct gpudae_cublaslt *library);
const char *gpudae_cublaslt_status_name(const struct gpudae_cublaslt *library, int status);
const char *gpudae_cublaslt_status_text(const struct gpudae_cublaslt *library, int status);
int gpudae_cublaslt_create(const struct gpudae_cublaslt *library, void **handle);
int gpudae_cublaslt_destroy(const struct gpudae_cublaslt *library, void *handle);

/* gpudae_product is D = op(A)·op(B), of column-major matrices: D m×n, sums of k terms. D and bias are float32, A and B of type. */
struct gpudae_product {
	int compute, type, transpose_a, transpose_b;
	uint64_t m, n, k;
	int64_t lda, ldb, ldd;
	uint32_t align_a, align_b, align_d; /* bytes, powers of two */
};

/* gpudae_plan is a product with the algorithm that the library has chosen for it. */
struct gpudae_plan {
	void *descriptor, *a, *b, *d;
	cublasLtMatmulAlgo_t algorithm;
	size_t workspace; /* bytes that the algorithm takes */
};

/* Places in device memory are numbers, 0 for none.

   gpudae_cublaslt_plan makes a plan for a workspace of at most so many bytes. With a bias, of m numbers, its address says how it is
   aligned. It returns a status, and in call the function that gave it; NOT_SUPPORTED where the library has no algorithm. */
int gpudae_cublaslt_plan(const struct gpudae_cublaslt *library, void *handle, const struct gpudae_product *product, uintptr_t bias, size_t workspace,
                         struct gpudae_plan *plan, const char **call);

/* gpudae_cublaslt_discard releases what a plan holds. */
void gpudae_cublaslt_discard(const struct gpudae_cublaslt *library, struct gpudae_plan *plan);

/* gpudae_cublaslt_multiply queues D = op(A)·op(B) + bias, with accumulate plus what D holds. */
int gpudae_cublaslt_multiply(const struct gpudae_cublaslt *library, void *handle, const struct gpudae_plan *plan, uintptr_t a, uintptr_t b, uintptr_t d,
                             uintptr_t bias, int accumulate, uintptr_t workspace, size_t bytes, void *stream, const char **call);
