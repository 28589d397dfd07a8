// What Python asks of the second device, as torch.ops.second_device.*
#include "state.h"

#include <torch/library.h>

namespace second {
namespace {

std::vector<int64_t> read_counts() {
  return {counts.launches, counts.waits, counts.copies_up, counts.bytes_up, counts.copies_down, counts.allocations};
}

std::vector<int64_t> read_memory(int64_t device) {
  const Memory& own = memory[device];
  return {own.used, own.peak, own.limit};
}

void set_limit(int64_t device, int64_t bytes) { memory[device].limit = bytes; }
void reset_peak(int64_t device) { memory[device].peak = memory[device].used.load(); }
void set_has_float64(bool has) { has_float64 = has; }
void set_listener(int64_t address) { listener = reinterpret_cast<Listener>(address); }

void fail_after(int64_t allocations, std::string words) {
  failure_words = std::move(words);
  allocations_until_failure = allocations;
}

void wait() { waited("synchronize"); }

TORCH_LIBRARY(second_device, library) {
  library.def("counts", &read_counts);
  library.def("memory", &read_memory);
  library.def("set_limit", &set_limit);
  library.def("reset_peak", &reset_peak);
  library.def("set_has_float64", &set_has_float64);
  library.def("set_listener", &set_listener);
  library.def("fail_after", &fail_after);
  library.def("wait", &wait);
}

}  // namespace
}  // namespace second
