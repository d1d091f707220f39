"""The channels by which text and pictures reach a member, and the meaning of Discord's rejections.

Source: Discord's documentation, pages "Receiving and Responding to Interactions" and "Message".
"""

import asyncio
import contextlib
import io
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any, Final, Literal, TypeVar

import aiohttp
import discord
import structlog
from discord.webhook.async_ import AsyncWebhookAdapter, async_context

from bot import texts
from bot.delivery.target import ReplyTarget
from bot.jobs.errors import DeliveryDelayed
from bot.limits import (
    ALT_TEXT_LENGTH,
    FILE_SIZE,
    HISTORY_PAGE,
    INVALID_WEBHOOK_TOKEN,
    REQUEST_TOO_LARGE,
    SPOILER,
    TRANSIENT_CODES,
    UNKNOWN_MESSAGE,
)
from engine.errors import NoWorkers, PictureError, WorkerLost
from engine.executor.api import Executor
from engine.progress import Encoded

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

REQUEST_TIMEOUT: Final = 60.0
"""Seconds, including waits for rate limits: discord.py waits for as long as they last."""
MAX_SEARCHED: Final = 20_000
"""Messages after the reply among which the bot searches for its own. These are 200 requests, which take minutes."""
SMALL_FILE: Final = 900_000
"""Bytes of a picture that almost every proxy accepts: their usual limit for a whole request is 1 MiB."""
NO_MENTIONS: Final = discord.AllowedMentions.none()

T = TypeVar("T")
Sent = TypeVar("Sent", Literal["post"], Literal["direct"])


class Rejection(Enum):
    """Why a channel does not work, now or later."""

    GONE = "the message was deleted"
    TOO_LARGE = "the file is too large for this channel"
    CLOSED = "the bot can't or may not use this channel"


@dataclass(frozen=True, slots=True)
class Picture:
    """An encoded picture, as a message shows it."""

    data: bytes = field(repr=False)
    filename: str
    """Without Discord's prefix for spoilers."""
    description: str
    """Alt text. Cut at Discord's limit."""
    spoiler: bool = False
    """Whether it stays blurred until a member clicks on it."""

    def file(self) -> discord.File:
        """The picture as discord.py sends it. Each request needs a new file, because it closes it."""
        description = self.description[:ALT_TEXT_LENGTH]
        return discord.File(io.BytesIO(self.data), self.filename, description=description, spoiler=self.spoiler)


@dataclass(frozen=True, slots=True)
class Payload:
    """The content of a message: text, perhaps a picture, perhaps components."""

    text: str
    picture: Picture | None = None
    view: discord.ui.View | None = None
    """The components under it. Can be sent several times."""

    @property
    def size(self) -> int:
        """Bytes of the picture; 0 without one."""
        return 0 if self.picture is None else len(self.picture.data)

    def files(self) -> list[discord.File]:
        """The picture as discord.py sends it. Each request needs a new file."""
        return [] if self.picture is None else [self.picture.file()]

    def smaller(self, encoded: Encoded) -> "Payload":
        """The same with the picture as it was encoded again, and a line that says what was given up."""
        if self.picture is None:
            return self
        name = f"{_stem(self.picture.filename)}.{encoded.format}"
        note = texts.shrunk(encoded)
        return replace(
            self,
            text=f"{self.text}\n{note}" if note else self.text,
            picture=replace(self.picture, data=encoded.data, filename=name),
        )


def is_transient(error: discord.HTTPException) -> bool:
    """Whether the same request may succeed later: Discord is overloaded, or a rate limit was reached."""
    return error.status >= 500 or error.status in {408, 429} or error.code in TRANSIENT_CODES


async def send_request(request: Awaitable[T]) -> T | Rejection:
    """Send a request. Return Discord's answer, or why it rejects the request for good.

    Raises:
        DeliveryDelayed: the request may succeed later. This includes a rejected bot token, which affects every channel
            until the operator replaces it.
    """
    try:
        async with asyncio.timeout(REQUEST_TIMEOUT):
            return await request
    except discord.HTTPException as error:
        if is_transient(error) or (error.status == 401 and error.code != INVALID_WEBHOOK_TOKEN):
            raise DeliveryDelayed(str(error)) from error
        log.info("Discord rejected a request", status=error.status, code=error.code, reason=error.text)
        if error.code == UNKNOWN_MESSAGE:
            return Rejection.GONE
        return Rejection.TOO_LARGE if error.status == 413 or error.code == REQUEST_TOO_LARGE else Rejection.CLOSED
    except (discord.RateLimited, aiohttp.ClientError, OSError) as error:  # TimeoutError is an OSError
        # The error's text may contain the URL, and with it the interaction's token.
        raise DeliveryDelayed(type(error).__name__) from error


async def sent_within_limits(
    send: Callable[[Payload], Awaitable[T | Rejection]], payload: Payload, executor: Executor
) -> T | Rejection:
    """Send a payload. While its picture is too large, have a worker encode it smaller, and send that.

    Discord doesn't report the limit. The first smaller picture has at most :data:`FILE_SIZE` bytes, which Discord
    accepts everywhere. The second has a quarter of the original's bytes, and at most :data:`SMALL_FILE`, for a proxy.
    Returns the outcome of the last attempt.

    Raises:
        DeliveryDelayed: there is no worker for now, or ``send`` raised it.
    """
    outcome = await send(payload)
    if payload.picture is None:
        return outcome
    for limit in (FILE_SIZE, min(SMALL_FILE, payload.size // 4)):
        if outcome is Rejection.TOO_LARGE and limit < payload.size:
            try:
                encoded = await executor.shrink(payload.picture.data, limit)
            except NoWorkers as error:
                raise DeliveryDelayed("no worker can make the picture smaller") from error
            except (PictureError, WorkerLost) as error:
                log.warning("a picture could not be made smaller", bytes=payload.size, reason=repr(error))
                return outcome
            log.warning("a picture was too large for Discord", bytes=payload.size, limit=limit, now=len(encoded.data))
            if len(encoded.data) < payload.size:
                outcome = await send(payload.smaller(encoded))
    return outcome


@contextlib.contextmanager
def _separate_lock() -> Iterator[None]:
    """Give a request by an interaction's token a lock of its own.

    discord.py locks the token for each request. After a request that exhausts the rate limit, it sleeps before it
    unlocks. If a time-out cancels that sleep, the lock stays locked, and every later request would wait for ever.
    """
    previous = async_context.set(AsyncWebhookAdapter())  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        async_context.reset(previous)


class DeliveryChannels:
    """The channels to one member about one job. All methods raise DeliveryDelayed for errors that may be transient."""

    def __init__(self, client: discord.Client, target: ReplyTarget, job: str, owner: int) -> None:
        self._client = client
        self._target = target
        self._job = job
        self._owner = owner
        self._webhook = discord.Webhook.partial(target.application, target.token, client=client)
        self._channel = client.get_partial_messageable(target.channel)
        self._reply = self._channel.get_partial_message(target.message)
        self.posted = target.model_copy(update={"token": ""})
        """Where the newest message about the job is, as far as this object knows. Without the token."""

    async def edit(self, payload: Payload) -> Literal["token", "edit"] | Rejection:
        """Replace the reply's text, files and components. Idempotent."""
        return await self._edit(payload.text, payload, payload.view)

    async def show(self, text: str, preview: Payload | None, view: discord.ui.View) -> Rejection | None:
        """Show progress in the reply. Without a preview, the reply keeps its picture."""
        outcome = await self._edit(text, preview, view)
        return outcome if isinstance(outcome, Rejection) else None

    async def _edit(
        self, text: str, payload: Payload | None, view: discord.ui.View | None
    ) -> Literal["token", "edit"] | Rejection:
        def attachments() -> Sequence[discord.File]:
            return discord.utils.MISSING if payload is None else payload.files()

        if self._target.token_lives():
            with _separate_lock():
                outcome = await send_request(
                    self._webhook.edit_message(
                        self._target.message,
                        content=text,
                        attachments=attachments(),
                        view=view,
                        allowed_mentions=NO_MENTIONS,
                    )
                )
            if outcome is not Rejection.CLOSED:
                return outcome if isinstance(outcome, Rejection) else "token"
        if self._target.place == "elsewhere":
            return Rejection.CLOSED
        if payload is not None and payload.size > self._target.file_limit:
            return Rejection.TOO_LARGE
        edited = await send_request(
            self._reply.edit(content=text, attachments=attachments(), view=view, allowed_mentions=NO_MENTIONS)
        )
        return edited if isinstance(edited, Rejection) else "edit"

    async def shown(self, payload: Payload) -> bool | None:
        """Whether the reply already shows this payload. None if the bot can't read the reply."""
        if self._target.place == "elsewhere":
            return None
        message = await send_request(self._reply.fetch())
        if isinstance(message, Rejection):
            return False if message is Rejection.GONE else None
        if payload.picture is None:
            return message.content == payload.text and not message.attachments
        name = _stem(payload.picture.filename)
        return any(_stem(each.filename) == name for each in message.attachments)

    async def post(self, payload: Payload) -> Literal["post"] | Rejection:
        """Post a message to the channel, as an answer to the reply if that exists. Idempotent.

        Only in servers: for the bot's direct messages there is :meth:`direct`.
        """
        if self._target.place != "server":
            return Rejection.CLOSED
        reference = self._reply.to_reference(fail_if_not_exists=False)
        outcome = await self._send(self._channel, payload, self._target.file_limit, reference)
        return outcome if isinstance(outcome, Rejection) else self._found("post", outcome)

    async def direct(self, payload: Payload) -> Literal["direct"] | Rejection:
        """Send a direct message to the owner. Idempotent."""
        channel = await send_request(self._client.create_dm(discord.Object(self._owner)))
        if isinstance(channel, Rejection):
            return Rejection.CLOSED
        outcome = await self._send(channel, payload, FILE_SIZE, None)
        return outcome if isinstance(outcome, Rejection) else self._found("direct", outcome)

    async def mention(self, text: str) -> None:
        """Send ``text``, which mentions the owner and notifies nobody else. It answers the reply where the bot may."""
        owner = discord.AllowedMentions(
            everyone=False, roles=False, replied_user=False, users=[discord.Object(self._owner)]
        )
        if self._target.place != "elsewhere":
            reference = self._reply.to_reference(fail_if_not_exists=False)
            sending = self._channel.send(text, nonce=f"ping-{self._job}", reference=reference, allowed_mentions=owner)
            if not isinstance(await send_request(sending), Rejection):
                return
        if self._target.token_lives():
            with _separate_lock():
                await send_request(self._webhook.send(text, allowed_mentions=owner, wait=True))

    async def sent(self) -> tuple[Literal["post", "direct"], discord.Message] | None:
        """Find the message about this job that this or another process has posted or sent."""
        if self._target.place == "server":
            posted = await self._find(self._channel)
            if isinstance(posted, discord.Message):
                return self._found("post", posted), posted
        channel = await send_request(self._client.create_dm(discord.Object(self._owner)))
        if not isinstance(channel, Rejection):
            direct = await self._find(channel)
            if isinstance(direct, discord.Message):
                return self._found("direct", direct), direct
        return None

    def _found(self, channel: Sent, message: discord.Message) -> Sent:
        """Remember where a message about the job is."""
        place = "server" if channel == "post" else "direct"
        where = {"place": place, "channel": message.channel.id, "message": message.id}
        self.posted = self.posted.model_copy(update=where)
        return channel

    async def delete(self) -> Literal["token", "edit"] | Rejection:
        """Delete the reply. Idempotent."""
        if self._target.token_lives():
            with _separate_lock():
                outcome = await send_request(self._webhook.delete_message(self._target.message))
            if outcome in {None, Rejection.GONE}:
                return "token"
        if self._target.place == "elsewhere":
            return Rejection.CLOSED
        deleted = await send_request(self._reply.delete())
        return "edit" if deleted in {None, Rejection.GONE} else Rejection.CLOSED

    async def _send(
        self,
        channel: discord.PartialMessageable | discord.DMChannel,
        payload: Payload,
        limit: int,
        reference: discord.MessageReference | None,
    ) -> discord.Message | Rejection:
        # Search first: Discord checks the nonce only for a few minutes. Without permission to read the history, the bot
        # may not answer a message either.
        found = await self._find(channel)
        if found is not None:
            return found
        if payload.size > limit:
            return Rejection.TOO_LARGE
        # discord.py's overloads leave out that these may be None.
        optional: dict[str, Any] = {"view": payload.view, "reference": reference}
        return await send_request(
            channel.send(
                payload.text,
                files=payload.files(),
                nonce=self._job,
                mention_author=False,
                allowed_mentions=NO_MENTIONS,
                **optional,
            )
        )

    async def _find(
        self, channel: discord.PartialMessageable | discord.DMChannel
    ) -> discord.Message | Literal[Rejection.CLOSED] | None:
        """Find the bot's message about this job among those after the reply, from the newest to the oldest.

        Return ``Rejection.CLOSED`` if the bot can't find out. It must then not send a message there, which could be a
        second one.
        """
        me, before = self._client.user, None
        for _ in range(MAX_SEARCHED // HISTORY_PAGE):
            page = await send_request(_page(channel, before))
            if isinstance(page, Rejection):
                return Rejection.CLOSED
            for message in page:
                if message.id <= self._target.message:
                    return None
                if me is not None and message.author.id == me.id and self._is_about_this_job(message):
                    return message
            if len(page) < HISTORY_PAGE:
                return None
            before = page[-1]
        log.warning("too many messages to search for an earlier answer", channel=channel.id, job=self._job)
        return Rejection.CLOSED

    def _is_about_this_job(self, message: discord.Message) -> bool:
        return self._job in message.content or any(self._job in each.filename for each in message.attachments)


async def _page(
    channel: discord.PartialMessageable | discord.DMChannel, before: discord.Message | None
) -> list[discord.Message]:
    return [message async for message in channel.history(limit=HISTORY_PAGE, before=before)]


def _stem(filename: str) -> str:
    return filename.removeprefix(SPOILER).rpartition(".")[0]
