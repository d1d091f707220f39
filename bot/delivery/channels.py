"""The ways by which words and pictures reach a member, each by itself, and Discord's refusals sorted by what they mean.

Discord's documentation: "Receiving and Responding to Interactions", "Create Message", "Opcodes and Status Codes".
"""

import asyncio
import contextlib
import io
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Final, Literal, TypeVar

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
    TRANSIENT_CODES,
    UNKNOWN_MESSAGE,
)
from engine.errors import PictureError
from engine.images.limits import Limits

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

WITHIN: Final = 60.0
"""Seconds after which a request is given up for now: discord.py waits out rate limits, however long they are."""
LOOK_BACK: Final = 20_000
"""Messages after the reply in which the bot looks for its own: 200 requests, which take minutes."""
SMALL: Final = 900_000
"""Bytes that almost every proxy lets pass: the usual limit for a whole request is 1 MiB."""
LEAST_SIDE: Final = 16
"""Pixels of the longer side below which a picture is not scaled down further."""
NOBODY: Final = discord.AllowedMentions.none()

T = TypeVar("T")


class Rejection(Enum):
    """Why a way will not work, now or later."""

    GONE = "the message was deleted"
    TOO_LARGE = "the file is larger than that place takes"
    CLOSED = "the bot may not or can't do this there"


@dataclass(frozen=True, slots=True)
class Payload:
    """What is to be said, perhaps with a picture."""

    text: str
    picture: bytes | None = None
    filename: str = ""
    description: str = ""
    """Alt text, sent as far as Discord takes it."""

    @property
    def size(self) -> int:
        """Bytes of the picture."""
        return len(self.picture or b"")

    def files(self) -> list[discord.File]:
        """The picture to send. Each request needs new ones, because it closes them."""
        if self.picture is None:
            return []
        return [discord.File(io.BytesIO(self.picture), self.filename, description=self.description[:ALT_TEXT_LENGTH])]

    def shrunk(self, most: int) -> "Payload | None":
        """The same with a file of at most ``most`` bytes, or the smallest there is; None where none is smaller.

        Takes seconds: call it in a thread. A worker encoded the picture, so another process decodes it.
        """
        from engine.images.codec import encode_within
        from engine.images.decoder import Decoder

        if self.picture is None:
            return None
        try:
            with Decoder(Limits(bytes=len(self.picture), least=1)) as decoder:
                decoded = decoder.decode(self.picture)
        except (PictureError, RuntimeError) as error:
            log.warning("a picture could not be made smaller", reason=repr(error))
            return None
        image, alpha, best = decoded.rgb, decoded.alpha, None
        while max(image.size) >= LEAST_SIDE:
            data, format = encode_within(image, most, alpha=alpha)
            if len(data) < self.size:
                name = f"{self.filename.rpartition('.')[0]}.{format}"
                best = replace(self, picture=data, filename=name, text=f"{self.text}\n{texts.shrunk()}")
            if len(data) <= most:
                break
            image, alpha = image.reduce(2), alpha and alpha.reduce(2)
        return best


def may_pass(error: discord.HTTPException) -> bool:
    """Whether the same request may succeed later, because Discord is overloaded or limits how often it is asked."""
    return error.status >= 500 or error.status in {408, 429} or error.code in TRANSIENT_CODES


async def asked(request: Awaitable[T]) -> T | Rejection:
    """What Discord answers, or how it refuses for good.

    Raises:
        DeliveryDelayed: it may answer otherwise later. So also where the bot's own token is refused: then no way works
            until the operator has mended it.
    """
    try:
        async with asyncio.timeout(WITHIN):
            return await request
    except discord.HTTPException as error:
        if may_pass(error) or (error.status == 401 and error.code != INVALID_WEBHOOK_TOKEN):
            raise DeliveryDelayed(str(error)) from error
        log.info("Discord refused", status=error.status, code=error.code, reason=error.text)
        if error.code == UNKNOWN_MESSAGE:
            return Rejection.GONE
        return Rejection.TOO_LARGE if error.status == 413 or error.code == REQUEST_TOO_LARGE else Rejection.CLOSED
    except (discord.RateLimited, aiohttp.ClientError, OSError) as error:  # TimeoutError is an OSError
        # Its text could name the address asked, and with it the interaction's token.
        raise DeliveryDelayed(type(error).__name__) from error


async def sent_within_limits(send: Callable[[Payload], Awaitable[T | Rejection]], payload: Payload) -> T | Rejection:
    """Send a payload; while its picture is too large, send a smaller one. Gives what the last ``send`` gave.

    Discord doesn't say how large a picture may be. The first smaller one has at most :data:`FILE_SIZE`, which holds
    everywhere. The second has a quarter of the original's bytes, and at most :data:`SMALL`.
    """
    outcome = await send(payload)
    for most in (FILE_SIZE, min(SMALL, payload.size // 4)):
        if outcome is Rejection.TOO_LARGE and most < payload.size:
            smaller = await asyncio.to_thread(payload.shrunk, most)
            log.warning(
                "a picture is too large for Discord", bytes=payload.size, at_most=most, shrunk=smaller is not None
            )
            if smaller is not None:
                outcome = await send(smaller)
    return outcome


@contextlib.contextmanager
def _lock_of_its_own() -> Iterator[None]:
    """Keep a request by an interaction's token apart from the others by it.

    discord.py locks the token, and after a request that used up its allowance it sleeps before it unlocks. A request
    that is cancelled in that sleep, as by a time-out, leaves the lock closed, and every later one waits for ever.
    """
    previous = async_context.set(AsyncWebhookAdapter())  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        async_context.reset(previous)


class DeliveryChannels:
    """The ways to one member about one job. All methods raise DeliveryDelayed for trouble that may pass."""

    def __init__(self, client: discord.Client, target: ReplyTarget, job: str, owner: int) -> None:
        self._client = client
        self._target = target
        self._job = job
        self._owner = owner
        self._webhook = discord.Webhook.partial(target.application, target.token, client=client)
        self._channel = client.get_partial_messageable(target.channel)
        self._reply = self._channel.get_partial_message(target.message)

    async def edit(self, payload: Payload) -> Literal["token", "edit"] | Rejection:
        """Turn the reply into this and nothing else; again changes nothing."""
        return await self._edit(payload.text, payload, None)

    async def show(self, text: str, preview: Payload | None, view: discord.ui.View) -> Rejection | None:
        """Turn the reply into this for a while; without a preview it keeps the picture that it has."""
        outcome = await self._edit(text, preview, view)
        return outcome if isinstance(outcome, Rejection) else None

    async def _edit(
        self, text: str, payload: Payload | None, view: discord.ui.View | None
    ) -> Literal["token", "edit"] | Rejection:
        def attachments() -> Sequence[discord.File]:
            return discord.utils.MISSING if payload is None else payload.files()

        if self._target.token_lives():
            with _lock_of_its_own():
                outcome = await asked(
                    self._webhook.edit_message(
                        self._target.message,
                        content=text,
                        attachments=attachments(),
                        view=view,
                        allowed_mentions=NOBODY,
                    )
                )
            if outcome is not Rejection.CLOSED:
                return outcome if isinstance(outcome, Rejection) else "token"
        if self._target.place == "elsewhere":
            return Rejection.CLOSED
        if payload is not None and payload.size > self._target.file_limit:
            return Rejection.TOO_LARGE
        edited = await asked(
            self._reply.edit(content=text, attachments=attachments(), view=view, allowed_mentions=NOBODY)
        )
        return edited if isinstance(edited, Rejection) else "edit"

    async def shown(self, payload: Payload) -> bool | None:
        """Whether :meth:`edit` has made this of the reply already; None where the bot can't look."""
        if self._target.place == "elsewhere":
            return None
        message = await asked(self._reply.fetch())
        if isinstance(message, Rejection):
            return False if message is Rejection.GONE else None
        if payload.picture is None:
            return message.content == payload.text and not message.attachments
        name = _stem(payload.filename)
        return any(_stem(each.filename) == name for each in message.attachments)

    async def post(self, payload: Payload) -> Literal["post"] | Rejection:
        """Send a new message to the channel, in reply to the first one where that exists, unless it is there already.

        In the bot's own direct messages this is :meth:`direct`.
        """
        if self._target.place != "server":
            return Rejection.CLOSED
        reference = self._reply.to_reference(fail_if_not_exists=False)
        outcome = await self._send(self._channel, payload, self._target.file_limit, reference)
        return outcome if isinstance(outcome, Rejection) else "post"

    async def direct(self, payload: Payload) -> Literal["direct"] | Rejection:
        """Send a direct message to the owner, unless it is there already."""
        channel = await asked(self._client.create_dm(discord.Object(self._owner)))
        if isinstance(channel, Rejection):
            return Rejection.CLOSED
        outcome = await self._send(channel, payload, FILE_SIZE, None)
        return outcome if isinstance(outcome, Rejection) else "direct"

    async def sent(self) -> tuple[Literal["post", "direct"], discord.Message] | None:
        """What of this job was posted or sent to its owner before, by whichever process."""
        if self._target.place == "server":
            posted = await self._find(self._channel)
            if isinstance(posted, discord.Message):
                return "post", posted
        channel = await asked(self._client.create_dm(discord.Object(self._owner)))
        if not isinstance(channel, Rejection):
            told = await self._find(channel)
            if isinstance(told, discord.Message):
                return "direct", told
        return None

    async def take_away(self) -> Literal["token", "edit"] | Rejection:
        """Delete the reply; one that is gone already is as good."""
        if self._target.token_lives():
            with _lock_of_its_own():
                outcome = await asked(self._webhook.delete_message(self._target.message))
            if outcome in {None, Rejection.GONE}:
                return "token"
        if self._target.place == "elsewhere":
            return Rejection.CLOSED
        deleted = await asked(self._reply.delete())
        return "edit" if deleted in {None, Rejection.GONE} else Rejection.CLOSED

    async def _send(
        self,
        channel: discord.PartialMessageable | discord.DMChannel,
        payload: Payload,
        limit: int,
        reference: discord.MessageReference | None,
    ) -> discord.Message | Rejection:
        # Looking first: the nonce holds for a few minutes only, and without permission to look there is none to reply.
        found = await self._find(channel)
        if found is not None:
            return found
        if payload.size > limit:
            return Rejection.TOO_LARGE
        files = payload.files()
        if reference is None:
            return await asked(channel.send(payload.text, files=files, nonce=self._job, allowed_mentions=NOBODY))
        return await asked(
            channel.send(
                payload.text,
                files=files,
                nonce=self._job,
                reference=reference,
                mention_author=False,
                allowed_mentions=NOBODY,
            )
        )

    async def _find(
        self, channel: discord.PartialMessageable | discord.DMChannel
    ) -> discord.Message | Literal[Rejection.CLOSED] | None:
        """The bot's message about this job among those after the reply. The newest are looked at first.

        A refusal where the bot can't find out: then it must not send a message there.
        """
        me, before = self._client.user, None
        for _ in range(LOOK_BACK // HISTORY_PAGE):
            page = await asked(_page(channel, before))
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
        log.warning("too many messages to look through for an earlier answer", channel=channel.id, job=self._job)
        return Rejection.CLOSED

    def _is_about_this_job(self, message: discord.Message) -> bool:
        return self._job in message.content or any(self._job in each.filename for each in message.attachments)


async def _page(
    channel: discord.PartialMessageable | discord.DMChannel, before: discord.Message | None
) -> list[discord.Message]:
    return [message async for message in channel.history(limit=HISTORY_PAGE, before=before)]


def _stem(filename: str) -> str:
    return filename.rpartition(".")[0]
