"""Simulated members: they order pictures, stop waiting, cancel, press twice, and order more than they may."""

import asyncio
import hashlib
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Literal

from bot.sandbox import Invocation, InvocationRefused, LocalDiscord, Member, Message, Place, Upload
from engine.presets import Quality
from tests.chaos.message_log import MessageLog
from tests.chaos.pictures import drawn
from tests.chaos.watch import Row, Watch

ACKNOWLEDGED_WITHIN: Final = 3.5
"""Seconds: Discord's three, and the time of the network."""
THINKS_FOR: Final = 25.0
"""Seconds that a member looks at "thinking …" before they ask again."""
WAITS_FOR: Final = 120.0
"""Seconds that a member waits for a picture before they ask for another one beside it."""
LOOK_EVERY: Final = 0.05

STYLE: Final = Upload("strokes.png", drawn(-1))

Cancel = Literal["never", "at once", "while painting"]


@dataclass(frozen=True, slots=True)
class Plan:
    """What a member will do with one picture."""

    quality: Quality
    cancel: Cancel
    presses: int
    """How often they press Cancel."""


@dataclass(slots=True, eq=False)
class Request:
    """One ``/stylize`` of one member."""

    number: int
    member: Member
    plan: Plan
    digest: str
    """SHA-256 of its content, which is the name of its blob."""
    invocation: Invocation
    presses: list[Invocation] = field(default_factory=list)
    fetched: bool = False
    """Whether the member has fetched the painting with ``/jobs``, because it could not be delivered."""


class RequestLog:
    """Every request, and how many more are wanted."""

    def __init__(self, wanted: int, watch: Watch, message_log: MessageLog) -> None:
        self.requests: list[Request] = []
        self._wanted = wanted
        self._watch = watch
        self._message_log = message_log
        self._undecided = 0
        self._numbers = 0

    @property
    def accepted(self) -> int:
        """How many jobs were accepted so far."""
        return len(self._watch.rows)

    def job(self, request: Request) -> Row | None:
        """The row of a request in the database."""
        found = self._watch.by_content(request.digest)
        if found is None:
            found = self._watch.rows.get(self._message_log.job_at(request.invocation.original_id))
        return found

    def refusal(self, request: Request) -> str:
        """The text that refused or ended a request, or an empty text."""
        for message in request.invocation.message_ids:
            for state in self._message_log.states(message):
                if state.is_ending:
                    return state.content
        return ""

    def take(self) -> int | None:
        """The number of one more request, or None if enough are accepted or pending. :meth:`settle` must follow."""
        if self.accepted + self._undecided >= self._wanted:
            return None
        self._undecided += 1
        self._numbers += 1
        return self._numbers

    def settle(self) -> None:
        """The request is accepted, or it will not be accepted."""
        self._undecided -= 1

    @property
    def full(self) -> bool:
        """Whether enough jobs are accepted."""
        return self.accepted >= self._wanted


class Places:
    """Where members order: two servers of different shards, one without the bot, and direct messages."""

    def __init__(self, discord: LocalDiscord) -> None:
        self.discord = discord
        self.joined = (discord.home, discord.add_guild("The other shard's"))
        """Those where the bot is a member."""
        self._without_bot = discord.add_guild("Where the bot is not", installed="user")

    def choose(self, member: Member, rng: random.Random) -> Place:
        """Choose a place, mostly a server with the bot in it."""
        first, second = self.joined
        places = (first, second, self._without_bot, self.discord.direct(member))
        return rng.choices(places, (0.45, 0.25, 0.2, 0.1))[0]


class SimulatedMember:
    """One member who orders several pictures in parallel."""

    def __init__(
        self, member: Member, places: Places, request_log: RequestLog, rng: random.Random, *, parallel: int
    ) -> None:
        self.member = member
        self._places = places
        self._request_log = request_log
        self._rng = rng
        self._parallel = parallel

    async def live(self) -> None:
        """Order until there are enough jobs and each own job has ended or timed out."""
        async with asyncio.TaskGroup() as group:
            for _ in range(self._parallel):
                group.create_task(self._order_in_turn())

    async def _order_in_turn(self) -> None:
        await asyncio.sleep(self._rng.uniform(0, 2))
        while not self._request_log.full:
            number = self._request_log.take()
            if number is None:
                await asyncio.sleep(1)
                continue
            try:
                request = await self._invoke(number)
                accepted = request is not None and await self._accepted(request)
            finally:
                self._request_log.settle()
            if request is None or not accepted:
                await asyncio.sleep(self._rng.uniform(0.5, 3))  # and the member tries again
                continue
            await self._follow(request)
            await asyncio.sleep(self._rng.expovariate(1 / 1.0))

    async def _invoke(self, number: int) -> Request | None:
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
        request = Request(number, member, plan, hashlib.sha256(picture).hexdigest(), invocation)
        self._request_log.requests.append(request)
        try:
            await invocation.acknowledged(ACKNOWLEDGED_WITHIN)
        except TimeoutError:
            return None
        return request

    def _plan(self) -> Plan:
        quality: Quality = self._rng.choices(("quick", "standard", "fine"), (0.7, 0.2, 0.1))[0]
        cancel: Cancel = self._rng.choices(("never", "at once", "while painting"), (0.84, 0.08, 0.08))[0]
        return Plan(quality, cancel, self._rng.choice((1, 1, 2, 3)))

    async def _accepted(self, request: Request) -> bool:
        """Whether it becomes a job while the member waits."""
        await _until(
            lambda: self._request_log.job(request) is not None or bool(self._request_log.refusal(request)), THINKS_FOR
        )
        return self._request_log.job(request) is not None

    async def _follow(self, request: Request) -> None:
        def ended() -> bool:
            row = self._request_log.job(request)
            return row is not None and not row.is_open

        def painting() -> bool:
            row = self._request_log.job(request)
            return row is not None and row.state != "queued"

        if request.plan.cancel == "while painting":
            await _until(painting, WAITS_FOR)
        if request.plan.cancel != "never":
            await self._cancel(request, ended)
        await _until(ended, WAITS_FOR)
        row = self._request_log.job(request)
        if row is not None and (row.state, row.delivered_by) == ("delivered", "kept"):
            await self._fetch(request, row.id)

    async def _fetch(self, request: Request, job: str) -> None:
        """Fetch a painting that could not be delivered."""
        for _ in range(5):
            try:
                listed = await request.member.invoke("jobs")
                menu = await listed.wait_until(lambda message: bool(message.components), 10)
                chosen = await request.member.choose(menu, "jobs:show", job)
                await chosen.wait_until(_shows(job), 10)
            except (TimeoutError, InvocationRefused):  # the bot was killed, or the list is too short
                await asyncio.sleep(2)
            else:
                request.fetched = True
                return

    async def _cancel(self, request: Request, ended: Callable[[], bool]) -> None:
        """Press Cancel as soon as the button is there, and again without an answer."""
        for _ in range(5):
            await _until(lambda: ended() or _can_cancel(request), 20)
            reply = request.invocation.original
            if ended() or reply is None or not _can_cancel(request):
                return
            presses = []
            for _ in range(request.plan.presses):
                try:
                    presses.append(await request.member.press(reply, "Cancel"))
                except InvocationRefused:  # the button was removed in the meantime
                    return
            request.presses += presses
            await _until(lambda found=presses: any(press.acknowledged_after for press in found), ACKNOWLEDGED_WITHIN)  # type: ignore[misc]
            if any(press.acknowledged_after for press in presses):
                return


def _can_cancel(request: Request) -> bool:
    reply = request.invocation.original
    return reply is not None and any(button.label == "Cancel" and not button.disabled for button in reply.buttons)


def _shows(job: str) -> Callable[[Message], bool]:
    return lambda message: any(job in attachment.filename for attachment in message.attachments)


def simulated_members(places: Places, request_log: RequestLog, count: int, seed: int) -> list[SimulatedMember]:
    """``count`` members; every third orders more at a time than the operator's limit of three."""
    return [
        SimulatedMember(
            places.discord.member(f"Member {number}"),
            places,
            request_log,
            random.Random(f"member {number} of {seed}"),
            parallel=5 if number % 3 == 2 else 2,
        )
        for number in range(count)
    ]


async def _until(condition: Callable[[], bool], seconds: float) -> bool:
    """Wait until a condition holds, at most that long. Returns whether it holds."""
    try:
        async with asyncio.timeout(seconds):
            while not condition():  # noqa: ASYNC110 - other tasks and processes change it
                await asyncio.sleep(LOOK_EVERY)
    except TimeoutError:
        return condition()
    return True
