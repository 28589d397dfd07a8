// Kernels of the second device: the processor's, on other names for the same memory, behind the checks a card makes.
#include "state.h"

#include <ATen/ATen.h>
#include <ATen/EmptyTensor.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/native/CPUFallback.h>
#include <ATen/native/Resize.h>
#include <ATen/ops/as_strided_native.h>
#include <ATen/ops/_reshape_alias_native.h>
#include <ATen/ops/unfold_native.h>
#include <ATen/ops/view_native.h>
#include <c10/core/DeviceGuard.h>
#include <torch/library.h>

#include <set>

namespace second {
namespace {

using at::Tensor;
using c10::IValue;
using Sizes = c10::IntArrayRef;
using OptionalTensor = std::optional<Tensor>;

const c10::DispatchKeySet kKey(c10::DispatchKey::PrivateUse1);

bool is_ours(const Tensor& tensor) { return tensor.defined() && tensor.device().type() == kType; }

void check_type(at::ScalarType type) {
  TORCH_CHECK_TYPE(
      has_float64 || type != at::kDouble,
      "Cannot convert a MPS Tensor to float64 dtype as the MPS framework doesn't support float64. Please use float32 "
      "instead.");
}

// The same elements under another device's name. The storage keeps the original alive.
Tensor renamed(const Tensor& tensor, c10::DispatchKey key, c10::Device device) {
  auto* kept = new c10::Storage(tensor.storage());
  void* data = const_cast<void*>(kept->data());
  c10::DataPtr pointer(data, kept, [](void* storage) { delete static_cast<c10::Storage*>(storage); }, device);
  c10::Storage storage(c10::Storage::use_byte_size_t(), kept->nbytes(), std::move(pointer), nullptr, false);
  Tensor other = at::detail::make_tensor<c10::TensorImpl>(std::move(storage), c10::DispatchKeySet(key), tensor.dtype());
  other.unsafeGetTensorImpl()->set_sizes_and_strides(tensor.sizes(), tensor.strides(), tensor.storage_offset());
  if (tensor.is_conj()) other._set_conj(true);
  if (tensor.is_neg()) other._set_neg(true);
  return other;
}

Tensor on_processor(const Tensor& tensor) {
  return is_ours(tensor) ? renamed(tensor, c10::DispatchKey::CPU, c10::Device(c10::DeviceType::CPU)) : tensor;
}

struct Adopted {
  c10::Storage storage;
  int device;
};

void let_go(void* context) {
  auto* own = static_cast<Adopted*>(context);
  release(own->device, own->storage.mutable_data(), own->storage.nbytes());
  delete own;
}

// A result that the processor made is the device's from now on; what shares memory with something else is copied.
Tensor adopted(const Tensor& made, c10::Device device) {
  if (!made.defined() || made.device().type() == kType) return made;
  check_type(made.scalar_type());
  Tensor own = made.storage().use_count() == 1 ? made : made.clone();
  reserve(device.index(), own.storage().nbytes());
  if (own.storage().nbytes() == 0) return renamed(own, c10::DispatchKey::PrivateUse1, device);
  auto* kept = new Adopted{own.storage(), device.index()};
  c10::DataPtr pointer(kept->storage.mutable_data(), kept, &let_go, device);
  c10::Storage storage(c10::Storage::use_byte_size_t(), kept->storage.nbytes(), std::move(pointer), allocator(), true);
  Tensor result = at::detail::make_tensor<c10::TensorImpl>(std::move(storage), kKey, own.dtype());
  result.unsafeGetTensorImpl()->set_sizes_and_strides(own.sizes(), own.strides(), own.storage_offset());
  return result;
}

// As CUDA's: an index may be on the processor.
const std::set<std::string> kMayMix = {
    "aten::index", "aten::index_put_", "aten::index_put", "aten::_index_put_impl_", "aten::_unsafe_index"};
// A kernel over lists takes so many tensors at once, by how many lists it walks, in CUDA's multi-tensor-apply.
constexpr int64_t kTensorsAtOnce[] = {110, 110, 64, 48, 36, 30};

// As a card, products of halves are summed in float32; the processor's own kernels for them are also very slow. A product
// arrives as the variant that writes its result (`mm.out`, `addmm_`).
const std::set<std::string> kProducts = {"aten::mm", "aten::addmm", "aten::bmm", "aten::baddbmm", "aten::addmv", "aten::mv"};

Tensor widened(const Tensor& tensor) {
  return tensor.defined() && tensor.scalar_type() == at::kHalf ? tensor.to(at::kFloat) : tensor;
}

Tensor narrowed(const Tensor& tensor, at::ScalarType type) { return tensor.defined() ? tensor.to(type) : tensor; }

struct Call {
  const c10::OperatorHandle& op;
  torch::jit::Stack* stack;
  size_t begin;
  std::vector<IValue> original, handed;
  std::optional<c10::Device> device;
  int64_t lists = 0, longest = 0;
  bool is_product_of_halves = false;

  void note(const Tensor& tensor) {
    if (!tensor.defined()) return;
    if (is_ours(tensor)) {
      TORCH_CHECK(!device || *device == tensor.device(), words(tensor));
      device = tensor.device();
    }
  }
  void check(const Tensor& tensor, bool may_mix) {
    const bool is_elsewhere = tensor.defined() && !is_ours(tensor) && !tensor.device().is_meta() && tensor.dim() > 0;
    TORCH_CHECK(!is_elsewhere || may_mix || !device, words(tensor));
  }
  std::string words(const Tensor& tensor) const {
    return c10::str(
        "Expected all tensors to be on the same device, but found at least two devices, ", tensor.device(), " and ",
        device ? *device : current(), ", in ", op.operator_name(), " (shape ", tensor.sizes(), ")");
  }
};

template <typename F>
void each_tensor(const IValue& value, const F& act) {
  if (value.isTensor()) act(value.toTensor());
  if (value.isTensorList())
    for (const Tensor& tensor : value.toTensorVector()) act(tensor);
  if (value.isOptionalTensorList())
    for (const auto& tensor : value.toOptionalTensorVector())
      if (tensor) act(*tensor);
}

IValue handed(const IValue& value, bool is_written) {
  if (value.isTensor()) {
    const Tensor tensor = value.toTensor();
    if (is_written && tensor.defined() && tensor.numel() == 0)  // an out argument that the kernel sizes
      return at::empty({0}, tensor.options().device(at::kCPU));
    return on_processor(tensor);
  }
  if (value.isTensorList()) {
    std::vector<Tensor> list;
    for (const Tensor& tensor : value.toTensorVector()) list.push_back(on_processor(tensor));
    return list;
  }
  if (value.isOptionalTensorList()) {
    c10::List<OptionalTensor> list;
    for (const auto& tensor : value.toOptionalTensorVector())
      list.push_back(tensor ? OptionalTensor(on_processor(*tensor)) : tensor);
    return list;
  }
  if (value.isDevice() && value.toDevice().type() == kType) return c10::Device(c10::DeviceType::CPU);
  return value;
}

void hand_over(Call& call) {
  const auto& arguments = call.op.schema().arguments();
  const bool may_mix = kMayMix.count(call.op.operator_name().name) > 0;
  for (const IValue& value : call.original) each_tensor(value, [&](const Tensor& tensor) { call.note(tensor); });
  for (size_t i = 0; i < arguments.size(); i++) {
    const IValue& value = call.original[i];
    each_tensor(value, [&](const Tensor& tensor) { call.check(tensor, may_mix); });
    if (value.isTensorList()) call.lists++, call.longest = std::max<int64_t>(call.longest, value.toTensorVector().size());
    const auto* info = arguments[i].alias_info();
    IValue& given = (*call.stack)[call.begin + i];
    given = handed(value, info && info->isWrite());
    if (call.is_product_of_halves && given.isTensor()) given = widened(given.toTensor());
  }
  call.handed.assign(call.stack->begin() + call.begin, call.stack->end());
}

// Arguments that were written to keep their place; one that the kernel sized takes the result's memory.
void write_back(const Call& call, c10::Device device) {
  const auto& arguments = call.op.schema().arguments();
  for (size_t i = 0; i < arguments.size(); i++) {
    const auto* info = arguments[i].alias_info();
    if (!info || !info->isWrite() || !call.original[i].isTensor()) continue;
    Tensor own = call.original[i].toTensor(), used = call.handed[i].toTensor();
    if (is_ours(own) && used.sizes() != own.sizes())
      own.set_(adopted(narrowed(used, own.scalar_type()), device));
    else if (call.is_product_of_halves)  // the kernel wrote a copy
      on_processor(own).copy_(used);
  }
}

IValue result(const Call& call, const IValue& value, const c10::Argument& described, c10::Device device) {
  const auto* info = described.alias_info();
  if (info && info->isWrite())
    for (size_t i = 0; i < call.original.size(); i++) {
      const auto* own = call.op.schema().arguments()[i].alias_info();
      if (own && own->isWrite() && own->beforeSets() == info->beforeSets()) return call.original[i];
    }
  if (value.isTensor() && call.is_product_of_halves) return adopted(narrowed(value.toTensor(), at::kHalf), device);
  if (value.isTensor()) return adopted(value.toTensor(), device);
  if (value.isTensorList()) {
    std::vector<Tensor> list;
    for (const Tensor& tensor : value.toTensorVector()) list.push_back(adopted(tensor, device));
    return list;
  }
  return value;
}

void run_on_processor(const c10::OperatorHandle& op, c10::DispatchKeySet, torch::jit::Stack* stack) {
  const auto& schema = op.schema();
  const size_t begin = stack->size() - schema.arguments().size();
  Call call{op, stack, begin, {stack->begin() + begin, stack->end()}, {}, {}};
  call.is_product_of_halves = kProducts.count(schema.name()) && call.original[0].isTensor() &&
      call.original[0].toTensor().scalar_type() == at::kHalf;
  hand_over(call);
  const c10::Device device = call.device ? *call.device : current();
  const int64_t at_once = kTensorsAtOnce[std::min<int64_t>(call.lists, 5)];
  const bool walks_lists = call.lists && schema.name().rfind("aten::_f", 0) == 0;  // _foreach_, _fused_
  launched(schema.name().c_str(), walks_lists ? (call.longest + at_once - 1) / at_once : 1);
  op.redispatchBoxed(c10::DispatchKeySet(c10::DispatchKey::CPU), stack);
  write_back(call, device);
  const size_t first = stack->size() - schema.returns().size();
  for (size_t i = 0; i < schema.returns().size(); i++)
    (*stack)[first + i] = result(call, (*stack)[first + i], schema.returns()[i], device);
}

Tensor empty(
    Sizes size, std::optional<at::ScalarType> type, std::optional<at::Layout>, std::optional<at::Device> device,
    std::optional<bool>, std::optional<at::MemoryFormat> format) {
  check_type(c10::dtype_or_default(type));
  const c10::OptionalDeviceGuard guard(device);
  return at::detail::empty_generic(size, allocator(), kKey, c10::dtype_or_default(type), format);
}

Tensor empty_strided(
    Sizes size, Sizes stride, std::optional<at::ScalarType> type, std::optional<at::Layout>,
    std::optional<at::Device> device, std::optional<bool>) {
  check_type(c10::dtype_or_default(type));
  const c10::OptionalDeviceGuard guard(device);
  return at::detail::empty_strided_generic(size, stride, allocator(), kKey, c10::dtype_or_default(type));
}

// Up from memory that is not pinned, or without non_blocking, the host waits until the copy is done; down always.
Tensor copy_from(const Tensor& from, const Tensor& to, bool non_blocking) {
  const bool is_up = !is_ours(from), is_down = !is_ours(to);
  if (from.scalar_type() != to.scalar_type()) check_type(to.scalar_type());
  const int64_t bytes = int64_t(to.numel() * to.itemsize());
  if (is_up) {
    counts.copies_up++;
    counts.bytes_up += bytes;
    tell(Event::kCopyUp, bytes, "copy to the device");
    if (!non_blocking || !is_pinned(from.storage().data())) waited("copy to the device");
  } else if (is_down) {
    counts.copies_down++;
    waited("copy to the host");
  } else {
    launched("aten::copy_", 1);
  }
  on_processor(to).copy_(on_processor(from));
  return to;
}

Tensor copy_from_and_resize(const Tensor& from, const Tensor& to) {
  if (to.sizes() != from.sizes()) to.resize_(from.sizes());
  return copy_from(from, to, false);
}

at::Scalar local_scalar_dense(const Tensor& self) {
  waited("read a number");
  return on_processor(self).item();
}

Tensor& set_source(Tensor& self, at::Storage source, int64_t offset, Sizes size, Sizes stride) {
  self.unsafeGetTensorImpl()->set_storage_keep_dtype(std::move(source));
  self.unsafeGetTensorImpl()->set_sizes_and_strides(size, stride, offset);
  return self;
}
Tensor& set_whole_source(Tensor& self, at::Storage source) {
  const int64_t elements = int64_t(source.nbytes() / self.itemsize());
  return set_source(self, std::move(source), 0, {elements}, {1});
}
Tensor& set_tensor(Tensor& self, const Tensor& source) {
  return set_source(self, source.storage(), source.storage_offset(), source.sizes(), source.strides());
}

const Tensor& resize(const Tensor& self, Sizes size, std::optional<at::MemoryFormat>) {
  Tensor larger = empty(size, self.scalar_type(), {}, self.device(), {}, {});
  if (const size_t bytes = std::min(larger.storage().nbytes(), self.storage().nbytes()); bytes && self.numel())
    std::memcpy(larger.storage().mutable_data(), self.storage().data(), bytes);
  const_cast<Tensor&>(self).set_(larger);
  return self;
}

void check_convolution(const Tensor& x, const Tensor& weight, const OptionalTensor& bias) {
  const bool are_ours = is_ours(x) && is_ours(weight) && (!bias || !bias->defined() || is_ours(*bias));
  TORCH_CHECK(are_ours && x.device() == weight.device(), "convolution: Expected all tensors to be on the same device");
  TORCH_CHECK(
      x.scalar_type() == weight.scalar_type(), "Input type (", x.scalar_type(), ") and weight type (",
      weight.scalar_type(), ") should be the same");
}

Tensor convolution(
    const Tensor& x, const Tensor& weight, const OptionalTensor& bias, c10::SymIntArrayRef stride,
    c10::SymIntArrayRef padding, c10::SymIntArrayRef dilation, bool transposed, c10::SymIntArrayRef output_padding,
    c10::SymInt groups) {
  check_convolution(x, weight, bias);
  launched("aten::convolution", 1);
  const OptionalTensor own = bias && bias->defined() ? OptionalTensor(widened(on_processor(*bias))) : std::nullopt;
  const Tensor made = at::convolution_symint(
      widened(on_processor(x)), widened(on_processor(weight)), own, stride, padding, dilation, transposed,
      output_padding, groups);
  return adopted(narrowed(made, x.scalar_type()), x.device());
}

std::tuple<Tensor, Tensor, Tensor> convolution_backward(
    const Tensor& grad, const Tensor& x, const Tensor& weight, c10::SymIntArrayRef stride, c10::SymIntArrayRef padding,
    c10::SymIntArrayRef dilation, bool transposed, c10::SymIntArrayRef output_padding, c10::SymInt groups,
    std::array<bool, 3> wanted) {
  check_convolution(grad, weight, std::nullopt);
  launched("aten::convolution_backward", wanted[0] + wanted[1] + wanted[2]);
  c10::SymInt channels = grad.sym_size(1);
  auto [of_x, of_weight, of_bias] = at::convolution_backward_symint(
      widened(on_processor(grad)), widened(on_processor(x)), widened(on_processor(weight)),
      at::OptionalSymIntArrayRef(c10::SymIntArrayRef(&channels, 1)), stride, padding, dilation, transposed,
      output_padding, groups, wanted);
  const auto own = [&](const Tensor& made) { return adopted(narrowed(made, x.scalar_type()), x.device()); };
  return {own(of_x), own(of_weight), own(of_bias)};
}

bool is_pinned_tensor(const Tensor& self, std::optional<at::Device>) { return is_pinned(self.storage().data()); }

// Over lists of tensors torch has a loop for every device, and kernels of their own for a card.
void add_kernels_over_lists(torch::Library& library) {
  for (const auto& name : c10::Dispatcher::singleton().getAllOpNames()) {
    const bool walks_lists = name.name.rfind("aten::_foreach_", 0) == 0 || name.name.rfind("aten::_fused_", 0) == 0;
    if (!walks_lists) continue;
    auto op = c10::Dispatcher::singleton().findSchema(name);
    if (!op || !op->hasSchema()) continue;
    const std::string full = name.name.substr(6) + (name.overload_name.empty() ? "" : "." + name.overload_name);
    library.impl(full.c_str(), torch::CppFunction::makeFromBoxedFunction<&run_on_processor>());
  }
}

TORCH_LIBRARY_IMPL(_, PrivateUse1, library) {
  library.fallback(torch::CppFunction::makeFromBoxedFunction<&run_on_processor>());
}

TORCH_LIBRARY_IMPL(_, AutocastPrivateUse1, library) { library.fallback(torch::CppFunction::makeFallthrough()); }

TORCH_LIBRARY_IMPL(aten, PrivateUse1, library) {
  library.impl("empty.memory_format", &empty);
  library.impl("empty_strided", &empty_strided);
  library.impl("_copy_from", &copy_from);
  library.impl("_copy_from_and_resize", &copy_from_and_resize);
  library.impl("_local_scalar_dense", &local_scalar_dense);
  library.impl("view", &at::native::view);
  library.impl("as_strided", &at::native::as_strided_tensorimpl);
  library.impl("_reshape_alias", &at::native::_reshape_alias);
  library.impl("unfold", &at::native::unfold);
  library.impl("set_.source_Storage_storage_offset", &set_source);
  library.impl("set_.source_Storage", &set_whole_source);
  library.impl("set_.source_Tensor", &set_tensor);
  library.impl("resize_", &resize);
  library.impl("is_pinned", &is_pinned_tensor);
  library.impl("convolution_overrideable", &convolution);
  library.impl("convolution_backward_overrideable", &convolution_backward);
  // Made of many small kernels unless a device has its own.
  for (const char* name : {
           "native_group_norm", "native_layer_norm", "native_group_norm_backward", "native_layer_norm_backward"})
    library.impl(name, torch::CppFunction::makeFromBoxedFunction<&run_on_processor>());
  add_kernels_over_lists(library);
}

}  // namespace
}  // namespace second
