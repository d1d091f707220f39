"""What each known route does."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from typing import Annotated

from pydantic import Field

from bot.sandbox.clock import SandboxClock
from bot.sandbox.commands import Commands
from bot.sandbox.drafts import SUPPRESS_NOTIFICATIONS, ChannelMessageForm, MessageForm, read_draft
from bot.sandbox.errors import ApiError, JsonObject, invalid, unknown_message
from bot.sandbox.forms import Form, Snowflake, read_form
from bot.sandbox.interactions import EDIT_FLAGS, Interactions
from bot.sandbox.messages import Board, Record
from bot.sandbox.routing import MESSAGES, Answer, Call, Route
from bot.sandbox.world import World

NONCE_LIFETIME = 300.0
"""Seconds in which a second message with the same enforced nonce is the first one again."""

_COMMANDS = "/applications/{application_id}/commands"
_GUILD_COMMANDS = "/applications/{application_id}/guilds/{guild_id}/commands"
_CALLBACK = "/interactions/{interaction_id}/{interaction_token}/callback"
_WEBHOOK = "/webhooks/{webhook_id}/{webhook_token}"
_CHANNEL = "/channels/{channel_id}"


class _Recipient(Form):
    recipient_id: Snowflake


class _Page(Form):
    limit: Annotated[int, Field(ge=1, le=100)] = 50


class Handlers:
    """One method for each route; all of them at once, without waiting for anything."""

    def __init__(
        self,
        world: World,
        clock: SandboxClock,
        board: Board,
        commands: Commands,
        interactions: Interactions,
        *,
        commands_changed: Callable[[], None],
    ) -> None:
        """Work on these; `commands_changed` is called after each registration."""
        self.gateway_url = ""
        self._world = world
        self._clock = clock
        self._board = board
        self._commands = commands
        self._interactions = interactions
        self._commands_changed = commands_changed
        self._nonces: dict[tuple[int, str], tuple[float, int]] = {}

    def routes(self) -> list[Route]:
        """The table of all that is known."""
        localised = frozenset({"with_localizations"})
        sending = frozenset({"wait", "with_components"})
        editing = frozenset({"with_components"})
        page = frozenset({"limit", "before", "after"})
        table = [
            Route("GET", "/gateway", self._gateway, needs_token=False),
            Route("GET", "/gateway/bot", self._gateway_bot),
            Route("GET", "/users/@me", self._me),
            Route("POST", "/users/@me/channels", self._open_direct),
            Route("GET", "/applications/@me", self._application),
            Route("GET", "/oauth2/applications/@me", self._application),
            Route("GET", _COMMANDS, self._list_commands, query=localised),
            Route("PUT", _COMMANDS, self._overwrite_commands),
            Route("POST", _COMMANDS, self._create_command),
            Route("GET", _GUILD_COMMANDS, self._list_commands, query=localised),
            Route("PUT", _GUILD_COMMANDS, self._overwrite_commands),
            Route("POST", _GUILD_COMMANDS, self._create_command),
            Route("GET", _CHANNEL, self._channel),
            Route("POST", f"{_CHANNEL}/typing", self._typing, limit=MESSAGES, major=("channel_id",)),
            Route(
                "POST",
                _CALLBACK,
                self._callback,
                needs_token=False,
                query=frozenset({"with_response"}),
                takes_files=True,
                limit=MESSAGES,
                major=("interaction_token",),
            ),
        ]
        table += [
            Route(method, template, handler, query=query, takes_files=files, limit=MESSAGES, major=("channel_id",))
            for method, template, handler, query, files in (
                ("GET", f"{_CHANNEL}/messages", self._list_messages, page, False),
                ("POST", f"{_CHANNEL}/messages", self._send, frozenset[str](), True),
                ("GET", f"{_CHANNEL}/messages/{{message_id}}", self._get_message, frozenset[str](), False),
                ("PATCH", f"{_CHANNEL}/messages/{{message_id}}", self._edit_message, frozenset[str](), True),
                ("DELETE", f"{_CHANNEL}/messages/{{message_id}}", self._delete_message, frozenset[str](), False),
            )
        ]
        # The original first: its name would not match a message's number, but the order says what is meant.
        table += [
            Route(
                method,
                template,
                handler,
                needs_token=False,
                query=query,
                takes_files=files,
                limit=MESSAGES,
                major=("webhook_id", "webhook_token"),
                bucket="webhook",
            )
            for method, template, handler, query, files in (
                ("POST", _WEBHOOK, self._follow_up, sending, True),
                ("GET", f"{_WEBHOOK}/messages/@original", self._get_reply, frozenset[str](), False),
                ("PATCH", f"{_WEBHOOK}/messages/@original", self._edit_reply, editing, True),
                ("DELETE", f"{_WEBHOOK}/messages/@original", self._delete_reply, frozenset[str](), False),
                ("GET", f"{_WEBHOOK}/messages/{{message_id}}", self._get_reply, frozenset[str](), False),
                ("PATCH", f"{_WEBHOOK}/messages/{{message_id}}", self._edit_reply, editing, True),
                ("DELETE", f"{_WEBHOOK}/messages/{{message_id}}", self._delete_reply, frozenset[str](), False),
            )
        ]
        return table

    def _gateway(self, call: Call) -> Answer:
        return Answer(200, {"url": self.gateway_url})

    def _gateway_bot(self, call: Call) -> Answer:
        starts = {"total": 1000, "remaining": 1000, "reset_after": 86_400_000, "max_concurrency": 1}
        return Answer(200, {"url": self.gateway_url, "shards": 1, "session_start_limit": starts})

    def _me(self, call: Call) -> Answer:
        return Answer(200, self._world.bot.payload() | {"verified": True, "mfa_enabled": False, "locale": "en-US"})

    def _open_direct(self, call: Call) -> Answer:
        user = self._world.users.get(read_form(_Recipient, call.json).recipient_id)
        if user is None or user.is_bot:
            raise ApiError(400, 50033, "Invalid Recipient(s)")
        return Answer(200, self._world.channel_payload(self._world.direct_channel(user)))

    def _application(self, call: Call) -> Answer:
        return Answer(200, self._world.application_payload())

    def _place(self, call: Call) -> int | None:
        """The server whose commands are meant, or None for those of everywhere."""
        if call.number("application_id") != self._world.application_id:
            raise ApiError(403, 20012, "You are not authorized to perform this action on this application")
        guild_id = call.number("guild_id") if "guild_id" in call.parts else None
        if guild_id not in {None, self._world.guild_id}:
            raise ApiError(403, 50001, "Missing Access")
        return guild_id

    def _list_commands(self, call: Call) -> Answer:
        return Answer(200, self._commands.listing(self._place(call)))

    def _overwrite_commands(self, call: Call) -> Answer:
        registered = self._commands.overwrite(self._place(call), call.json)
        self._commands_changed()
        return Answer(200, registered)

    def _create_command(self, call: Call) -> Answer:
        registered, is_new = self._commands.create(self._place(call), call.json)
        self._commands_changed()
        return Answer(201 if is_new else 200, registered)

    def _callback(self, call: Call) -> Answer:
        described = self._interactions.answer(
            call.number("interaction_id"), call.parts["interaction_token"], call.json, call.files
        )
        return Answer(200, described) if call.flag("with_response") else Answer(204)

    def _follow_up(self, call: Call) -> Answer:
        invocation = self._interactions.by_token(call.number("webhook_id"), call.parts["webhook_token"])
        # A follow-up always waits, whatever `wait` says.
        return Answer(200, self._interactions.follow_up(invocation, call.json, call.files))

    def _reply(self, call: Call) -> Record:
        invocation = self._interactions.by_token(call.number("webhook_id"), call.parts["webhook_token"])
        return self._interactions.message(invocation, call.number("message_id") if "message_id" in call.parts else None)

    def _get_reply(self, call: Call) -> Answer:
        return Answer(200, self._board.payload(self._reply(call)))

    def _edit_reply(self, call: Call) -> Answer:
        return Answer(200, self._interactions.edit(self._reply(call), call.json, call.files))

    def _delete_reply(self, call: Call) -> Answer:
        self._board.delete(self._reply(call))
        return Answer(204)

    def _channel(self, call: Call) -> Answer:
        return Answer(200, self._world.channel_payload(self._world.channel(call.number("channel_id"))))

    def _typing(self, call: Call) -> Answer:
        self._world.channel(call.number("channel_id"))
        return Answer(204)

    def _list_messages(self, call: Call) -> Answer:
        channel = self._world.channel(call.number("channel_id"))
        for name, value in call.query.items():
            if not value.isdecimal():
                raise invalid((name,), "NUMBER_TYPE_COERCE", f'Value "{value}" is not int.')
        limit = read_form(_Page, {"limit": int(call.query.get("limit", 50))}).limit
        before, after = int(call.query.get("before", 1 << 64)), int(call.query.get("after", 0))
        found = [record for record in self._board.in_channel(channel.id) if after < record.id < before]
        # After a message the nearest ones are the oldest; otherwise the newest are wanted. Newest first either way.
        nearest = found if "after" in call.query else reversed(found)
        page = sorted(islice(nearest, limit), key=lambda record: record.id, reverse=True)
        return Answer(200, [self._board.payload(record) for record in page])

    def _send(self, call: Call) -> Answer:
        channel = self._world.channel(call.number("channel_id"))
        draft = read_draft(ChannelMessageForm, call.json, call.files, flags=EDIT_FLAGS | SUPPRESS_NOTIFICATIONS)
        form = draft.form
        if not isinstance(form, ChannelMessageForm):
            raise TypeError(form)
        now = self._clock.now()
        if form.nonce is not None and form.enforce_nonce:
            sent_at, message_id = self._nonces.get((channel.id, form.nonce), (0.0, 0))
            sent = self._board.find(message_id)
            if sent is not None and now - sent_at < NONCE_LIFETIME:
                return Answer(200, self._board.payload(sent) | {"nonce": form.nonce})
        record = self._board.create(channel.id, self._world.bot, draft, extra=self._referenced(channel.id, form))
        if form.nonce is not None:
            self._nonces[channel.id, form.nonce] = (now, record.id)
        return Answer(200, self._board.payload(record) | ({} if form.nonce is None else {"nonce": form.nonce}))

    def _referenced(self, channel_id: int, form: ChannelMessageForm) -> JsonObject:
        """What a message tells of the one that it replies to."""
        reference = form.message_reference
        if reference is None:
            return {}
        found = self._board.find(reference.message_id)
        if found is None or found.channel_id != channel_id or found.visible_to is not None:
            if reference.fail_if_not_exists is not False:
                raise invalid(("message_reference",), "MESSAGE_REFERENCE_UNKNOWN_MESSAGE", "Unknown message")
            return {}
        return {
            "type": 19,
            "message_reference": {"type": 0, "message_id": str(found.id), "channel_id": str(channel_id)},
        }

    def _posted(self, call: Call) -> Record:
        """A message by its number alone; those that one member sees exist only for the interaction's token."""
        channel = self._world.channel(call.number("channel_id"))
        record = self._board.get(call.number("message_id"), channel.id)
        if record.visible_to is not None:
            raise unknown_message()
        return record

    def _get_message(self, call: Call) -> Answer:
        return Answer(200, self._board.payload(self._posted(call)))

    def _edit_message(self, call: Call) -> Answer:
        record = self._posted(call)
        if record.author != self._world.bot:
            raise ApiError(403, 50005, "Cannot edit a message authored by another user")
        self._board.edit(record, read_draft(MessageForm, call.json, call.files, flags=EDIT_FLAGS))
        return Answer(200, self._board.payload(self._board.get(record.id)))

    def _delete_message(self, call: Call) -> Answer:
        record = self._posted(call)
        if record.author != self._world.bot:
            raise ApiError(403, 50013, "Missing Permissions")
        self._board.delete(record)
        return Answer(204)
