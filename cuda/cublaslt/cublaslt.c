//go:build cuda

#include "cublaslt.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

_Static_assert(sizeof(cublasLtMatmulAlgo_t) == 64, "");
_Static_assert(sizeof(cublasLtMatmulHeuristicResult_t) == 96, "");
_Static_assert(offsetof(cublasLtMatmulHeuristicResult_t, algo) == 0, "");
_Static_assert(offsetof(cublasLtMatmulHeuristicResult_t, workspaceSize) == 64, "");
_Static_assert(offsetof(cublasLtMatmulHeuristicResult_t, state) == 72, "");
_Static_assert(offsetof(cublasLtMatmulHeuristicResult_t, wavesCount) == 76, "");

const char *gpudae_cublaslt_open(struct gpudae_cublaslt *library, const char *path, char *why, size_t bytes) {
	void *opened = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	if (!opened) {
		snprintf(why, bytes, "%s", dlerror());
		return why;
	}
#define FIND(result, name, parameters) \
	library->name = (result(*) parameters)dlsym(opened, #name); \
	if (!library->name) { \
		snprintf(why, bytes, "%s has no function %s", path, #name); \
		return why; \
	}
	GPUDAE_CUBLASLT_FUNCTIONS(FIND)
#undef FIND
	return NULL;
}

size_t gpudae_cublaslt_version(const struct gpudae_cublaslt *library) { return library->cublasLtGetVersion(); }
const char *gpudae_cublaslt_status_name(const struct gpudae_cublaslt *library, int status) { return library->cublasLtGetStatusName(status); }
const char *gpudae_cublaslt_status_text(const struct gpudae_cublaslt *library, int status) { return library->cublasLtGetStatusString(status); }
int gpudae_cublaslt_create(const struct gpudae_cublaslt *library, void **handle) { return library->cublasLtCreate(handle); }
int gpudae_cublaslt_destroy(const struct gpudae_cublaslt *library, void *handle) { return library->cublasLtDestroy(handle); }

/* TRY makes a call of the library, and ends the function where it fails. */
#define TRY(name, ...) \
	do { \
		*call = #name; \
		int status_ = library->name(__VA_ARGS__); \
		if (status_ != CUBLAS_STATUS_SUCCESS) return status_; \
	} while (0)

/* describe makes descriptor and layouts. */
static int describe(const struct gpudae_cublaslt *library, const struct gpudae_product *p, uintptr_t bias, struct gpudae_plan *plan, const char **call) {
	const int32_t a = p->transpose_a ? CUBLAS_OP_T : CUBLAS_OP_N, b = p->transpose_b ? CUBLAS_OP_T : CUBLAS_OP_N;
	const uint32_t epilogue = bias ? CUBLASLT_EPILOGUE_BIAS : CUBLASLT_EPILOGUE_DEFAULT;
	TRY(cublasLtMatmulDescCreate, &plan->descriptor, p->compute, CUDA_R_32F);
	TRY(cublasLtMatmulDescSetAttribute, plan->descriptor, CUBLASLT_MATMUL_DESC_TRANSA, &a, sizeof a);
	TRY(cublasLtMatmulDescSetAttribute, plan->descriptor, CUBLASLT_MATMUL_DESC_TRANSB, &b, sizeof b);
	TRY(cublasLtMatmulDescSetAttribute, plan->descriptor, CUBLASLT_MATMUL_DESC_EPILOGUE, &epilogue, sizeof epilogue);
	if (bias) TRY(cublasLtMatmulDescSetAttribute, plan->descriptor, CUBLASLT_MATMUL_DESC_BIAS_POINTER, &bias, sizeof bias);
	TRY(cublasLtMatrixLayoutCreate, &plan->a, p->type, p->transpose_a ? p->k : p->m, p->transpose_a ? p->m : p->k, p->lda);
	TRY(cublasLtMatrixLayoutCreate, &plan->b, p->type, p->transpose_b ? p->n : p->k, p->transpose_b ? p->k : p->n, p->ldb);
	TRY(cublasLtMatrixLayoutCreate, &plan->d, CUDA_R_32F, p->m, p->n, p->ldd);
	return CUBLAS_STATUS_SUCCESS;
}

/* prefer sets what an algorithm may ask for: a workspace, alignments, and, where blocks share sums, that these lie in the
   workspace as float32 and are added by a step of their own, in one order. */
static int prefer(const struct gpudae_cublaslt *library, void *preference, const struct gpudae_product *p, uint64_t workspace, const char **call) {
	const uint32_t scheme = CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE;
	TRY(cublasLtMatmulPreferenceSetAttribute, preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &workspace, sizeof workspace);
	TRY(cublasLtMatmulPreferenceSetAttribute, preference, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, &scheme, sizeof scheme);
	TRY(cublasLtMatmulPreferenceSetAttribute, preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, &p->align_a, sizeof p->align_a);
	TRY(cublasLtMatmulPreferenceSetAttribute, preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, &p->align_b, sizeof p->align_b);
	TRY(cublasLtMatmulPreferenceSetAttribute, preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, &p->align_d, sizeof p->align_d);
	TRY(cublasLtMatmulPreferenceSetAttribute, preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, &p->align_d, sizeof p->align_d);
	return CUBLAS_STATUS_SUCCESS;
}

/* choose asks for the algorithm that the library thinks the quickest. */
static int choose(const struct gpudae_cublaslt *library, void *handle, void *preference, struct gpudae_plan *plan, const char **call) {
	cublasLtMatmulHeuristicResult_t best;
	int found = 0;
	TRY(cublasLtMatmulAlgoGetHeuristic, handle, plan->descriptor, plan->a, plan->b, plan->d, plan->d, preference, 1, &best, &found);
	if (found == 0) return CUBLAS_STATUS_NOT_SUPPORTED;
	if (best.state != CUBLAS_STATUS_SUCCESS) return best.state;
	plan->algorithm = best.algo;
	plan->workspace = best.workspaceSize;
	return CUBLAS_STATUS_SUCCESS;
}

int gpudae_cublaslt_plan(const struct gpudae_cublaslt *library, void *handle, const struct gpudae_product *product, uintptr_t bias, size_t workspace,
                         struct gpudae_plan *plan, const char **call) {
	void *preference = NULL;
	memset(plan, 0, sizeof *plan);
	int status = describe(library, product, bias, plan, call);
	if (!status) {
		*call = "cublasLtMatmulPreferenceCreate";
		status = library->cublasLtMatmulPreferenceCreate(&preference);
	}
	if (!status) status = prefer(library, preference, product, workspace, call);
	if (!status) status = choose(library, handle, preference, plan, call);
	if (preference) library->cublasLtMatmulPreferenceDestroy(preference);
	if (status) gpudae_cublaslt_discard(library, plan);
	return status;
}

void gpudae_cublaslt_discard(const struct gpudae_cublaslt *library, struct gpudae_plan *plan) {
	if (plan->a) library->cublasLtMatrixLayoutDestroy(plan->a);
	if (plan->b) library->cublasLtMatrixLayoutDestroy(plan->b);
	if (plan->d) library->cublasLtMatrixLayoutDestroy(plan->d);
	if (plan->descriptor) library->cublasLtMatmulDescDestroy(plan->descriptor);
	memset(plan, 0, sizeof *plan);
}

int gpudae_cublaslt_multiply(const struct gpudae_cublaslt *library, void *handle, const struct gpudae_plan *plan, uintptr_t a, uintptr_t b, uintptr_t d,
                             uintptr_t bias, int accumulate, uintptr_t workspace, size_t bytes, void *stream, const char **call) {
	const float alpha = 1, beta = accumulate ? 1 : 0;
	if (bias) TRY(cublasLtMatmulDescSetAttribute, plan->descriptor, CUBLASLT_MATMUL_DESC_BIAS_POINTER, &bias, sizeof bias);
	TRY(cublasLtMatmul, handle, plan->descriptor, &alpha, (const void *)a, plan->a, (const void *)b, plan->b, &beta, (const void *)d, plan->d, (void *)d, plan->d,
	    &plan->algorithm, (void *)workspace, bytes, stream);
	return CUBLAS_STATUS_SUCCESS;
}
