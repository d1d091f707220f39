"""Where VGG19's pooling falls from step to step."""

import torch
from torch import Tensor

from engine.painting.pooling_shift import PoolingShift
from engine.painting.pyramid import learning_rate

IMAGE = torch.rand(1, 3, 6, 8, generator=torch.Generator().manual_seed(0))


def shifted(steps: int) -> list[tuple[int, int]]:
    """How far down and to the right the image goes at each step."""
    shift, found = PoolingShift(torch.device("cpu")), []
    for step in range(steps):
        shift.begin_step(step)
        image: Tensor = shift(IMAGE)
        found += [
            (y, x) for y in (0, 1) for x in (0, 1) if torch.equal(image[..., y:, x:], IMAGE[..., : 6 - y, : 8 - x])
        ]
    assert len(found) == steps
    return found


def test_each_shift_occurs_once_in_four_steps() -> None:
    found = shifted(64)
    assert all(len(set(found[first : first + 4])) == 4 for first in range(0, 64, 4))


def test_while_the_learning_rate_falls_no_shift_counts_more_than_the_others() -> None:
    """The rates of the steps with and without a shift add up to nearly the same."""
    for steps in range(16, 65):
        rates = torch.tensor([learning_rate(step, steps, 0.03) for step in range(steps)])
        signs = 1 - 2 * torch.tensor(shifted(steps))
        assert ((rates @ signs.float()).abs() < 0.025 * rates.sum()).all()
