#include "settings.h"

#include <cstdlib>
#include <cstring>
#include <mutex>
#include <string>
#include <thread>

#include "softdriver.h"

namespace softdriver {
namespace {

struct Row {
  const char* name;
  const char* value;  // default
};

const Row rows[size_t(Setting::kCount)] = {
    {"SOFTDRIVER_KERNELS", ""},         {"SOFTDRIVER_SEED", "0"},        {"SOFTDRIVER_THREADS", "0"},
    {"SOFTDRIVER_MEMORY", "4294967296"}, {"SOFTDRIVER_DEVICES", "1"},     {"SOFTDRIVER_CAPABILITY", "90"},
    {"SOFTDRIVER_MULTIPROCESSORS", "4"}, {"SOFTDRIVER_VERSION", "13000"}, {"SOFTDRIVER_BLOCK", "1024"},
    {"SOFTDRIVER_POOLS", "1"},           {"SOFTDRIVER_REGISTER", "1"},    {"SOFTDRIVER_EAGER", "0"},
    {"SOFTDRIVER_FAIL_LAUNCH", "0"},     {"SOFTDRIVER_REFUSE_LAUNCH", "0"},
    {"SOFTDRIVER_KERNEL_TIME", "0"},     {"SOFTDRIVER_LIBRARY_TIME", "0"},
};

struct Values {
  std::recursive_mutex mutex;
  std::string text[size_t(Setting::kCount)];
  int64_t number[size_t(Setting::kCount)];

  Values() {
    for (size_t i = 0; i < size_t(Setting::kCount); ++i) set(i, std::getenv(rows[i].name));
  }
  void set(size_t i, const char* value) {
    text[i] = value && *value ? value : rows[i].value;
    number[i] = std::strtoll(text[i].c_str(), nullptr, 10);
  }
};

Values& values() {
  static Values* v = new Values;  // outlives static destruction
  return *v;
}

}  // namespace

int64_t number(Setting s) {
  std::lock_guard lock(values().mutex);
  return values().number[size_t(s)];
}

const char* text(Setting s) {
  std::lock_guard lock(values().mutex);
  return values().text[size_t(s)].c_str();
}

bool strike(Setting s) {
  std::lock_guard lock(values().mutex);
  int64_t& left = values().number[size_t(s)];
  return left > 0 && --left == 0;
}

}  // namespace softdriver

extern "C" int softdriver_set(const char* name, const char* value) {
  using namespace softdriver;
  std::lock_guard lock(values().mutex);
  for (size_t i = 0; i < size_t(Setting::kCount); ++i) {
    if (std::strcmp(name, rows[i].name) == 0) {
      values().set(i, value);
      return 0;
    }
  }
  return 1;
}
