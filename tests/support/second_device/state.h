// What the second device knows of itself: how much of its memory is used, and what it was asked to do.
#pragma once
#include <c10/core/Allocator.h>
#include <c10/core/Device.h>

#include <atomic>
#include <cstdint>
#include <string>

namespace second {

constexpr int kDevices = 2;
constexpr c10::DeviceType kType = c10::DeviceType::PrivateUse1;

struct Memory {
  std::atomic<int64_t> used{0}, peak{0}, limit{int64_t(1) << 40};
};

struct Counts {
  std::atomic<int64_t> launches{0}, waits{0}, copies_up{0}, bytes_up{0}, copies_down{0}, allocations{0};
};

// What a caller wants to hear of, with the stack it happens in.
enum class Event : int64_t { kWait = 0, kCopyUp = 1, kLaunch = 2 };
using Listener = void (*)(int64_t event, int64_t bytes, const char* what);

extern Memory memory[kDevices];
extern Counts counts;
extern std::atomic<Listener> listener;
extern std::atomic<bool> has_float64;
extern std::atomic<int64_t> allocations_until_failure;  // below 0: none fails
extern std::string failure_words;                       // empty: torch's own OutOfMemoryError

void tell(Event event, int64_t bytes, const char* what);
void waited(const char* what);
void launched(const char* what, int64_t kernels);

// Takes note of memory that is a device's from now on; refuses what is over the limit.
void reserve(int device, int64_t bytes);
// The counterpart; what lay there is no number any more.
void release(int device, void* data, int64_t bytes);
c10::Allocator* allocator();
c10::Device current();
bool is_pinned(const void* data);

}  // namespace second
