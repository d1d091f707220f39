"""Simulated members: they ask for pictures, lose patience, cancel, press twice, and ask for more than they may."""

import asyncio
import hashlib
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Literal

from bot.sandbox import Invocation, InvocationRefused, LocalDiscord, Member, Message, Place, Upload
from engine.presets import Quality
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
    fetched: bool = False
    """Whether the member has fetched the painting by ``/jobs``, because no way led to them."""


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


class Places:
    """Where members ask: two servers of different shards, one without the bot, and direct messages."""

    def __init__(self, discord: LocalDiscord) -> None:
        self.discord = discord
        self.joined = (discord.home, discord.add_guild("The other shard's"))
        """Those where the bot is a member."""
        self._stranger = discord.add_guild("Where the bot is not", installed="user")

    def choose(self, member: Member, rng: random.Random) -> Place:
        """Mostly a server with the bot in it."""
        first, second = self.joined
        places = (first, second, self._stranger, self.discord.direct(member))
        return rng.choices(places, (0.45, 0.25, 0.2, 0.1))[0]


class Customer:
    """One member with several hands: each hand follows one picture at a time."""

    def __init__(self, member: Member, places: Places, book: Book, rng: random.Random, *, hands: int) -> None:
        self.member = member
        self._places = places
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
        member = self.member.at(self._places.choose(self.member, self._rng))
        invocation = await member.invoke(
            "stylize",
            content=Upload(f"content {number}.png", picture),
            style=STYLE,
            quality=plan.quality,
            strength=10,
            colours="content",
        )
        ask = Ask(number, member, plan, hashlib.sha256(picture).hexdigest(), invocation)
        self._book.asks.append(ask)
        try:
            await invocation.acknowledged(ACKNOWLEDGED_WITHIN)
        except TimeoutError:
            return None
        return ask

    def _plan(self) -> Plan:
        quality: Quality = self._rng.choices(("quick", "standard", "fine"), (0.7, 0.2, 0.1))[0]
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
        row = self._book.job(ask)
        if row is not None and (row.state, row.delivered_by) == ("delivered", "kept"):
            await self._fetch(ask, row.id)

    async def _fetch(self, ask: Ask, job: str) -> None:
        """Look where the bot keeps what it could not bring."""
        for _ in range(5):
            try:
                listed = await ask.member.invoke("jobs")
                menu = await listed.wait_until(lambda message: bool(message.components), 10)
                chosen = await ask.member.choose(menu, "jobs:show", job)
                await chosen.wait_until(_shows(job), 10)
            except (TimeoutError, InvocationRefused):  # a bot that was killed; or the list is too short
                await asyncio.sleep(2)
            else:
                ask.fetched = True
                return

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
                    presses.append(await ask.member.press(reply, "Cancel"))
                except InvocationRefused:  # gone while the finger was on its way
                    return
            ask.presses += presses
            await _until(lambda found=presses: any(press.acknowledged_after for press in found), ACKNOWLEDGED_WITHIN)  # type: ignore[misc]
            if any(press.acknowledged_after for press in presses):
                return


def _can_cancel(ask: Ask) -> bool:
    reply = ask.invocation.original
    return reply is not None and any(button.label == "Cancel" and not button.disabled for button in reply.buttons)


def _shows(job: str) -> Callable[[Message], bool]:
    return lambda message: any(job in attachment.filename for attachment in message.attachments)


def customers(places: Places, book: Book, count: int, seed: int) -> list[Customer]:
    """``count`` members; every third wants more at a time than an operator's three."""
    return [
        Customer(
            places.discord.member(f"Member {number}"),
            places,
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
