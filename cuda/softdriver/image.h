// image.h: a shared object of kernels: the CPU's twin of a fatbin.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "checker.h"
#include "launch.h"

namespace softdriver {

struct Image {
  void* handle;
  const void* base;  // where the object is mapped
  Range mapped;      // its code and constants
  std::vector<SoftdriverKernel> kernels;
  char* (*dynamic)(size_t* capacity);  // this thread's dynamic shared memory

  const SoftdriverKernel* find(const char* name) const;
};

// open_image returns the image at a path, opened once for the process, or null
// with a message on standard error.
const Image* open_image(const std::string& path);

// shared_memory is this thread's copy of an image's __shared__ variables.
Range shared_memory(const Image& image);

// default_image is kernels.so in the driver's own folder.
std::string default_image();

}  // namespace softdriver
