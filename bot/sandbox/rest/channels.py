"""Channels and their messages, as the bot reaches them with its own token (Discord: Resources, Channel and Message)."""

from __future__ import annotations

from itertools import islice
from typing import Annotated

from pydantic import Field

from bot.sandbox.clock import SandboxClock
from bot.sandbox.protocol.errors import (
    ApiError,
    JsonObject,
    NotUnderstood,
    invalid,
    missing_access,
    missing_permissions,
    refused_by_user,
    unknown_message,
)
from bot.sandbox.protocol.forms import Form, read_form
from bot.sandbox.protocol.permissions import Permission
from bot.sandbox.rest.routing import MESSAGES, Answer, Call, Route
from bot.sandbox.state.drafts import SUPPRESS_NOTIFICATIONS, ChannelMessageForm, MessageForm, read_draft
from bot.sandbox.state.interactions import EDIT_FLAGS
from bot.sandbox.state.messages import MessageStore, Record
from bot.sandbox.state.world import FORUM, Channel, World

NONCE_LIFETIME = 300.0
"""Seconds in which a second message with the same enforced nonce is the first one again."""

REPLY = 19
"""The type of a message that replies to another."""

_CHANNEL = "/channels/{channel_id}"
_NOTHING = Permission(0)


class _Page(Form):
    limit: Annotated[int, Field(ge=1, le=100)] = 50


class Channels:
    """One method for each route; each first checks whether the bot may do this in the channel."""

    def __init__(self, world: World, clock: SandboxClock, messages: MessageStore) -> None:
        """Work on these."""
        self._world = world
        self._clock = clock
        self._messages = messages
        # Discord's words are "by the same author"; whether in another channel too they leave open. Here it is not:
        # a bot that sends one answer to two places is shown to have done so.
        self._nonces: dict[tuple[int, str], tuple[float, int]] = {}

    def routes(self) -> list[Route]:
        """The part of the table that is about channels."""
        page = frozenset({"limit", "before", "after", "around"})
        nothing = frozenset[str]()
        return [
            Route("GET", _CHANNEL, self._channel),
            Route("POST", f"{_CHANNEL}/typing", self._typing, limit=MESSAGES, major=("channel_id",)),
            *(
                Route(method, template, handler, query=query, takes_files=files, limit=MESSAGES, major=("channel_id",))
                for method, template, handler, query, files in (
                    ("GET", f"{_CHANNEL}/messages", self._list, page, False),
                    ("POST", f"{_CHANNEL}/messages", self._send, nothing, True),
                    ("GET", f"{_CHANNEL}/messages/{{message_id}}", self._get, nothing, False),
                    ("PATCH", f"{_CHANNEL}/messages/{{message_id}}", self._edit, nothing, True),
                    ("DELETE", f"{_CHANNEL}/messages/{{message_id}}", self._delete, nothing, False),
                )
            ),
        ]

    def _open(self, call: Call, needed: Permission = _NOTHING) -> Channel:
        """The channel of a request, if the bot may do there what is needed.

        Raises:
            ApiError: 10003 where there is none, 50001 where the bot does not see it, 50013 where it may not.
        """
        channel = self._world.channel(call.number("channel_id"))
        if not self._world.sees(channel):
            raise missing_access()
        if channel.guild_id is not None and needed & ~self._world.permissions(channel):
            raise missing_permissions()
        return channel

    def _may_look_back(self, channel: Channel) -> bool:
        return channel.guild_id is None or Permission.READ_MESSAGE_HISTORY in self._world.permissions(channel)

    def _channel(self, call: Call) -> Answer:
        return Answer(200, self._world.channel_payload(self._open(call)))

    def _typing(self, call: Call) -> Answer:
        self._open(call, Permission.SEND_MESSAGES)
        return Answer(204)

    def _list(self, call: Call) -> Answer:
        channel = self._open(call)
        for name, value in call.query.items():
            if not value.isdecimal():
                raise invalid((name,), "NUMBER_TYPE_COERCE", f'Value "{value}" is not int.')
        limit = read_form(_Page, {"limit": int(call.query.get("limit", 50))}).limit
        directions = sorted(set(call.query) - {"limit"})
        if len(directions) > 1:
            raise NotUnderstood(f"{' and '.join(directions)} at once")
        # Without the permission to read the history, Discord answers with an empty list.
        found = list(self._messages.in_channel(channel.id)) if self._may_look_back(channel) else []
        page = _page(found, limit, {name: int(call.query[name]) for name in directions})
        page.sort(key=lambda record: record.id, reverse=True)
        return Answer(200, [self._messages.payload(record) for record in page])

    def _send(self, call: Call) -> Answer:
        channel = self._open(call, Permission.ATTACH_FILES if call.files else _NOTHING)
        sending = Permission.SEND_MESSAGES if channel.parent_id is None else Permission.SEND_MESSAGES_IN_THREADS
        self._open(call, sending)
        if channel.kind == FORUM:
            raise ApiError(400, 50008, "Cannot send messages in a non-text channel")
        draft = read_draft(ChannelMessageForm, call.json, call.files, flags=EDIT_FLAGS | SUPPRESS_NOTIFICATIONS)
        form = draft.form
        if not isinstance(form, ChannelMessageForm):
            raise TypeError(form)
        if self._world.refuses_direct(channel):
            raise refused_by_user()
        now = self._clock.now()
        key = channel.id, str(form.nonce)
        if form.nonce is not None and form.enforce_nonce:
            sent_at, message_id = self._nonces.get(key, (0.0, 0))
            sent = self._messages.find(message_id)
            if sent is not None and now - sent_at < NONCE_LIFETIME:
                return Answer(200, self._messages.payload(sent) | {"nonce": form.nonce})
        self._world.write(channel, new=True)
        replies_to, extra = self._referenced(channel, form)
        record = self._messages.create(
            channel.id, self._world.bot, draft, extra=extra, nonce=form.nonce, replies_to=replies_to
        )
        if form.nonce is not None:
            self._nonces[key] = (now, record.id)
        return Answer(200, self._messages.payload(record) | ({} if form.nonce is None else {"nonce": form.nonce}))

    def _referenced(self, channel: Channel, form: ChannelMessageForm) -> tuple[int | None, JsonObject]:
        """The message that a message replies to, and what it tells of that."""
        reference = form.message_reference
        if reference is None:
            return None, {}
        if not self._may_look_back(channel):
            raise ApiError(400, 160002, "Cannot reply without permission to read message history")
        found = self._messages.find(reference.message_id)
        if found is None or found.channel_id != channel.id or found.visible_to is not None:
            if reference.fail_if_not_exists is not False:
                raise invalid(("message_reference",), "MESSAGE_REFERENCE_UNKNOWN_MESSAGE", "Unknown message")
            return None, {}
        told = {"type": 0, "message_id": str(found.id), "channel_id": str(channel.id)}
        if channel.guild_id is not None:
            told["guild_id"] = str(channel.guild_id)
        return found.id, {"type": REPLY, "message_reference": told}

    def posted(self, call: Call, needed: Permission = _NOTHING) -> Record:
        """A message by its number alone; those that one member sees exist only for the interaction's token.

        Raises:
            ApiError: 10008 where there is none, or why the bot may not reach it.
        """
        channel = self._open(call, needed)
        record = self._messages.get(call.number("message_id"), channel.id)
        if record.visible_to is not None:
            raise unknown_message()
        return record

    def _get(self, call: Call) -> Answer:
        if not self._may_look_back(self._open(call)):
            raise missing_access()
        return Answer(200, self._messages.payload(self.posted(call)))

    def _edit(self, call: Call) -> Answer:
        record = self.posted(call, Permission.ATTACH_FILES if call.files else _NOTHING)
        if record.author != self._world.bot:
            raise ApiError(403, 50005, "Cannot edit a message authored by another user")
        self._world.write(self._world.channel(record.channel_id), new=False)
        self._messages.edit(record, read_draft(MessageForm, call.json, call.files, flags=EDIT_FLAGS))
        return Answer(200, self._messages.payload(self._messages.get(record.id)))

    def _delete(self, call: Call) -> Answer:
        record = self.posted(call)
        if record.author != self._world.bot:
            raise missing_permissions()
        self._messages.delete(record)
        return Answer(204)


def _page(found: list[Record], limit: int, direction: dict[str, int]) -> list[Record]:
    """The requested page of ordered messages: the newest, or the nearest before, after or around one."""
    if "after" in direction:
        return list(islice((record for record in found if record.id > direction["after"]), limit))
    if "around" in direction:
        middle = direction["around"]
        older = [record for record in found if record.id < middle][-(limit // 2) :] if limit > 1 else []
        return older + [record for record in found if record.id >= middle][: limit - limit // 2]
    before = direction.get("before", 1 << 64)
    return [record for record in found if record.id < before][-limit:]
