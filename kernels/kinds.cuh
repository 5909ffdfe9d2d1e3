// kinds.cuh: the enumerations of device/kind.go that kernels receive as numbers.
// A test of package kernels compares them with the Go constants.
#pragma once

namespace gpudae {

enum Activation { kIdentity, kReLU, kLeakyReLU, kELU, kGELU, kSiLU, kSigmoid, kTanh, kSoftplus };

enum Likelihood { kBernoulli, kGaussian, kGaussianLearned, kCategorical, kPoisson, kMixed };

enum Family { kFamilyGaussian, kFamilyGaussianLearned, kFamilyBernoulli, kFamilyCategorical };

enum Corruption {
  kCorruptNone, kCorruptGaussian, kCorruptMasking, kCorruptSaltAndPepper, kCorruptSwap, kCorruptSpeckle, kCorruptUniform, kCorruptPoisson,
  kCorruptSwapRows, kCorruptSpan
};

enum Optimizer { kSGD, kAdam, kAdamW, kRMSprop, kAdagrad };

enum Code { kCodeGaussian, kCodeBernoulli, kCodeConcrete };

enum Reduction { kSum, kSumSquares, kSumSquaredDifference };

}  // namespace gpudae
