#include "image.h"

#include <dlfcn.h>
#include <link.h>

#include <cstdio>
#include <cstring>
#include <map>

namespace softdriver {

const SoftdriverKernel* Image::find(const char* name) const {
  for (const SoftdriverKernel& k : kernels) {
    if (std::strcmp(k.name, name) == 0) return &k;
  }
  return nullptr;
}

const Image* open_image(const std::string& path) {
  static auto* images = new std::map<std::string, Image>;
  if (const auto known = images->find(path); known != images->end()) return &known->second;
  void* handle = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!handle) {
    std::fprintf(stderr, "softdriver: %s\n", dlerror());
    return nullptr;
  }
  using Table = const SoftdriverKernel* (*)(size_t*);
  const auto table = reinterpret_cast<Table>(dlsym(handle, "softdriver_table"));
  const auto dynamic = reinterpret_cast<char* (*)(size_t*)>(dlsym(handle, "softdriver_dynamic"));
  if (!table || !dynamic) {
    std::fprintf(stderr, "softdriver: %s holds no kernels\n", path.c_str());
    return nullptr;
  }
  Image image = {handle, nullptr, {}, {}, dynamic};
  size_t count = 0;
  const SoftdriverKernel* rows = table(&count);
  image.kernels.assign(rows, rows + count);
  link_map* map = nullptr;
  dlinfo(handle, RTLD_DI_LINKMAP, &map);
  image.base = reinterpret_cast<const void*>(map->l_addr);
  dl_iterate_phdr(
      [](dl_phdr_info* info, size_t, void* p) {
        Image* i = static_cast<Image*>(p);
        if (reinterpret_cast<const void*>(info->dlpi_addr) != i->base) return 0;
        size_t end = 0;
        for (int k = 0; k < info->dlpi_phnum; ++k) {
          const auto& h = info->dlpi_phdr[k];
          if (h.p_type == PT_LOAD && h.p_vaddr + h.p_memsz > end) end = h.p_vaddr + h.p_memsz;
        }
        i->mapped = {static_cast<const char*>(i->base), end};
        return 1;
      },
      &image);
  return &(images->emplace(path, image).first->second);
}

Range shared_memory(const Image& image) {
  static thread_local std::map<const Image*, Range> known;
  if (const auto it = known.find(&image); it != known.end()) return it->second;
  struct Search {
    const void* base;
    Range found;
  } search = {image.base, {}};
  size_t capacity;
  image.dynamic(&capacity);  // makes this thread's copy exist
  dl_iterate_phdr(
      [](dl_phdr_info* info, size_t, void* p) {
        Search* s = static_cast<Search*>(p);
        if (reinterpret_cast<const void*>(info->dlpi_addr) != s->base) return 0;
        for (int k = 0; k < info->dlpi_phnum; ++k) {
          if (info->dlpi_phdr[k].p_type == PT_TLS) s->found = {static_cast<char*>(info->dlpi_tls_data), info->dlpi_phdr[k].p_memsz};
        }
        return 1;
      },
      &search);
  return known[&image] = search.found;
}

std::string default_image() {
  Dl_info info;
  if (!dladdr(reinterpret_cast<void*>(&default_image), &info)) return "kernels.so";
  const std::string path = info.dli_fname;
  const size_t slash = path.rfind('/');
  return (slash == std::string::npos ? "" : path.substr(0, slash + 1)) + "kernels.so";
}

}  // namespace softdriver
