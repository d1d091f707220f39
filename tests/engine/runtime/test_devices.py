"""The device of the network, and the errors for a missing one."""

import os

import pytest
import torch

from engine.errors import DeviceUnavailable
from engine.runtime.devices import Compute, choose, computes_bfloat16, set_threads

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("capabilities", "expected"),
    [
        ({}, torch.float32),
        ({"avx512_bf16": False, "amx_bf16": False}, torch.float32),
        ({"avx512_bf16": True, "amx_bf16": False}, torch.bfloat16),
        ({"amx_bf16": True}, torch.bfloat16),
    ],
)
def test_the_precision_follows_from_what_the_processor_supports(
    capabilities: dict[str, bool], expected: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities)
    assert choose("cpu") == Compute(CPU, expected)
    assert computes_bfloat16(CPU) is (expected == torch.bfloat16)


def test_a_requested_precision_is_used() -> None:
    assert choose("cpu", "float32").precision == "float32"
    assert choose("cpu", "bfloat16").precision == "bfloat16"


def test_auto_chooses_a_gpu_if_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose("auto", "float32").device == CPU
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    assert choose("auto", "float32").device == torch.device("cuda")


@pytest.mark.parametrize(("count", "device"), [(0, "cuda"), (0, "cuda:0"), (1, "cuda:1"), (2, "cuda:7")])
def test_the_error_for_a_missing_gpu_names_it(count: int, device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
    with pytest.raises(DeviceUnavailable, match=f"no {device}: torch sees {count} CUDA devices"):
        choose(device)


@pytest.mark.parametrize("device", ["", "gpu", "cuda:x", "CPU", "mps", "meta", "xpu:0"])
def test_the_error_for_an_unknown_device_names_the_known_ones(device: str) -> None:
    with pytest.raises(DeviceUnavailable, match="use auto, cpu, cuda or cuda:N"):
        choose(device)


def test_the_number_of_threads_is_the_requested_one_or_that_of_the_process() -> None:
    set_threads(1)
    assert torch.get_num_threads() == 1
    assert choose("cpu", "float32").name == "CPU with 1 threads"
    set_threads(None)
    assert 1 <= torch.get_num_threads() <= len(os.sched_getaffinity(0))
