"""Out of memory is detected in every form it is reported, and what the message calls saved is saved."""

import pytest
import torch
from pack.tests.support.toy_model import run, toy_request
from pack.training.loop.out_of_memory import OutOfMemory, is_out_of_memory
from pack.training.loop.stages import Stage
from pack.training.run.saver import SaveSettings

FORMS = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
    torch.AcceleratorError("CUDA error: out of memory"),
    RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
    RuntimeError("CUDA error: CUBLAS_STATUS_NOT_INITIALIZED when calling `cublasCreate(handle)`"),
    RuntimeError("HIP error: HIPBLAS_STATUS_ALLOC_FAILED when calling `hipblasCreate(handle)`"),
    RuntimeError("cusolver error: CUSOLVER_STATUS_ALLOC_FAILED, when calling `cusolverDnCreate(handle)`"),
    RuntimeError("CUDA driver error: CUDA_ERROR_OUT_OF_MEMORY"),
    torch.OutOfMemoryError("XPU out of memory. Tried to allocate 20.00 MiB"),
    RuntimeError("level_zero backend failed with error: 39 (UR_RESULT_ERROR_OUT_OF_DEVICE_MEMORY)"),
    RuntimeError("Native API failed. Native API returns: -5 (PI_ERROR_OUT_OF_RESOURCES)"),
    OSError(12, "Cannot allocate memory"),
    OSError(22, "The paging file is too small for this operation to complete"),
    RuntimeError("MPS backend out of memory (MPS allocated: 18.00 GB, max allowed: 18.13 GB)"),
    RuntimeError("Could not allocate tensor with 1048576 bytes. There is not enough GPU video memory available!"),
    RuntimeError("[enforce fail at alloc_cpu.cpp:114] DefaultCPUAllocator: can't allocate memory"),
    RuntimeError("HIP error: hipErrorOutOfMemory"),
    RuntimeError("MIOpen Error: miopenStatusAllocFailed"),
    RuntimeError("rocBLAS error: rocblas_status_memory_error"),
    RuntimeError("cuFFT error: CUFFT_ALLOC_FAILED"),
    RuntimeError("CUDA error: insufficient resources when calling `cusparseCreate(handle)`"),
    RuntimeError("level_zero backend failed with error: 39"),
    RuntimeError("Invalid buffer size: 18.00 GB"),
    RuntimeError("MAGMA: could not allocate device memory"),
    RuntimeError("NVML_SUCCESS == r INTERNAL ASSERT FAILED at CUDACachingAllocator.cpp:1016"),
    RuntimeError("std::bad_alloc"),
    RuntimeError("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED"),
    RuntimeError("memory allocation failed"),
    RuntimeError("Unable to allocate 18.00 GB"),
    RuntimeError("MAGMA error: MAGMA_ERR_DEVICE_ALLOC"),
    MemoryError(),
]


@pytest.mark.parametrize("error", FORMS, ids=lambda error: str(error)[:60])
def test_every_form_is_noticed(error):
    assert is_out_of_memory(error)


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("mat1 and mat2 shapes cannot be multiplied"),
        ValueError("memory"),
        RuntimeError("CUDA error: device-side assert triggered"),
        OSError(28, "No space left on device"),
        RuntimeError("CUDA error: CUBLAS_STATUS_EXECUTION_FAILED when calling `cublasGemmEx`"),
        RuntimeError("CUDA error: an illegal memory access was encountered"),
        RuntimeError("level_zero backend failed with error: 390"),
        FileNotFoundError(2, "No such file or directory", "out_of_memory.png"),
        PermissionError(13, "Permission denied", "could not allocate.txt"),
    ],
)
def test_other_errors_are_none(error):
    assert not is_out_of_memory(error)


@pytest.mark.usefixtures("quick_disk")
def test_only_what_was_saved_is_called_saved(tmp_path, monkeypatch):
    """Full in the middle of the update: the weights are half changed, so that the last save counts."""
    step, calls = torch.optim.AdamW.step, []

    def failing(self, *asked):
        calls.append(1)
        if len(calls) == 4:
            raise torch.OutOfMemoryError("full")
        return step(self, *asked)

    monkeypatch.setattr(torch.optim.AdamW, "step", failing)
    request = toy_request(tmp_path, stages=(Stage(steps=6),), saving=SaveSettings(save_every=2))
    with pytest.raises(OutOfMemory, match="step 4.* 2 steps are saved"):
        run(request)
