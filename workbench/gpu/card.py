"""What a GPU reports: name, memory in use and at most, and when its work is done."""

import gc
import platform
from typing import Any

import torch

GIB = 2**30


class Card:
    """A device of torch that counts its memory; the CPU does not."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self._module: Any = getattr(torch, device.type)
        self.can_count = hasattr(self._module, "max_memory_allocated")

    def describe(self) -> dict[str, object]:
        """Name and versions, for the report."""
        name = self._module.get_device_name(self.device) if self.can_count else platform.processor() or "processor"
        is_cuda = self.device.type == "cuda"
        return {
            "name": name,
            "capability": ".".join(map(str, torch.cuda.get_device_capability(self.device))) if is_cuda else None,
            "memory_gib": round(self.total() / GIB, 2),
            "torch": torch.__version__,
            "cuda": torch.version.cuda,
            "hip": torch.version.hip,
            "system": platform.platform(),
        }

    def total(self) -> int:
        """Total bytes of the GPU."""
        return int(self._module.mem_get_info(self.device)[1]) if self.can_count else 0

    def used(self) -> int:
        """Bytes that tensors use now."""
        gc.collect()
        return int(self._module.memory_allocated(self.device)) if self.can_count else 0

    def peak(self) -> int:
        """Peak bytes since `restart`."""
        return int(self._module.max_memory_allocated(self.device)) if self.can_count else 0

    def restart(self) -> None:
        """Start counting the peak from now on."""
        gc.collect()
        if self.can_count:
            self._module.empty_cache()
            self._module.reset_peak_memory_stats(self.device)

    def limit(self, num_bytes: int | None) -> None:
        """Limit this process to `num_bytes`; None = no limit."""
        if self.can_count:
            share = 1.0 if num_bytes is None else min(1.0, num_bytes / self.total())
            self._module.set_per_process_memory_fraction(share, self.device)

    def wait(self) -> None:
        """Wait until all queued work is done."""
        if self.can_count:
            self._module.synchronize(self.device)
