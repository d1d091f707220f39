"""Placement: a painting goes to the worker on which it ends soonest."""

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from engine.executor import placement
from engine.executor.placement import LONGEST_WAIT, WORTH_MOVING, Assignments, WorkerLoad, choose, pixels, worth_moving
from engine.painting.pyramid import scales
from engine.recipe import Recipe
from engine.worker.protocol import WorkerInfo

LEFT = pixels(Recipe(size=512, steps=90))

PACES = st.none() | st.floats(1e-9, 1e-4)
LOADS = st.lists(
    st.builds(WorkerLoad, st.text("abcdef", min_size=1), st.sampled_from(["cpu", "cuda"]), PACES, st.floats(0, 1000)),
    unique_by=lambda load: load.worker,
)
WORK = st.floats(1, 1e10)


def gpu(name: str = "gpu", busy: float = 0) -> WorkerLoad:
    return WorkerLoad(name, "cuda", 5e-8, busy)


def cpu(name: str = "cpu", busy: float = 0, pace: float | None = 3e-6) -> WorkerLoad:
    return WorkerLoad(name, "cpu", pace, busy)


def info(device: str = "cpu", painting: str | None = None, busy: float = 0, pace: float | None = None) -> WorkerInfo:
    return WorkerInfo("version", "cuda" if device == "cuda" else "cpu", device, "float32", 1, pace, painting, busy)


# --- Remaining work ---


@pytest.mark.parametrize("recipe", [Recipe(size=64, steps=10), Recipe(size=1024, steps=100), Recipe(size=512, steps=1)])
def test_the_remaining_work_falls_with_each_step_to_zero(recipe: Recipe) -> None:
    left = [pixels(recipe, done) for done in range(recipe.steps + 1)]
    assert left[0] == sum(scale.steps * scale.size**2 for scale in scales(recipe.size, recipe.steps))
    assert all(one > other for one, other in pairwise(left))
    assert left[-1] == 0


def test_the_first_steps_take_the_least_work() -> None:
    recipe = Recipe(size=1024, steps=90)
    assert pixels(recipe) - pixels(recipe, 1) == scales(1024, 90)[0].size ** 2
    assert pixels(recipe, 89) == 1024**2


# --- Choosing ---


def test_without_workers_none_is_chosen() -> None:
    assert choose([], LEFT) is None


def test_a_free_gpu_is_chosen_over_a_free_cpu() -> None:
    assert choose([cpu(), gpu()], LEFT) == gpu()


def test_a_painting_waits_for_a_busy_gpu_if_it_ends_sooner_there() -> None:
    seconds = cpu().ends(LEFT)
    assert seconds > 30
    for busy in (1, seconds / 2):
        assert choose([cpu(), gpu(busy=busy)], LEFT) == gpu(busy=busy)
    assert choose([cpu(), gpu(busy=seconds)], LEFT) == cpu()


def test_a_painting_does_not_wait_long_while_a_worker_is_free() -> None:
    huge = pixels(Recipe(size=4096, steps=400))
    assert choose([cpu(), gpu(busy=LONGEST_WAIT + 1)], huge) == cpu()


def test_if_all_workers_are_busy_for_long_the_soonest_end_is_chosen() -> None:
    assert choose([cpu(busy=500), gpu(busy=600)], pixels(Recipe(size=4096, steps=400))) == gpu(busy=600)


def test_a_new_worker_has_the_default_pace_of_its_device() -> None:
    assert choose([cpu("new", pace=None), cpu("slow", pace=1e-5)], LEFT) == cpu("new", pace=None)
    assert choose([cpu("new", pace=None), cpu("fast", pace=1e-6)], LEFT) == cpu("fast", pace=1e-6)


@given(LOADS, WORK)
def test_the_chosen_worker_ends_soonest_of_those_that_are_free_in_time(loads: list[WorkerLoad], left: float) -> None:
    chosen = choose(loads, left)
    assert (chosen is None) == (not loads)
    if chosen:
        near = [load for load in loads if load.busy <= LONGEST_WAIT]
        assert all(chosen.ends(left) <= load.ends(left) for load in near or loads)
        assert chosen in near or not near


@given(LOADS, WORK)
def test_idle_first_chooses_among_idle_workers_if_there_are_any(loads: list[WorkerLoad], left: float) -> None:
    idle = [load for load in loads if not load.busy]
    assert choose(loads, left, idle_first=True) == choose(idle or loads, left)


@given(LOADS, WORK)
def test_the_order_of_workers_does_not_matter(loads: list[WorkerLoad], left: float) -> None:
    assert choose(loads, left) == choose(loads[::-1], left)


# --- Moving ---


@given(LOADS, WORK)
def test_a_painting_that_moves_does_not_move_back(loads: list[WorkerLoad], left: float) -> None:
    assume(loads)
    for load in loads:
        if worth_moving(loads, load.worker, left):
            best = choose(loads, left)
            assert best is not None
            assert best.worker != load.worker
            assert load.busy > LONGEST_WAIT or best.ends(left) < WORTH_MOVING * load.ends(left)
            assert not worth_moving(loads, best.worker, left)


def test_a_painting_moves_to_a_free_worker_only_for_a_large_gain() -> None:
    assert worth_moving([cpu("here", busy=60), cpu("there")], "here", LEFT)
    assert not worth_moving([cpu("here", busy=5), cpu("there")], "here", LEFT)
    assert not worth_moving([cpu("here", busy=60)], "here", LEFT)


# --- Assignments ---


def test_simultaneous_paintings_spread_over_equal_workers() -> None:
    assignments, workers = Assignments(), {name: info() for name in "abc"}
    placed = []
    for _ in range(6):
        load = choose(assignments.loads(workers), LEFT)
        assert load is not None
        assignments.assign(load, LEFT)
        placed.append(load.worker)
    assert sorted(placed) == ["a", "a", "b", "b", "c", "c"]


def test_paintings_spread_in_proportion_to_the_speed_of_workers() -> None:
    assignments = Assignments()
    workers = {"slow": info(pace=4e-7), "fast": info(pace=1e-7)}
    placed = []
    for _ in range(10):
        load = choose(assignments.loads(workers), LEFT)
        assert load is not None
        assignments.assign(load, LEFT)
        placed.append(load.worker)
    assert placed.count("fast") == 8


def test_reported_progress_replaces_the_prediction() -> None:
    assignments, workers = Assignments(), {"a": info()}
    channel = assignments.assign(cpu("a"), LEFT)
    assignments.update(channel, 3.5)
    (load,) = assignments.loads(workers)
    assert load.busy == 3.5


def test_the_work_of_other_bots_counts_and_our_own_counts_once() -> None:
    assignments = Assignments()
    channel = assignments.assign(cpu("a"), LEFT)
    assignments.update(channel, 7)
    workers = {"a": info(painting=channel, busy=9), "b": info(painting="another bot's", busy=5)}
    assert {load.worker: load.busy for load in assignments.loads(workers)} == {"a": 7, "b": 5}


def test_a_painting_does_not_wait_for_itself() -> None:
    assignments, workers = Assignments(), {"a": info()}
    channel = assignments.assign(cpu("a"), LEFT)
    (load,) = assignments.loads(workers, apart_from=channel)
    assert load.busy == 0


def test_a_worker_is_free_after_our_painting_before_it_reports_that() -> None:
    assignments = Assignments()
    channel = assignments.assign(cpu("a"), LEFT)
    assignments.remove(channel)
    (load,) = assignments.loads({"a": info(painting=channel, busy=100)})
    assert load.busy == 0


@given(
    st.lists(st.tuples(st.sampled_from("abc"), WORK, st.booleans()), max_size=20),
    st.sets(st.sampled_from("abc")),
)
def test_only_the_paintings_of_workers_that_left_are_removed(
    given: list[tuple[str, float, bool]], stay: set[str]
) -> None:
    assignments, expected = Assignments(), dict.fromkeys(stay, 0.0)
    for worker, left, ended in given:
        channel = assignments.assign(replace(cpu(), worker=worker), left)
        if ended:
            assignments.remove(channel)
            assignments.remove(channel)
        elif worker in stay:
            expected[worker] += left * cpu().ends(1)
    loads = assignments.loads({name: info() for name in stay})
    assert {load.worker: load.busy for load in loads} == pytest.approx(expected)


def test_channels_are_unique_even_between_bots() -> None:
    one, other = placement.Assignments(), placement.Assignments()
    channels = [assignments.assign(cpu(), LEFT) for assignments in (one, other) for _ in range(3)]
    assert len(set(channels)) == 6
