// Memory of the second device: the processor's own, counted, limited, and never a number before or after its use.
#include "state.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/detail/PrivateUse1HooksInterface.h>
#include <c10/core/StorageImpl.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>
#include <c10/util/Exception.h>

#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>

namespace second {

Memory memory[kDevices];
Counts counts;
std::atomic<Listener> listener{nullptr};
std::atomic<bool> has_float64{true};
std::atomic<int64_t> allocations_until_failure{-1};
std::string failure_words;

namespace {

thread_local int current_index = 0;
constexpr int kNeverWritten = 0xff, kFreed = 0x7f;

struct Block {
  int device;
  int64_t bytes;
  void* data;
};

void free_block(void* context) {
  auto* block = static_cast<Block*>(context);
  release(block->device, block->data, block->bytes);
  std::free(block->data);
  delete block;
}

struct DeviceAllocator final : c10::Allocator {
  c10::DataPtr allocate(size_t bytes) override {
    const c10::Device device = current();
    if (bytes == 0) return {nullptr, nullptr, &free_block_or_nothing, device};
    reserve(device.index(), bytes);
    auto* block = new Block{device.index(), int64_t(bytes), std::aligned_alloc(64, (bytes + 63) / 64 * 64)};
    std::memset(block->data, kNeverWritten, bytes);
    return {block->data, block, &free_block, device};
  }
  static void free_block_or_nothing(void*) {}
  c10::DeleterFnPtr raw_deleter() const override { return nullptr; }
  void copy_data(void* to, const void* from, size_t bytes) const override { std::memcpy(to, from, bytes); }
};
DeviceAllocator device_allocator;

std::mutex pinned_mutex;
std::map<const void*, size_t> pinned;

void unpin(void* data) {
  std::lock_guard<std::mutex> lock(pinned_mutex);
  pinned.erase(data);
  std::free(data);
}

struct PinnedAllocator final : c10::Allocator {
  c10::DataPtr allocate(size_t bytes) override {
    void* data = std::aligned_alloc(64, (bytes + 64) / 64 * 64);
    std::lock_guard<std::mutex> lock(pinned_mutex);
    pinned[data] = bytes;
    return {data, data, &unpin, c10::Device(c10::DeviceType::CPU)};
  }
  c10::DeleterFnPtr raw_deleter() const override { return &unpin; }
  void copy_data(void* to, const void* from, size_t bytes) const override { std::memcpy(to, from, bytes); }
};
PinnedAllocator pinned_allocator;

}  // namespace

void tell(Event event, int64_t bytes, const char* what) {
  if (Listener heard = listener.load()) heard(int64_t(event), bytes, what);
}

void waited(const char* what) {
  counts.waits++;
  tell(Event::kWait, 0, what);
}

void launched(const char* what, int64_t kernels) {
  counts.launches += kernels;
  tell(Event::kLaunch, kernels, what);
}

void reserve(int device, int64_t bytes) {
  counts.allocations++;
  const bool fails = allocations_until_failure.load() >= 0 && allocations_until_failure-- == 0;
  if (fails && !failure_words.empty()) TORCH_CHECK(false, failure_words);
  Memory& own = memory[device];
  TORCH_CHECK_WITH(
      OutOfMemoryError, !fails && own.used.load() + bytes <= own.limit.load(), "second device out of memory: ", bytes,
      " bytes wanted, ", own.used.load(), " of ", own.limit.load(), " in use");
  own.used += bytes;
  if (own.used > own.peak) own.peak = own.used.load();
}

void release(int device, void* data, int64_t bytes) {
  memory[device].used -= bytes;
  std::memset(data, kFreed, bytes);
}

c10::Allocator* allocator() { return &device_allocator; }
c10::Device current() { return {kType, c10::DeviceIndex(current_index)}; }

bool is_pinned(const void* data) {
  std::lock_guard<std::mutex> lock(pinned_mutex);
  auto after = pinned.upper_bound(data);
  if (after == pinned.begin()) return false;
  auto [begin, bytes] = *--after;
  return data < static_cast<const char*>(begin) + bytes;
}

namespace {

struct Guard final : c10::impl::DeviceGuardImplInterface {
  c10::DeviceType type() const override { return kType; }
  c10::Device getDevice() const override { return current(); }
  void setDevice(c10::Device device) const override {
    TORCH_CHECK(device.index() < kDevices, "there are ", kDevices, " devices, got ", device);
    uncheckedSetDevice(device);
  }
  void uncheckedSetDevice(c10::Device device) const noexcept override {
    if (device.index() >= 0) current_index = device.index();
  }
  c10::Device exchangeDevice(c10::Device device) const override {
    const c10::Device before = current();
    setDevice(device);
    return before;
  }
  c10::DeviceIndex deviceCount() const noexcept override { return kDevices; }
  // One stream a device: everything is done in the order it is asked for.
  c10::Stream stream(c10::Device device) const { return c10::Stream(c10::Stream::DEFAULT, device); }
  c10::Stream getStream(c10::Device device) const override { return stream(device); }
  c10::Stream getDefaultStream(c10::Device device) const override { return stream(device); }
  c10::Stream getNewStream(c10::Device device, int) const override { return stream(device); }
  c10::Stream exchangeStream(c10::Stream other) const override { return stream(other.device()); }
  void record(void**, const c10::Stream&, c10::DeviceIndex, c10::EventFlag) const override {}
  void block(void*, const c10::Stream&) const override {}
  bool queryEvent(void*) const override { return true; }
  bool queryStream(const c10::Stream&) const override { return true; }
  void synchronizeStream(const c10::Stream&) const override { waited("synchronize stream"); }
  void synchronizeEvent(void*) const override { waited("synchronize event"); }
  void synchronizeDevice(c10::DeviceIndex) const override { waited("synchronize device"); }
};
C10_REGISTER_GUARD_IMPL(PrivateUse1, Guard);

struct Hooks final : at::PrivateUse1HooksInterface {
  bool isBuilt() const override { return true; }
  bool isAvailable() const override { return true; }
  bool hasPrimaryContext(c10::DeviceIndex) const override { return true; }
  c10::DeviceIndex deviceCount() const override { return kDevices; }
  c10::DeviceIndex getCurrentDevice() const override { return current_index; }
  void setCurrentDevice(c10::DeviceIndex device) const override { current_index = device; }
  c10::DeviceIndex exchangeDevice(c10::DeviceIndex device) const override {
    return c10::DeviceIndex(std::exchange(current_index, int(device)));
  }
  c10::DeviceIndex maybeExchangeDevice(c10::DeviceIndex device) const override {
    return device < 0 ? getCurrentDevice() : exchangeDevice(device);
  }
  c10::Device getDeviceFromPtr(void*) const override { return current(); }
  bool isPinnedPtr(const void* data) const override { return is_pinned(data); }
  c10::Allocator* getPinnedMemoryAllocator() const override { return &pinned_allocator; }
  at::Generator getNewGenerator(c10::DeviceIndex) const override { return at::make_generator<at::CPUGeneratorImpl>(); }
  const at::Generator& getDefaultGenerator(c10::DeviceIndex) const override {
    return at::detail::getDefaultCPUGenerator();
  }
  void resizePrivateUse1Bytes(const c10::Storage& storage, size_t bytes) const override {
    auto* own = storage.unsafeGetStorageImpl();
    c10::DataPtr larger = device_allocator.allocate(bytes);
    if (own->data() && bytes) std::memcpy(larger.get(), own->data(), std::min(bytes, own->nbytes()));
    own->set_data_ptr_noswap(std::move(larger));
    own->set_nbytes(bytes);
  }
};
Hooks hooks;

struct Register {
  Register() {
    at::RegisterPrivateUse1HooksInterface(&hooks);
    c10::SetAllocator(kType, &device_allocator, 0);
  }
} at_load;

}  // namespace
}  // namespace second
