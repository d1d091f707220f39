"""Who is next: turns, places, and what the queue remembers."""

import pickle
from collections import Counter
from itertools import count, pairwise
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from bot.jobs.queue import FairQueue

OWNERS = st.integers(min_value=1, max_value=4)


def filled(*jobs: str) -> FairQueue:
    """A queue with these jobs, whose owner is their first letter."""
    queue = FairQueue()
    for job in jobs:
        queue.add(job, ord(job[0]))
    return queue


def drained(queue: FairQueue) -> list[str]:
    """Every job, in the order in which they leave."""
    return [queue.pop() for _ in range(len(queue))]


class Seat(NamedTuple):
    """A waiting job of the model; earlier arrivals are less."""

    arrival: int
    job: str
    owner: int


class Rounds:
    """The rule, told differently: painting goes in rounds, and each member has one seat in each.

    A new job takes its owner's first free seat, from the round in hand on, behind those who sit there already. When a
    job goes, its owner's later ones each take the seat before theirs.
    """

    def __init__(self) -> None:
        self.rounds: list[list[Seat]] = [[]]
        self.served: set[int] = set()
        """Whose seat in the round in hand, the first, was used."""

    def order(self) -> list[Seat]:
        return [seat for seats in self.rounds for seat in seats]

    def add(self, seat: Seat) -> None:
        self.rounds.append([])
        for number, seats in enumerate(self.rounds):
            used = {taken.owner for taken in seats} | (set() if number else self.served)
            if seat.owner not in used:
                seats.append(seat)
                return

    def pop(self) -> str:
        while not self.rounds[0]:
            del self.rounds[0]
            self.served = set()
        seat = self.rounds[0].pop(0)
        self.served.add(seat.owner)
        return seat.job

    def remove(self, gone: Seat) -> bool:
        if gone not in self.order():
            return False
        moving = [seat for seat in self.order() if seat.owner == gone.owner and seat >= gone]
        rounds = [seats for seats in self.rounds if set(seats) & set(moving)]
        for seats, seat in zip(rounds, moving, strict=True):
            seats.remove(seat)
        for seats, seat in zip(rounds, moving[1:], strict=False):
            seats.append(seat)
            seats.sort()
        return True


class Turns(RuleBasedStateMachine):
    """Whatever happens to a queue, it agrees with the rule told differently."""

    seats: Bundle[Seat] = Bundle("seats")

    def __init__(self) -> None:
        super().__init__()
        self.queue = FairQueue()
        self.model = Rounds()
        self.arrivals = count()

    @rule(target=seats, owner=OWNERS)
    def add(self, owner: int) -> Seat:
        arrival = next(self.arrivals)
        seat = Seat(arrival, f"{owner}-{arrival}", owner)
        self.queue.add(seat.job, owner)
        self.model.add(seat)
        return seat

    @rule()
    def pop(self) -> None:
        if self.model.order():
            assert self.queue.pop() == self.model.pop()
        else:
            with pytest.raises(IndexError):
                self.queue.pop()

    @rule(seat=consumes(seats))
    def remove(self, seat: Seat) -> None:
        assert self.queue.remove(seat.job) == self.model.remove(seat)
        assert not self.queue.remove(seat.job)

    @invariant()
    def places_are_those_of_the_rule(self) -> None:
        order = [seat.job for seat in self.model.order()]
        assert list(self.queue.places().items()) == [(job, place) for place, job in enumerate(order, 1)]
        assert len(self.queue) == len(order)


TestTurns = Turns.TestCase
TestTurns.settings = settings(max_examples=150, stateful_step_count=30, deadline=None)


def test_jobs_of_one_member_keep_their_order() -> None:
    assert drained(filled("a1", "a2", "a3")) == ["a1", "a2", "a3"]


def test_members_take_turns_however_many_jobs_one_of_them_has() -> None:
    assert drained(filled("a1", "a2", "a3", "b1", "c1", "b2")) == ["a1", "b1", "c1", "a2", "b2", "a3"]


def test_a_second_job_waits_for_members_who_had_none_yet() -> None:
    queue = filled("a1")
    queue.pop()
    queue.add("a2", ord("a"))
    queue.add("b1", ord("b"))
    assert drained(queue) == ["b1", "a2"]


def test_an_empty_queue_has_nobody_next() -> None:
    with pytest.raises(IndexError):
        FairQueue().pop()


def test_jobs_that_were_cancelled_cost_no_turn() -> None:
    queue = filled("a1", "a2", "a3", "b1", "b2", "b3")
    for job in ("a1", "a2", "a3"):
        queue.remove(job)
    queue.add("a4", ord("a"))
    assert drained(queue) == ["b1", "a4", "b2", "b3"]


def test_the_next_job_of_a_member_moves_up_when_one_is_cancelled() -> None:
    queue = filled("a1", "a2", "b1", "b2")
    queue.remove("a1")
    assert drained(queue) == ["a2", "b1", "b2"]


def test_cancelling_and_asking_anew_does_not_bring_a_member_ahead() -> None:
    queue = filled("a1", "b1", "c1")
    queue.remove("a1")
    queue.add("a2", ord("a"))
    assert drained(queue) == ["b1", "c1", "a2"]


@given(st.lists(OWNERS, max_size=30), OWNERS)
def test_a_newcomer_waits_for_at_most_one_job_of_each_other_member(waiting: list[int], popped: int) -> None:
    queue = FairQueue()
    owners = {f"{owner}-{number}": owner for number, owner in enumerate(waiting)}
    for job, owner in owners.items():
        queue.add(job, owner)
    for _ in range(min(popped, len(queue))):
        queue.pop()
    queue.add("new", 99)
    order = drained(queue)
    ahead = Counter(owners[job] for job in order[: order.index("new")])
    assert all(count == 1 for count in ahead.values())


@given(st.lists(OWNERS, max_size=30))
def test_between_two_jobs_of_a_member_there_are_at_most_two_of_each_other(arrivals: list[int]) -> None:
    queue = FairQueue()
    owners = {f"{owner}-{number}": owner for number, owner in enumerate(arrivals)}
    for job, owner in owners.items():
        queue.add(job, owner)
    order = [owners[job] for job in drained(queue)]
    for member in set(order):
        stands = [place for place, owner in enumerate(order) if owner == member]
        for first, second in pairwise(stands):
            between = Counter(order[first + 1 : second])
            assert all(count <= 2 for count in between.values())


@given(st.integers(min_value=1, max_value=20), st.integers(min_value=1, max_value=6))
def test_nobody_starves_beside_members_who_always_have_the_next_job_ready(ready: int, busy: int) -> None:
    queue = FairQueue()
    for number in range(ready):
        for owner in range(1, busy + 1):
            queue.add(f"{owner}-{number}", owner)
    for job in ("patient-1", "patient-2"):
        queue.add(job, 0)
    left: list[str] = []
    while "patient-2" not in left:
        left.append(queue.pop())
        if not left[-1].startswith("patient"):
            owner = int(left[-1].split("-")[0])
            queue.add(f"{owner}-again-{len(left)}", owner)
        assert len(left) <= 2 * busy + 2


@pytest.mark.parametrize("end", ["painted", "cancelled"])
def test_members_who_are_done_take_no_memory(end: str) -> None:
    queue = FairQueue()
    for number in range(2):
        for owner in range(500):
            queue.add(f"{owner}-{number}", owner)
    if end == "painted":
        drained(queue)
        # The round in hand is remembered until the next begins.
        queue.add("later", 1)
        queue.pop()
    else:
        for job in list(queue.places()):
            queue.remove(job)
    assert len(pickle.dumps(queue)) < len(pickle.dumps(FairQueue())) + 50
