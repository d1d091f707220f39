"""The device and precision of the network."""

from dataclasses import dataclass

import torch
from dask.system import CPU_COUNT

from engine.errors import DeviceUnavailable
from engine.recipe import Precision


@dataclass(frozen=True, slots=True)
class Compute:
    """A device and the precision of the network's activations on it."""

    device: torch.device
    dtype: torch.dtype

    @property
    def precision(self) -> str:
        """``float32`` or ``bfloat16``."""
        return str(self.dtype).removeprefix("torch.")

    @property
    def name(self) -> str:
        """The device's name for people."""
        if self.device.type == "cuda":
            return torch.cuda.get_device_name(self.device)
        return f"CPU with {torch.get_num_threads()} threads"


def choose(device: str = "auto", precision: Precision = "auto") -> Compute:
    """Resolve the names of a device (``auto``, ``cpu``, ``cuda``, ``cuda:1`` …) and of a precision.

    Raises:
        DeviceUnavailable: this machine or this build of torch does not have the device.
    """
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        chosen = torch.device(device)
    except RuntimeError as error:
        raise DeviceUnavailable(f"{device!r} is not a device; use auto, cpu, cuda or cuda:N.") from error
    if chosen.type not in {"cpu", "cuda"}:
        raise DeviceUnavailable(f"Painting on {chosen.type!r} is not supported; use auto, cpu, cuda or cuda:N.")
    if chosen.type == "cuda" and (chosen.index or 0) >= torch.cuda.device_count():
        raise DeviceUnavailable(f"There is no {device}: torch sees {torch.cuda.device_count()} CUDA devices.")
    if precision == "auto":
        return Compute(chosen, torch.bfloat16 if computes_bfloat16(chosen) else torch.float32)
    return Compute(chosen, {"float32": torch.float32, "bfloat16": torch.bfloat16}[precision])


def computes_bfloat16(device: torch.device) -> bool:
    """Whether bfloat16 convolutions run in hardware; emulated ones are slower than float32."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))


def set_threads(threads: int | None) -> None:
    """Let torch use ``threads`` cores; None for all that CPU affinity and container limits allow."""
    torch.set_num_threads(threads or CPU_COUNT)
