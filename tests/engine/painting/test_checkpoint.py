"""The saved states of a painting, as bytes."""

import os
import pickle
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
import torch

from engine.painting.checkpoint import Checkpoint, FinalState, from_bytes, to_bytes
from engine.recipe import Recipe


class Evil:
    """Runs a command when it is unpickled without care."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (self.command,)


def checkpoint(height: int = 20, width: int = 30) -> Checkpoint:
    generator = torch.Generator().manual_seed(6)
    image, before, first, second = (torch.randn(1, 3, height, width, generator=generator) for _ in range(4))
    state = {"step": torch.tensor(19.0), "exp_avg": first, "exp_avg_sq": second}
    return Checkpoint(
        recipe="5f420c72",
        continued=0,
        size=64,
        scale=1,
        step=7,
        elapsed=3.25,
        image=image,
        before=before,
        state=state,
    )


def test_a_checkpoint_is_read_exactly_from_its_bytes() -> None:
    before = checkpoint()
    after = from_bytes(to_bytes(before), Checkpoint)
    assert isinstance(after, Checkpoint)
    assert (after.recipe, after.continued) == ("5f420c72", 0)
    assert (after.size, after.scale, after.step, after.elapsed) == (64, 1, 7, 3.25)
    assert list(after.state) == ["step", "exp_avg", "exp_avg_sq"]
    pairs = [(after.image, before.image), (after.before, before.before)]
    for one, other in [*pairs, *((after.state[name], before.state[name]) for name in before.state)]:
        assert torch.equal(one, other)
        assert one.dtype == torch.float32


def test_a_checkpoint_may_have_no_optimiser_state() -> None:
    after = from_bytes(to_bytes(replace(checkpoint(), state={})), Checkpoint)
    assert isinstance(after, Checkpoint)
    assert after.state == {}


def test_a_final_state_is_its_image_in_8_bits_and_takes_3_bytes_a_pixel() -> None:
    image = torch.rand(1, 3, 512, 384, generator=torch.Generator().manual_seed(6))
    data = to_bytes(FinalState.of(Recipe(size=512, strength=30), image))
    after = from_bytes(data, FinalState)
    assert isinstance(after, FinalState)
    assert (after.size, after.strength, after.stroke) == (512, 30, 1)
    assert (after.image / 255 - image).abs().max() <= 0.5001 / 255
    assert 3 * 512 * 384 < len(data) < 3 * 512 * 384 + 4096


def test_a_checkpoint_takes_48_bytes_a_pixel_with_adam_and_24_without() -> None:
    small, large = (checkpoint(side, side) for side in (64, 128))
    pixels = 128**2 - 64**2
    assert len(to_bytes(large)) - len(to_bytes(small)) == pytest.approx(48 * pixels, rel=0.01)
    bare = [len(to_bytes(replace(each, state={}))) for each in (small, large)]
    assert bare[1] - bare[0] == pytest.approx(24 * pixels, rel=0.01)


def test_bytes_that_contain_code_are_refused_and_it_does_not_run(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    buffer = BytesIO()
    torch.save({"scale": Evil(f"touch {trace}")}, buffer)
    with pytest.raises(pickle.UnpicklingError):
        from_bytes(buffer.getvalue(), Checkpoint)
    assert not trace.exists()
