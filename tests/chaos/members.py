"""Simulated members: they ask for pictures, lose patience, cancel, press twice, and ask for more than they may."""

import asyncio
import hashlib
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Literal

from bot.sandbox import Invocation, InvocationRefused, LocalDiscord, Member, Upload
from engine.quality import Quality
from tests.chaos.pictures import drawn
from tests.chaos.watch import Row, Watch
from tests.chaos.witness import Witness

ACKNOWLEDGED_WITHIN: Final = 3.5
"""Seconds: Discord's three, and the way."""
THINKS_FOR: Final = 25.0
"""Seconds that a member looks at "thinking …" before they ask again."""
WAITS_FOR: Final = 120.0
"""Seconds that a member waits for a picture before they ask for another one beside it."""
LOOK_EVERY: Final = 0.05

STYLE: Final = Upload("strokes.png", drawn(-1))

Cancel = Literal["never", "at once", "while painting"]


@dataclass(frozen=True, slots=True)
class Plan:
    """What a member means to do about one picture."""

    quality: Quality
    cancel: Cancel
    presses: int
    """How often they press Cancel, where they do."""


@dataclass(slots=True, eq=False)
class Ask:
    """One ``/stylize`` of one member."""

    number: int
    member: Member
    plan: Plan
    digest: str
    """SHA-256 of its content, under which the bot keeps it."""
    invocation: Invocation
    presses: list[Invocation] = field(default_factory=list)


class Book:
    """Every ask, and how many more are wanted."""

    def __init__(self, wanted: int, watch: Watch, witness: Witness) -> None:
        self.asks: list[Ask] = []
        self._wanted = wanted
        self._watch = watch
        self._witness = witness
        self._undecided = 0
        self._numbers = 0

    @property
    def accepted(self) -> int:
        """How many jobs were accepted so far."""
        return len(self._watch.rows)

    def job(self, ask: Ask) -> Row | None:
        """What the database has of an ask."""
        found = self._watch.by_content(ask.digest)
        if found is None:
            found = self._watch.rows.get(self._witness.job_at(ask.invocation.original_id))
        return found

    def refusal(self, ask: Ask) -> str:
        """The words by which an ask was refused or ended, if there were any."""
        for message in ask.invocation.message_ids:
            for sight in self._witness.states(message):
                if sight.is_ending:
                    return sight.content
        return ""

    def take(self) -> int | None:
        """The number of one more ask, or None while or because there are enough; :meth:`settle` must follow."""
        if self.accepted + self._undecided >= self._wanted:
            return None
        self._undecided += 1
        self._numbers += 1
        return self._numbers

    def settle(self) -> None:
        """An ask that was taken has been accepted, or will not be."""
        self._undecided -= 1

    @property
    def full(self) -> bool:
        """Whether as many jobs as wanted were accepted."""
        return self.accepted >= self._wanted


class Customer:
    """One member with several hands: each hand follows one picture at a time."""

    def __init__(self, member: Member, book: Book, rng: random.Random, *, hands: int) -> None:
        self.member = member
        self._book = book
        self._rng = rng
        self._hands = hands

    async def live(self) -> None:
        """Ask until there are enough jobs and each of one's own has ended, or patience did."""
        async with asyncio.TaskGroup() as group:
            for _ in range(self._hands):
                group.create_task(self._hand())

    async def _hand(self) -> None:
        await asyncio.sleep(self._rng.uniform(0, 2))
        while not self._book.full:
            number = self._book.take()
            if number is None:
                await asyncio.sleep(1)
                continue
            try:
                ask = await self._invoke(number)
                accepted = ask is not None and await self._accepted(ask)
            finally:
                self._book.settle()
            if ask is None or not accepted:
                await asyncio.sleep(self._rng.uniform(0.5, 3))  # and the member tries again
                continue
            await self._follow(ask)
            await asyncio.sleep(self._rng.expovariate(1 / 1.0))

    async def _invoke(self, number: int) -> Ask | None:
        picture = drawn(number)
        plan = self._plan()
        invocation = await self.member.invoke(
            "stylize",
            content=Upload(f"content {number}.png", picture),
            style=STYLE,
            quality=plan.quality,
            strength=10,
            colours="content",
        )
        ask = Ask(number, self.member, plan, hashlib.sha256(picture).hexdigest(), invocation)
        self._book.asks.append(ask)
        try:
            await invocation.acknowledged(ACKNOWLEDGED_WITHIN)
        except TimeoutError:
            return None
        return ask

    def _plan(self) -> Plan:
        quality: Quality = self._rng.choices(("quick", "standard", "fine"), (0.75, 0.2, 0.05))[0]
        cancel: Cancel = self._rng.choices(("never", "at once", "while painting"), (0.84, 0.08, 0.08))[0]
        return Plan(quality, cancel, self._rng.choice((1, 1, 2, 3)))

    async def _accepted(self, ask: Ask) -> bool:
        """Whether a job came of it within a member's patience."""
        await _until(lambda: self._book.job(ask) is not None or bool(self._book.refusal(ask)), THINKS_FOR)
        return self._book.job(ask) is not None

    async def _follow(self, ask: Ask) -> None:
        def ended() -> bool:
            row = self._book.job(ask)
            return row is not None and not row.is_open

        def painting() -> bool:
            row = self._book.job(ask)
            return row is not None and row.state != "queued"

        if ask.plan.cancel == "while painting":
            await _until(painting, WAITS_FOR)
        if ask.plan.cancel != "never":
            await self._cancel(ask, ended)
        await _until(ended, WAITS_FOR)

    async def _cancel(self, ask: Ask, ended: Callable[[], bool]) -> None:
        """Press Cancel as soon as it is there, again where nobody answered."""
        for _ in range(5):
            await _until(lambda: ended() or _can_cancel(ask), 20)
            reply = ask.invocation.original
            if ended() or reply is None or not _can_cancel(ask):
                return
            presses = []
            for _ in range(ask.plan.presses):
                try:
                    presses.append(await self.member.press(reply, "Cancel"))
                except InvocationRefused:  # gone while the finger was on its way
                    return
            ask.presses += presses
            await _until(lambda found=presses: any(press.acknowledged_after for press in found), ACKNOWLEDGED_WITHIN)  # type: ignore[misc]
            if any(press.acknowledged_after for press in presses):
                return


def _can_cancel(ask: Ask) -> bool:
    reply = ask.invocation.original
    return reply is not None and any(button.label == "Cancel" and not button.disabled for button in reply.buttons)


def customers(discord: LocalDiscord, book: Book, count: int, seed: int) -> list[Customer]:
    """``count`` members; every third wants more at a time than an operator's three."""
    return [
        Customer(
            discord.member(f"Member {number}"),
            book,
            random.Random(f"member {number} of {seed}"),
            hands=5 if number % 3 == 2 else 2,
        )
        for number in range(count)
    ]


async def _until(condition: Callable[[], bool], seconds: float) -> bool:
    """Wait until a condition holds, for so long at most; whether it does."""
    try:
        async with asyncio.timeout(seconds):
            while not condition():  # noqa: ASYNC110 - what it looks at are other people's messages and rows
                await asyncio.sleep(LOOK_EVERY)
    except TimeoutError:
        return condition()
    return True
