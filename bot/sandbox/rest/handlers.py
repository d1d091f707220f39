"""The handler of each route."""

from __future__ import annotations

from collections.abc import Callable

from bot.sandbox.clock import SandboxClock
from bot.sandbox.protocol.errors import ApiError, missing_access
from bot.sandbox.protocol.forms import Form, Snowflake, read_form
from bot.sandbox.rest.channels import Channels
from bot.sandbox.rest.routing import MESSAGES, Answer, Call, Route
from bot.sandbox.state.commands import Commands
from bot.sandbox.state.interactions import Interactions
from bot.sandbox.state.messages import MessageStore, Record
from bot.sandbox.state.world import World

_COMMANDS = "/applications/{application_id}/commands"
_GUILD_COMMANDS = "/applications/{application_id}/guilds/{guild_id}/commands"
_CALLBACK = "/interactions/{interaction_id}/{interaction_token}/callback"
_WEBHOOK = "/webhooks/{webhook_id}/{webhook_token}"


class _Recipient(Form):
    recipient_id: Snowflake


class Handlers:
    """One synchronous method for each route."""

    def __init__(
        self,
        world: World,
        clock: SandboxClock,
        messages: MessageStore,
        commands: Commands,
        interactions: Interactions,
        *,
        commands_changed: Callable[[], None],
    ) -> None:
        """Work on these; `commands_changed` is called after each registration."""
        self.gateway_url = ""
        self._world = world
        self._messages = messages
        self._commands = commands
        self._interactions = interactions
        self._commands_changed = commands_changed
        self._channels = Channels(world, clock, messages)

    def routes(self) -> list[Route]:
        """The table of all known routes."""
        localised = frozenset({"with_localizations"})
        sending = frozenset({"wait", "with_components"})
        editing = frozenset({"with_components"})
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
        # The original first, for the reader: its name would not match a message's number anyway.
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
        return table + self._channels.routes()

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
        if guild_id not in {None, *(guild.id for guild in self._world.bot_guilds)}:
            raise missing_access()
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
        return Answer(200, self._messages.payload(self._reply(call)))

    def _edit_reply(self, call: Call) -> Answer:
        return Answer(200, self._interactions.edit(self._reply(call), call.json, call.files))

    def _delete_reply(self, call: Call) -> Answer:
        self._messages.delete(self._reply(call))
        return Answer(204)

    def expire_token(self, call: Call) -> bool:
        """Expire the token of a request before it is carried out; False where it had expired already."""
        try:
            invocation = self._interactions.by_token(call.number("webhook_id"), call.parts["webhook_token"])
        except ApiError:
            return False
        invocation.expire()
        return True

    def delete_message(self, call: Call) -> bool:
        """Delete the message of a request before it is carried out, as a moderator would; False where none could."""
        try:
            record = self._reply(call) if "webhook_token" in call.parts else self._channels.posted(call)
        except ApiError:
            return False
        if record.visible_to is None:
            self._messages.delete(record)
        return record.visible_to is None
