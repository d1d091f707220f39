"""Interactions: their answers, their tokens and their messages (Discord: Interactions, Receiving and Responding)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Literal

from pydantic import Field

from bot.sandbox.clock import SandboxClock, Snowflakes
from bot.sandbox.protocol.body import UploadedFile
from bot.sandbox.protocol.errors import (
    JsonObject,
    NotUnderstood,
    already_acknowledged,
    expired_token,
    invalid,
    too_many_follow_ups,
    unknown_interaction,
    unknown_message,
    unknown_webhook,
)
from bot.sandbox.protocol.forms import Form, read_form
from bot.sandbox.state.commands import Choice, InvocationRefused, command_name
from bot.sandbox.state.components import Modal, check_rules
from bot.sandbox.state.drafts import (
    COMPONENTS_V2,
    EPHEMERAL,
    LOADING,
    SUPPRESS_EMBEDS,
    SUPPRESS_NOTIFICATIONS,
    Draft,
    MessageForm,
    read_draft,
)
from bot.sandbox.state.invocation import Invocation, Kind
from bot.sandbox.state.messages import Change, MessageStore, Record
from bot.sandbox.state.world import DIRECT, Channel, Place, User, World

MESSAGE = 4
DEFERRED_MESSAGE = 5
DEFERRED_UPDATE = 6
UPDATE = 7
AUTOCOMPLETE = 8
MODAL = 9

COMMAND_RESPONSE = 20
"""The type of a message that answers a slash command."""

EDIT_FLAGS = SUPPRESS_EMBEDS | COMPONENTS_V2
SEND_FLAGS = EDIT_FLAGS | EPHEMERAL | SUPPRESS_NOTIFICATIONS


VISITOR_FOLLOW_UPS = 5
"""How many follow-ups an interaction may have where the user alone installed the application."""


def context_of(channel: Channel) -> int:
    """Discord's number for the kind of place: 0 servers, 1 direct messages with the bot, 2 private channels."""
    if channel.guild_id is not None:
        return 0
    return 1 if channel.kind == DIRECT else 2


class _Callback(Form):
    """The body of an answer; what `data` must be depends on the type."""

    type: int
    data: object = None


class _Deferred(Form):
    """The data of an answer of type 5, of which Discord honours one flag."""

    flags: Annotated[int | None, Field(ge=0)] = None


class _Suggestions(Form):
    """The data of an answer of type 8."""

    choices: Annotated[list[Choice], Field(max_length=25)]


class _Nothing(Form):
    """The data of an answer of type 6."""

    type: Literal[None] = None


class Interactions:
    """Opens interactions, accepts their answers, and knows which messages belong to which interaction."""

    def __init__(
        self,
        world: World,
        clock: SandboxClock,
        snowflakes: Snowflakes,
        messages: MessageStore,
        dispatch: Callable[[JsonObject], None],
    ) -> None:
        """Send new interactions to the bot through `dispatch`."""
        self.attachment_size_limit = 0
        self._world = world
        self._clock = clock
        self._snowflakes = snowflakes
        self._messages = messages
        self._dispatch = dispatch
        self.by_id: dict[int, Invocation] = {}
        self._by_token: dict[str, Invocation] = {}
        self._followers: dict[int, list[Invocation]] = {}
        messages.on_change(self._follow_change)

    def _follow_change(self, change: Change, record: Record) -> None:
        followers = self._followers.get(record.id, [])
        if followers:
            snapshot = self._messages.snapshot(record)
            for invocation in followers:
                invocation.add(snapshot)

    def open(
        self,
        kind: Kind,
        user: User,
        permissions: int,
        place: Place,
        data: JsonObject,
        *,
        locale: str,
        source: Record | None = None,
    ) -> Invocation:
        """Begin an interaction and send it to the bot.

        `locale` is the language of the member's Discord, `source` the message whose component was used.
        """
        source_id = None if source is None else source.id
        invocation = Invocation(self._snowflakes.next(), kind, user, place, clock=self._clock, source_id=source_id)
        if kind is Kind.COMMAND:
            invocation.command = command_name(data)
        self.by_id[invocation.id] = invocation
        self._by_token[invocation.token] = invocation
        event = self._event(invocation, permissions, data) | {"locale": locale}
        if source is not None:
            event["message"] = self._messages.payload(source)
        self._dispatch(event)
        return invocation

    def channel(self, place: Place) -> Channel:
        """The channel of a place."""
        return self._world.channel(place.channel_id)

    def resolve(self, place: Place, menu: JsonObject, values: tuple[str, ...]) -> JsonObject:
        """Describe the members, roles or channels that a member chose from a menu.

        Raises:
            InvocationRefused: the server has no such member, role or channel, or the menu does not offer it.
        """
        key = {5: "users", 6: "roles", 8: "channels"}[menu["type"]]
        if menu["type"] == 5:
            found = {str(user.id): user.payload() for user in self._world.users.values()}
        elif menu["type"] == 6:
            guild = self._world.guilds[place.guild_id or 0]
            found = {role["id"]: role for role in self._world.roles(guild)}
        else:
            kinds = menu.get("channel_types")
            channels = [each for each in self._world.channels.values() if each.guild_id == place.guild_id]
            found = {
                str(each.id): self._world.channel_payload(each) | {"permissions": "0"}
                for each in channels
                if kinds is None or each.kind in kinds
            }
        if len(set(values)) < len(values) or not set(values) <= set(found):
            raise InvocationRefused(f"{menu['custom_id']!r} offers {sorted(found)}, each once, not {list(values)}")
        resolved: JsonObject = {key: {each: found[each] for each in values}}
        if menu["type"] == 5 and place.guild_id is not None:
            resolved["members"] = {each: self._world.member(self._world.users[int(each)]) for each in values}
        return resolved

    def place_of(self, record: Record) -> Place:
        """Where a message is; what is pressed there concerns the installation by which it came."""
        if record.interaction_id is not None:
            return self.by_id[record.interaction_id].place
        return Place(record.channel_id, self._world.channel(record.channel_id).guild_id)

    def _event(self, invocation: Invocation, permissions: int, data: JsonObject) -> JsonObject:
        channel = self._world.channel(invocation.channel_id)
        event: JsonObject = {
            "id": str(invocation.id),
            "application_id": str(self._world.application_id),
            "type": int(invocation.kind),
            "token": invocation.token,
            "version": 1,
            "data": data,
            "channel_id": str(channel.id),
            "channel": self._world.channel_payload(channel) | {"permissions": str(permissions)},
            "app_permissions": str(int(self._world.permissions(channel))),
            "entitlements": [],
            "attachment_size_limit": self.attachment_size_limit,
            "context": context_of(channel),
            "authorizing_integration_owners": invocation.place.owners(invocation.user),
        }
        if channel.guild_id is None:
            return event | {"user": invocation.user.payload()}
        locale = self._world.guilds[channel.guild_id].locale
        member = {"user": invocation.user.payload(), "permissions": str(permissions)}
        return event | {
            "guild": {"id": str(channel.guild_id), "locale": locale, "features": []},
            "guild_id": str(channel.guild_id),
            "guild_locale": locale,
            "member": self._world.member(invocation.user) | member,
        }

    def answer(self, interaction_id: int, token: str, body: object, files: tuple[UploadedFile, ...]) -> JsonObject:
        """Accept the first answer to an interaction and describe its result.

        Raises:
            ApiError: 10062 where there is no such interaction or it is too late, 40060 where it is answered already.
            InvalidForm: the answer is malformed, or of a type that this interaction does not take.
            NotUnderstood: the answer is of a type, or has a field, that is not known here.
        """
        invocation = self.by_id.get(interaction_id)
        if invocation is None or invocation.token != token:
            raise unknown_interaction()
        if invocation.acknowledged_after is not None:
            raise already_acknowledged()
        if invocation.is_late:
            raise unknown_interaction()
        callback = read_form(_Callback, body)
        self._check_type(invocation, callback.type)
        if files and callback.type not in {MESSAGE, UPDATE}:
            raise NotUnderstood(f"files in an answer of type {callback.type}")
        record = self._perform(invocation, callback, files)
        invocation.acknowledge()
        return self._describe(invocation, callback.type, record)

    def _check_type(self, invocation: Invocation, kind: int) -> None:
        if kind not in range(MESSAGE, MODAL + 1):
            raise NotUnderstood(f"the answer of type {kind} to an interaction")
        allowed = {AUTOCOMPLETE} if invocation.kind is Kind.AUTOCOMPLETE else {MESSAGE, DEFERRED_MESSAGE}
        if invocation.source_id is not None:
            allowed |= {DEFERRED_UPDATE, UPDATE}
        if invocation.kind in {Kind.COMMAND, Kind.COMPONENT}:
            allowed |= {MODAL}
        if kind not in allowed:
            raise invalid(("type",), "BASE_TYPE_CHOICES", f"This interaction takes answers of type {sorted(allowed)}.")

    def _perform(self, invocation: Invocation, callback: _Callback, files: tuple[UploadedFile, ...]) -> Record | None:
        data = {} if callback.data is None else callback.data
        if callback.type == MESSAGE:
            draft = read_draft(MessageForm, data, files, flags=SEND_FLAGS, place=("data",))
            return self._first(invocation, self._send(invocation, draft, kind=self._message_kind(invocation)))
        if callback.type == DEFERRED_MESSAGE:
            flags = read_form(_Deferred, data, ("data",)).flags or 0
            if flags & ~EPHEMERAL:
                raise invalid(("data", "flags"), "BASE_TYPE_CHOICES", "A deferred answer takes no flag but EPHEMERAL.")
            placeholder = self._messages.create_thinking(
                invocation.channel_id,
                self._world.bot,
                kind=self._message_kind(invocation),
                visible_to=invocation.user if flags else None,
                extra=self._metadata(invocation),
                interaction_id=invocation.id,
            )
            return self._first(invocation, placeholder)
        if callback.type in {DEFERRED_UPDATE, UPDATE} and invocation.source_id is not None:
            return self._update_source(invocation, invocation.source_id, callback, files)
        if callback.type == AUTOCOMPLETE:
            choices = read_form(_Suggestions, data, ("data",)).choices
            invocation.choices = tuple(choice.model_dump(exclude_none=True) for choice in choices)
        else:
            modal = read_form(Modal, data, ("data",)).model_dump(exclude_none=True)
            check_rules(modal["components"], second_version=True, place=("data", "components"))
            invocation.modal = modal
        return None

    def _message_kind(self, invocation: Invocation) -> int:
        return COMMAND_RESPONSE if invocation.kind is Kind.COMMAND else 0

    def _first(self, invocation: Invocation, record: Record) -> Record:
        invocation.original_id = record.id
        if record.id not in invocation.message_ids:
            self._adopt(invocation, record)
        return record

    def _adopt(self, invocation: Invocation, record: Record) -> None:
        invocation.message_ids.append(record.id)
        self._followers.setdefault(record.id, []).append(invocation)
        invocation.add(self._messages.snapshot(record))

    def _update_source(
        self, invocation: Invocation, source_id: int, callback: _Callback, files: tuple[UploadedFile, ...]
    ) -> Record:
        source = self._messages.get(source_id)
        if callback.type == UPDATE:
            data = {} if callback.data is None else callback.data
            draft = read_draft(MessageForm, data, files, flags=EDIT_FLAGS, place=("data",))
            self._messages.edit(source, draft)
            source = self._messages.get(source_id)
            return self._first(invocation, source)
        read_form(_Nothing, {} if callback.data is None else callback.data, ("data",))
        invocation.original_id = source_id
        invocation.message_ids.append(source_id)
        self._followers.setdefault(source_id, []).append(invocation)
        return source

    def _send(self, invocation: Invocation, draft: Draft, *, kind: int = 0) -> Record:
        return self._messages.create(
            invocation.channel_id,
            self._world.bot,
            draft,
            kind=kind,
            visible_to=invocation.user if draft.flags & EPHEMERAL else None,
            extra=self._metadata(invocation),
            interaction_id=invocation.id,
        )

    def _metadata(self, invocation: Invocation) -> JsonObject:
        metadata: JsonObject = {
            "id": str(invocation.id),
            "type": int(invocation.kind),
            "user": invocation.user.payload(),
            "authorizing_integration_owners": invocation.place.owners(invocation.user),
        }
        if invocation.source_id is not None:
            metadata["interacted_message_id"] = str(invocation.source_id)
        if invocation.original_id is not None:
            metadata["original_response_message_id"] = str(invocation.original_id)
        application = str(self._world.application_id)
        return {"interaction_metadata": metadata, "application_id": application, "webhook_id": application}

    def _describe(self, invocation: Invocation, kind: int, record: Record | None) -> JsonObject:
        interaction: JsonObject = {"id": str(invocation.id), "type": int(invocation.kind)}
        if record is None:
            return {"interaction": interaction}
        interaction |= {
            "response_message_id": str(record.id),
            "response_message_loading": bool(record.flags & LOADING),
            "response_message_ephemeral": record.visible_to is not None,
            "channel_id": str(record.channel_id),
        }
        if kind not in {MESSAGE, UPDATE}:
            return {"interaction": interaction}
        return {"interaction": interaction, "resource": {"type": kind, "message": self._messages.payload(record)}}

    def by_token(self, application_id: int, token: str) -> Invocation:
        """The interaction that this token belongs to.

        Raises:
            ApiError: 10015 where there is none or it is not acknowledged yet, 50027 where the token is too old.
        """
        invocation = self._by_token.get(token)
        if invocation is None or application_id != self._world.application_id:
            raise unknown_webhook()
        if invocation.is_expired:
            raise expired_token()
        if invocation.acknowledged_after is None:
            raise unknown_webhook()
        return invocation

    def follow_up(self, invocation: Invocation, body: object, files: tuple[UploadedFile, ...]) -> JsonObject:
        """Send a further message; the first after a deferred answer takes the place of the placeholder.

        Raises:
            ApiError: 40094, where the user alone installed the application and it has sent five already.
            InvalidForm: the message is malformed.
            NotUnderstood: a field is not known here.
        """
        draft = read_draft(MessageForm, body, files, flags=SEND_FLAGS)
        self._world.write(self._world.channel(invocation.channel_id), new=True)
        direct = self._world.channel(invocation.channel_id).kind == DIRECT
        if invocation.place.installed == "user" and not direct and invocation.follow_ups >= VISITOR_FOLLOW_UPS:
            raise too_many_follow_ups()
        original = self._messages.find(invocation.original_id)
        if original is not None and original.flags & LOADING:
            self._messages.edit(original, draft)
            record = self._messages.get(original.id)
        else:
            record = self._send(invocation, draft)
            self._adopt(invocation, record)
        invocation.follow_ups += 1
        return self._messages.payload(record)

    def message(self, invocation: Invocation, message_id: int | None) -> Record:
        """A message of the interaction; None means the original.

        Raises:
            ApiError: 10008, there is none, or it belongs to another interaction.
        """
        wanted = invocation.original_id if message_id is None else message_id
        if wanted is None or wanted not in invocation.message_ids:
            raise unknown_message()
        return self._messages.get(wanted)

    def edit(self, record: Record, body: object, files: tuple[UploadedFile, ...]) -> JsonObject:
        """Change a message of an interaction."""
        draft = read_draft(MessageForm, body, files, flags=EDIT_FLAGS)
        self._world.write(self._world.channel(record.channel_id), new=False)
        self._messages.edit(record, draft)
        return self._messages.payload(self._messages.get(record.id))
