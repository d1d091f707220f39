"""Who is next: members take turns, however many jobs each has waiting."""

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True, order=True)
class _Ticket:
    turn: int
    arrival: int
    job: str
    owner: int


class FairQueue:
    """Jobs by turns: a member's n-th waiting job comes after everybody else's (n-1)-th, else by arrival.

    That is start-time fair queueing with all jobs of one cost (Goyal, Vin and Cheng, 1996): nobody starves, and a
    member who arrives with one job waits for at most one job of each other member.
    """

    def __init__(self) -> None:
        self._waiting: list[_Ticket] = []
        self._arrivals = 0
        self._turn = 0
        self._last_turn: dict[int, int] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, job: str, owner: int) -> None:
        """Put a job into the queue."""
        turn = max(self._turn, self._last_turn.get(owner, -1) + 1)
        self._last_turn[owner] = turn
        self._waiting.append(_Ticket(turn, self._arrivals, job, owner))
        self._arrivals += 1
        self._waiting.sort()

    def pop(self) -> str:
        """Take the next job; raises ``IndexError`` if none waits."""
        ticket = self._waiting.pop(0)
        self._turn = ticket.turn
        self._forget_past_turns()
        return ticket.job

    def remove(self, job: str) -> bool:
        """Take a job out wherever it stands; its owner's later jobs move up a turn. Whether it was there."""
        gone = next((ticket for ticket in self._waiting if ticket.job == job), None)
        if gone is None:
            return False
        self._waiting.remove(gone)
        self._waiting = sorted(
            replace(ticket, turn=ticket.turn - 1) if ticket.owner == gone.owner and ticket > gone else ticket
            for ticket in self._waiting
        )
        self._last_turn[gone.owner] -= 1
        self._forget_past_turns()
        return True

    def places(self) -> dict[str, int]:
        """Each waiting job's place, from 1, in order."""
        return {ticket.job: place for place, ticket in enumerate(self._waiting, 1)}

    def _forget_past_turns(self) -> None:
        self._last_turn = {owner: turn for owner, turn in self._last_turn.items() if turn >= self._turn}
