"""A painting between two steps, as bytes."""

import os
import pickle
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
import torch

from engine.checkpoint import Checkpoint


class Evil:
    """Runs a command when it is unpickled without care."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (self.command,)


def checkpoint(height: int = 20, width: int = 30) -> Checkpoint:
    image, first, second = torch.randn(3, 1, 3, height, width, generator=torch.Generator().manual_seed(6))
    return Checkpoint(1, 7, 19.0, 3.25, image, first, second)


def test_nothing_is_lost_on_the_way_through_bytes() -> None:
    before = checkpoint()
    after = Checkpoint.from_bytes(before.to_bytes())
    assert (after.scale, after.step, after.adam_step, after.elapsed) == (1, 7, 19.0, 3.25)
    for name in ("image", "first_moment", "second_moment"):
        assert torch.equal(getattr(after, name), getattr(before, name))
        assert getattr(after, name).dtype == torch.float32


def test_its_size_is_36_bytes_a_pixel() -> None:
    small, large = (len(checkpoint(side, side).to_bytes()) for side in (64, 128))
    assert large - small == pytest.approx(36 * (128**2 - 64**2), rel=0.01)


def test_bytes_that_would_run_code_are_refused_and_do_not(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    buffer = BytesIO()
    torch.save({"scale": Evil(f"touch {trace}")}, buffer)
    with pytest.raises(pickle.UnpicklingError):
        Checkpoint.from_bytes(buffer.getvalue())
    assert not trace.exists()
