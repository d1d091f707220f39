"""Steps that are recorded once and replayed: on a GPU where there is one, else on an imitation of its graphs."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from engine.optim import cuda_graphs, optimisers
from engine.optim.cuda_graphs import WARM_UP, replayed
from engine.vgg.vgg19 import VGG19, load_cached
from tests.engine.painted import ALL, EVERY_STEP, Painted, narrow_network, painted

CPU, CUDA = torch.device("cpu"), torch.device("cuda")

needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="There is no CUDA device.")


class Tape(TorchDispatchMode):
    """Records what torch computes, and on which tensors, below autograd."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.calls: list[tuple[Any, Any, Any, Any]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.ops.aten._local_scalar_dense.default:
            raise RuntimeError("operation not permitted when stream is capturing")
        outcome = func(*args, **(kwargs or {}))
        self.calls.append((func, args, kwargs or {}, outcome))
        return outcome


class Graph:
    """Works like a CUDA graph: it repeats the same operations on the same memory, with its current values."""

    def __init__(self) -> None:
        self.tape = Tape()
        self.replays = 0

    @torch.no_grad()
    def replay(self) -> None:
        self.replays += 1
        for func, args, kwargs, recorded in self.tape.calls:
            outcome = func(*args, **kwargs)
            for new, old in zip(tree_leaves(outcome), tree_leaves(recorded), strict=True):
                if isinstance(new, Tensor) and new.data_ptr() != old.data_ptr():
                    old.copy_(new)


class Stream:
    """Has nothing to wait for."""

    def wait_stream(self, other: "Stream") -> None: ...


@contextmanager
def capturing(graph: Graph) -> Iterator[None]:
    with graph.tape:
        yield


@contextmanager
def on(stream: Stream) -> Iterator[None]:
    yield


@pytest.fixture
def fake_graphs(monkeypatch: pytest.MonkeyPatch) -> list[Graph]:
    """Imitates CUDA graphs on the CPU. Returns those that were made."""
    made: list[Graph] = []

    def graph() -> Graph:
        made.append(Graph())
        return made[-1]

    monkeypatch.setattr(torch.cuda, "CUDAGraph", graph)
    monkeypatch.setattr(torch.cuda, "graph", capturing)
    monkeypatch.setattr(torch.cuda, "Stream", Stream)
    monkeypatch.setattr(torch.cuda, "stream", on)
    monkeypatch.setattr(torch.cuda, "current_stream", Stream)
    return made


class Walk:
    """A step that works in place: the speed grows by the rate, the place by the speed. Returns ten times both."""

    def __init__(self) -> None:
        self.place, self.speed, self.rate = torch.zeros(3), torch.ones(3), torch.zeros(())
        self.runs = 0

    def step(self) -> tuple[Tensor, Tensor]:
        self.runs += 1
        self.speed.add_(self.rate)
        self.place.add_(self.speed)
        return self.place * 10, self.speed * 10

    def state(self) -> Sequence[Tensor]:
        return [self.place, self.speed]


RATES = (0.5, 0.25, 4.0, -2.0, 1.0, 0.0)


def walked(walk: Walk, step: Callable[[], tuple[Tensor, Tensor]]) -> list[tuple[float, ...]]:
    """The returned tensors and the state after each step."""
    found = []
    for rate in RATES:
        walk.rate.fill_(rate)
        told = step()
        found.append(tuple(float(each[0]) for each in (*told, walk.place, walk.speed)))
    return found


def eager() -> list[tuple[float, ...]]:
    walk = Walk()
    return walked(walk, walk.step)


# --- Without a GPU ---


def test_on_a_cpu_replayed_returns_the_step_itself() -> None:
    walk = Walk()
    step = walk.step
    assert replayed(step, walk.state, CPU) is step


# --- Recording ---


def test_a_replayed_step_equals_the_step(fake_graphs: list[Graph]) -> None:
    """Neither the warm-up nor the recording counts as a step, and each replay reads the current values."""
    walk = Walk()
    assert walked(walk, replayed(walk.step, walk.state, CUDA)) == eager()
    (graph,) = fake_graphs
    assert graph.replays == len(RATES) - 1
    assert walk.runs == 1 + WARM_UP + 1


def test_the_warm_up_does_not_change_state_that_the_first_step_creates(fake_graphs: list[Graph]) -> None:
    """Adam creates its moments in its first step."""

    class Late(Walk):
        def state(self) -> Sequence[Tensor]:
            assert self.runs
            return super().state()

    walk = Late()
    assert walked(walk, replayed(walk.step, walk.state, CUDA)) == eager()


def test_each_step_has_its_own_recording(fake_graphs: list[Graph]) -> None:
    one, other = Walk(), Walk()
    steps = [replayed(walk.step, walk.state, CUDA) for walk in (one, other)]
    assert walked(one, steps[0]) == walked(other, steps[1]) == eager()
    assert len(fake_graphs) == 2


def test_a_step_that_cannot_be_recorded_runs_unrecorded(
    fake_graphs: list[Graph], caplog: pytest.LogCaptureFixture
) -> None:
    class Reading(Walk):
        def step(self) -> tuple[Tensor, Tensor]:
            assert self.place[0].item() >= 0  # waits for the GPU, which no recording can
            return super().step()

    walk = Reading()
    assert walked(walk, replayed(walk.step, walk.state, CUDA)) == eager()
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "operation not permitted" in caplog.text
    assert [graph.replays for graph in fake_graphs] == [0]


def test_a_failed_first_step_can_be_repeated(fake_graphs: list[Graph]) -> None:
    class Failing(Walk):
        def step(self) -> tuple[Tensor, Tensor]:
            if not self.runs:
                self.runs += 1
                raise torch.OutOfMemoryError
            return super().step()

    walk = Failing()
    step = replayed(walk.step, walk.state, CUDA)
    with pytest.raises(torch.OutOfMemoryError):
        step()
    assert walked(walk, step) == eager()


# --- A painting ---


def both(monkeypatch: pytest.MonkeyPatch, network: VGG19, **fields: Any) -> tuple[Painted, Painted]:
    """A painting step by step, and the same replayed."""
    stepped = painted(network, **fields)
    monkeypatch.setattr(optimisers, "replayed", lambda step, state, device: cuda_graphs.replayed(step, state, CUDA))
    return stepped, painted(network, **fields)


@pytest.mark.usefixtures("two_scales")
@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"precision": "bfloat16"},
        {"balance": "dynamic", "detail": 50, "total_variation": 1, "pooling": "average"},
    ],
    ids=["plain", "bfloat16", "every term"],
)
def test_a_replayed_painting_gives_the_same_bytes(
    fields: dict[str, Any], fake_graphs: list[Graph], monkeypatch: pytest.MonkeyPatch
) -> None:
    network = narrow_network(getattr(torch, fields.get("precision", "float32")))
    stepped, replayed = both(monkeypatch, network, steps=10, pace=EVERY_STEP, **fields)
    assert [event.loss for event in replayed.events] == [event.loss for event in stepped.events]
    assert replayed.result.picture == stepped.result.picture
    assert [graph.replays for graph in fake_graphs] == [
        4,
        4,
    ]  # a recording for each scale, whose first step is no replay


def test_a_replayed_painting_reports_the_losses_and_the_preview_of_each_step(
    fake_graphs: list[Graph], narrow: VGG19, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each event has the losses and the preview of its own step, although a replay overwrites the tensors."""
    stepped, replayed = both(monkeypatch, narrow, steps=5, pace=ALL)
    assert [event.preview for event in replayed.events] == [event.preview for event in stepped.events]
    assert all(one.loss > other.loss for one, other in pairwise(replayed.events))
    assert fake_graphs[0].replays == 4


# --- On a GPU ---


@needs_cuda
@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("recompute", [False, True])
def test_on_a_gpu_replaying_does_not_change_the_painting(
    recompute: bool, precision: torch.dtype, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """But for the order in which a GPU adds, which is another each time."""
    network = load_cached("embedded", CUDA, precision)
    if recompute:
        monkeypatch.setattr("engine.painting.loop.RECOMPUTED", 0)
    replayed = painted(network, size=256, steps=30)
    monkeypatch.setattr(optimisers, "replayed", lambda step, state, device: step)
    stepped = painted(network, size=256, steps=30)
    assert not caplog.records  # it was recorded
    assert replayed.result.steps == 30
    for one, other in zip(replayed.events, stepped.events, strict=True):
        assert one.loss == pytest.approx(other.loss, rel=0.02)
    assert abs(replayed.pixels - stepped.pixels).mean() < 3


@needs_cuda
def test_on_a_gpu_a_replayed_painting_resumes_from_a_checkpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    network = load_cached("embedded", CUDA, torch.float32)
    kept: list[bytes] = []

    def save(data: bytes) -> str:
        kept.append(data)
        return str(len(kept))

    whole = painted(network, size=256, steps=20, pace=ALL, save=save)
    rest = painted(network, size=256, steps=20, pace=EVERY_STEP, resume=kept[9])
    assert [event.step for event in rest.events] == list(range(11, 21))
    assert rest.events[-1].loss == pytest.approx(whole.events[-1].loss, rel=0.02)


@needs_cuda
def test_on_a_gpu_a_replayed_step_equals_the_step() -> None:
    class OnGPU(Walk):
        def __init__(self) -> None:
            super().__init__()
            self.place, self.speed, self.rate = (each.cuda() for each in (self.place, self.speed, self.rate))

    walk = OnGPU()
    assert walked(walk, replayed(walk.step, walk.state, CUDA)) == eager()
    assert walk.runs == 1 + WARM_UP + 1
