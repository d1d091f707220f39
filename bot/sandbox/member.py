"""A member of the local server: what they can send, press, choose and fill in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from bot.sandbox.cdn import Cdn, StoredFile, clean_filename
from bot.sandbox.clock import Snowflakes
from bot.sandbox.protocol.body import UploadedFile
from bot.sandbox.protocol.errors import JsonObject
from bot.sandbox.protocol.file_types import is_among
from bot.sandbox.protocol.permissions import MEMBER_PERMISSIONS, Permission
from bot.sandbox.state.commands import (
    ATTACHMENT,
    CHAT_INPUT,
    MESSAGE_MENU,
    USER,
    Commands,
    InvocationRefused,
    Option,
    Registered,
    check_value,
    is_called,
    resolve_path,
)
from bot.sandbox.state.components import walk
from bot.sandbox.state.drafts import MessageForm, read_draft
from bot.sandbox.state.interactions import Interactions, context_of
from bot.sandbox.state.invocation import Invocation, Kind
from bot.sandbox.state.messages import Message, MessageStore, Record
from bot.sandbox.state.world import Channel, Place, User


@dataclass(frozen=True, slots=True)
class Upload:
    """A file that a member attaches. Discord passes on what is claimed of it; None leaves the claim out."""

    filename: str
    data: bytes = field(repr=False)
    content_type: str | None = None
    width: int | None = None
    height: int | None = None


OptionValue: TypeAlias = "str | int | float | bool | Upload | Member"


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a member can act on: the place and the state of the local Discord."""

    messages: MessageStore
    cdn: Cdn
    commands: Commands
    interactions: Interactions
    snowflakes: Snowflakes
    place: Place
    channel: Channel


class Member:
    """A member. `permissions` may be changed to make them an operator, or less than a member.

    `locale` is the language of their Discord, and may be changed, too.
    """

    def __init__(self, user: User, surroundings: Surroundings) -> None:
        """Act as this user."""
        self.user = user
        self.permissions = int(MEMBER_PERMISSIONS)
        self.locale = "en-US"
        self._here = surroundings

    def at(self, place: Place) -> Member:
        """The same member, acting in another place: another server, direct messages, by another installation."""
        channel = self._here.interactions.channel(place)
        there = Member(self.user, replace(self._here, place=place, channel=channel))
        there.permissions, there.locale = self.permissions, self.locale
        return there

    @property
    def name(self) -> str:
        """What the member is called."""
        return self.user.name

    @property
    def id(self) -> int:
        """The member's identifier."""
        return self.user.id

    def commands(self) -> list[JsonObject]:
        """The slash commands and menus that Discord offers to the member here, as it describes them."""
        offered = self._here.commands.offered(self._here.place, context_of(self._here.channel))
        return [self._here.commands.payload(command) for command in offered if self._may_use(command)]

    def options(self, command: str) -> list[Option]:
        """The options of a slash command.

        Raises:
            InvocationRefused: there is no such command for the member.
        """
        return self._find(command)[2]

    async def invoke(self, command: str, /, **options: OptionValue) -> Invocation:
        """Send a slash command; the words of a subcommand are separated by spaces.

        Names may be in the language of the member's Discord. The bot always receives the original ones.

        Raises:
            InvocationRefused: Discord would not let a member send this: no such command or option, a required option
                is missing, or a value is of the wrong type or out of range.
        """
        registered, path, known = self._find(command)
        resolved: JsonObject = {}
        filled = self._fill(known, options, resolved)
        given = {part["name"] for part in filled}
        missing = [option.name for option in known if option.required and option.name not in given]
        if missing:
            raise InvocationRefused(f"/{command} needs {missing}")
        data = _command_data(registered, path, filled)
        if resolved:
            data["resolved"] = resolved
        return self._open(Kind.COMMAND, data)

    async def autocomplete(self, command: str, option: str, text: str, /, **options: OptionValue) -> Invocation:
        """Type into an option that suggests values; the suggestions are the invocation's `choices`.

        Raises:
            InvocationRefused: the option does not suggest values, or the other options are wrong.
        """
        registered, path, known = self._find(command)
        typed = [each for each in known if is_called(each, option, self.locale) and each.autocomplete]
        if not typed:
            raise InvocationRefused(f"/{command} has no option {option!r} that suggests values")
        filled = self._fill(known, options, {})
        # A text that is still being typed may be too short.
        filled += [{"name": typed[0].name, "type": typed[0].type, "value": text, "focused": True}]
        return self._open(Kind.AUTOCOMPLETE, _command_data(registered, path, filled))

    async def invoke_on(self, menu: str, message: Message) -> Invocation:
        """Choose a command of the bot's from the menu of a message.

        Raises:
            InvocationRefused: there is no such command, or the member does not see the message.
        """
        registered = self._registered(MESSAGE_MENU, menu)
        record = self._see(message)
        data = _command_data(registered, [], []) | {
            "target_id": str(record.id),
            "resolved": {"messages": {str(record.id): self._here.messages.payload(record)}},
        }
        return self._open(Kind.COMMAND, data)

    async def press(self, message: Message, label_or_custom_id: str) -> Invocation:
        """Press a button.

        Raises:
            InvocationRefused: the message, as it is now, has no such button, or it is disabled, or the member does not
                see the message.
        """
        record = self._see(message)
        buttons = [part for part in walk(self._here.messages.payload(record)["components"]) if part["type"] == 2]
        found = [part for part in buttons if label_or_custom_id in {part.get("label"), part.get("custom_id")}]
        enabled = [part for part in found if not part.get("disabled") and part.get("custom_id")]
        if len(enabled) != 1:
            shown = [(part.get("label"), "disabled" if part.get("disabled") else "enabled") for part in buttons]
            raise InvocationRefused(f"{len(enabled)} buttons {label_or_custom_id!r} to press among {shown}")
        data = {"custom_id": enabled[0]["custom_id"], "component_type": 2, "id": enabled[0]["id"]}
        return self._open(Kind.COMPONENT, data, record)

    async def choose(self, message: Message, custom_id: str, *values: str) -> Invocation:
        """Choose from a select menu: values of its options, or the ids of members, roles or channels.

        Raises:
            InvocationRefused: the message, as it is now, has no such menu, or it does not offer these values, or the
                member does not see the message.
        """
        record = self._see(message)
        for part in walk(self._here.messages.payload(record)["components"]):
            if part["type"] in {3, 5, 6, 8} and part["custom_id"] == custom_id and not part.get("disabled"):
                data = {
                    "custom_id": custom_id,
                    "component_type": part["type"],
                    "values": list(values),
                    "id": part["id"],
                }
                if part["type"] == 3:
                    _check_choice(part, values)
                else:
                    _check_count(part, len(values))
                    data["resolved"] = self._here.interactions.resolve(self._here.place, part, values)
                return self._open(Kind.COMPONENT, data, record)
        raise InvocationRefused(f"no select menu {custom_id!r} to choose from")

    async def submit(self, invocation: Invocation, **fields: str | list[str] | list[Upload]) -> Invocation:
        """Fill in the modal that the bot opened, by the custom ids of its fields, and send it.

        Raises:
            InvocationRefused: no modal was opened, a field is unknown or required, or a value does not fit.
        """
        if invocation.modal is None or invocation.user != self.user:
            raise InvocationRefused("no modal is open for this member")
        resolved: JsonObject = {}
        left = dict(fields)
        components = [self._fill_component(part, left, resolved) for part in invocation.modal["components"]]
        if left:
            raise InvocationRefused(f"the modal has no fields {sorted(left)}")
        data: JsonObject = {"custom_id": invocation.modal["custom_id"], "components": components}
        if resolved:
            data["resolved"] = resolved
        source = self._here.messages.find(invocation.source_id)
        return self._open(Kind.MODAL, data, source, place=invocation.place)

    async def say(self, content: str = "", *uploads: Upload) -> Message:
        """Send an ordinary message to the channel; the types of its files are read off their names."""
        files = tuple(UploadedFile(index, upload.filename, upload.data) for index, upload in enumerate(uploads))
        draft = read_draft(MessageForm, {"content": content}, files, flags=0)
        return self._here.messages.snapshot(self._here.messages.create(self._here.channel.id, self.user, draft))

    def _open(
        self, kind: Kind, data: JsonObject, source: Record | None = None, place: Place | None = None
    ) -> Invocation:
        if place is None:
            place = self._here.place if source is None else self._here.interactions.place_of(source)
        return self._here.interactions.open(
            kind, self.user, self.permissions, place, data, locale=self.locale, source=source
        )

    def _see(self, message: Message) -> Record:
        record = self._here.messages.find(message.id)
        if record is None:
            raise InvocationRefused(f"the message {message.id} has been deleted")
        if record.visible_to not in {None, self.user.id}:
            raise InvocationRefused(f"{self.user.name} does not see the message {message.id}")
        return record

    def _find(self, command: str) -> tuple[Registered, list[Option], list[Option]]:
        name, *words = command.split()
        registered = self._registered(CHAT_INPUT, name)
        return registered, *resolve_path(registered, words, self.locale)

    def _registered(self, kind: int, name: str) -> Registered:
        context = context_of(self._here.channel)
        command = self._here.commands.find(self._here.place, context, kind, name, self.locale)
        self._check_permitted(command)
        return command

    def _check_permitted(self, command: Registered) -> None:
        if not self._may_use(command):
            raise InvocationRefused(f"{self.user.name} lacks the permissions for {command.form.name!r}")

    def _may_use(self, command: Registered) -> bool:
        needed = command.form.default_member_permissions
        if self._here.place.guild_id is None:
            return True  # there are no permissions in direct messages
        if self.permissions & Permission.ADMINISTRATOR or needed is None:
            return True
        return needed != 0 and self.permissions & needed == needed

    def _fill(self, known: list[Option], options: Mapping[str, OptionValue], resolved: JsonObject) -> list[JsonObject]:
        filled: list[JsonObject] = []
        for name, value in options.items():
            option = next((each for each in known if is_called(each, name, self.locale)), None)
            if option is None:
                names = sorted(each.name for each in known)
                raise InvocationRefused(f"there is no option {name!r}; there are {names}")
            part: JsonObject = {"name": option.name, "type": option.type, "value": value}
            if option.type == ATTACHMENT:
                if not isinstance(value, Upload):
                    raise InvocationRefused(f"{name!r} takes an Upload, not a {type(value).__name__}")
                part["value"] = self._upload(value, resolved, option.file_types)
            elif option.type == USER:
                if not isinstance(value, Member):
                    raise InvocationRefused(f"{name!r} takes a member, not a {type(value).__name__}")
                part["value"] = str(value.id)
                resolved.setdefault("users", {})[str(value.id)] = value.user.payload()
            elif isinstance(value, Member):
                raise InvocationRefused(f"{name!r} takes no member")
            else:
                check_value(option, value)
            filled.append(part)
        return filled

    def _upload(self, upload: Upload, resolved: JsonObject, file_types: list[str] | None) -> str:
        if file_types is not None and not is_among(upload.filename, file_types):
            raise InvocationRefused(f"{upload.filename!r} is none of {file_types}")
        limit = self._here.interactions.attachment_size_limit
        if len(upload.data) > limit:
            raise InvocationRefused(f"{upload.filename!r} has {len(upload.data)} bytes; {limit} are allowed")
        identity = self._here.snowflakes.next()
        file = StoredFile(
            identity, self._here.channel.id, clean_filename(upload.filename), upload.content_type, upload.data
        )
        self._here.cdn.add(file)
        link = self._here.cdn.link(file)
        described: JsonObject = {
            "id": str(identity),
            "filename": file.filename,
            "size": len(upload.data),
            "url": link,
            "proxy_url": link,
            "ephemeral": True,
        }
        claims = {"content_type": upload.content_type, "width": upload.width, "height": upload.height}
        described |= {name: claim for name, claim in claims.items() if claim is not None}
        resolved.setdefault("attachments", {})[str(identity)] = described
        return str(identity)

    def _fill_component(
        self, component: JsonObject, fields: dict[str, str | list[str] | list[Upload]], resolved: JsonObject
    ) -> JsonObject:
        """One part of a modal as it is sent back: without its texts, with what was filled in."""
        filled: JsonObject = {"type": component["type"], "id": component.get("id", 0)}
        if "component" in component:
            return filled | {"component": self._fill_component(component["component"], fields, resolved)}
        if "components" in component:
            inner = [self._fill_component(part, fields, resolved) for part in component["components"]]
            return filled | {"components": inner}
        name = component.get("custom_id")
        if name is None:
            return filled
        value = fields.pop(name, None)
        filled["custom_id"] = name
        if component["type"] == 4:
            return filled | {"value": _check_text(component, value)}
        chosen = [] if value is None else value
        if not isinstance(chosen, list):
            raise InvocationRefused(f"the field {name!r} takes a list")
        _check_count(component, len(chosen))
        if component["type"] == 19:
            uploads = [item for item in chosen if isinstance(item, Upload)]
            if len(uploads) < len(chosen):
                raise InvocationRefused(f"the field {name!r} takes uploads")
            return filled | {
                "values": [self._upload(upload, resolved, component.get("file_types")) for upload in uploads]
            }
        _check_offered(component, [item for item in chosen if isinstance(item, str)], len(chosen))
        return filled | {"values": chosen}


def _command_data(command: Registered, path: list[Option], options: list[JsonObject]) -> JsonObject:
    """What an interaction tells of a command: the options inside the subcommand, inside its group."""
    for step in reversed(path):
        options = [{"name": step.name, "type": step.type, "options": options}]
    data: JsonObject = {"id": str(command.id), "name": command.form.name, "type": command.form.kind}
    if options:
        data["options"] = options
    if command.guild_id is not None:
        data["guild_id"] = str(command.guild_id)
    return data


def _check_text(component: JsonObject, value: object) -> str:
    text = component.get("value", "") if value is None else value
    if not isinstance(text, str):
        raise InvocationRefused(f"the field {component['custom_id']!r} takes text")
    if not text and component.get("required") is False:
        return text
    low, high = component.get("min_length", 1), component.get("max_length", 4000)
    if not low <= len(text) <= high:
        raise InvocationRefused(f"the field {component['custom_id']!r} takes {low} to {high} characters")
    return text


def _check_choice(component: JsonObject, values: tuple[str, ...]) -> None:
    _check_count(component, len(values))
    _check_offered(component, list(values), len(values))


def _check_count(component: JsonObject, count: int) -> None:
    optional = component.get("required") is False and count == 0
    low, high = component.get("min_values", 1), component.get("max_values", 1)
    if not optional and not low <= count <= high:
        raise InvocationRefused(f"{component['custom_id']!r} takes {low} to {high} values, not {count}")


def _check_offered(component: JsonObject, values: list[str], count: int) -> None:
    offered = {option["value"] for option in component["options"]}
    if len(set(values)) < count or not set(values) <= offered:
        raise InvocationRefused(f"{component['custom_id']!r} offers {sorted(offered)}, each once, not {values}")
