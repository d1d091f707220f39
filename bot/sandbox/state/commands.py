"""Application commands: what may be registered, and what a member may fill in (Discord: Application Commands)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from bot.sandbox.clock import Snowflakes
from bot.sandbox.protocol.errors import JsonObject, invalid
from bot.sandbox.protocol.file_types import FileTypes
from bot.sandbox.protocol.forms import Form, Snowflake, read_form, read_list
from bot.sandbox.state.world import Installed, Place

CHAT_INPUT = 1
USER_MENU = 2
MESSAGE_MENU = 3
SUBCOMMAND = 1
SUBCOMMAND_GROUP = 2
STRING = 3
INTEGER = 4
BOOLEAN = 5
USER = 6
NUMBER = 10
ATTACHMENT = 11

MAX_CHARACTERS = 8000
"""Of all names, descriptions and values of a command, each in its longest language."""

_NAME = r"^[-_'\w\u0900-\u097f\u0e00-\u0e7f]{1,32}$"
_LOCALES = (
    "ar bg cs da de el en-GB en-US es-419 es-ES fi fr he hi hr hu id it ja ko lt nl no pl pt-BR ro ru sv-SE th tr uk "
    "vi zh-CN zh-TW"
)
"""The languages of Discord, as of July 2026."""
_Locale = Annotated[str, Field(pattern=f"^({_LOCALES.replace(' ', '|')})$")]
_Localised = dict[_Locale, Annotated[str, Field(min_length=1, max_length=100)]]
_LocalisedNames = dict[_Locale, Annotated[str, Field(pattern=_NAME)]]


class Choice(Form):
    """One of the values that an option offers."""

    name: Annotated[str, Field(min_length=1, max_length=100)]
    name_localizations: _Localised | None = None
    value: Annotated[str, Field(max_length=100)] | int | float


class Option(Form):
    """One option of a command, or a subcommand, or a group of them."""

    type: Literal[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]
    name: Annotated[str, Field(pattern=_NAME)]
    name_localizations: _LocalisedNames | None = None
    description: Annotated[str, Field(min_length=1, max_length=100)]
    description_localizations: _Localised | None = None
    required: bool | None = None
    choices: Annotated[list[Choice] | None, Field(max_length=25)] = None
    options: Annotated[list[Option] | None, Field(max_length=25)] = None
    channel_types: list[int] | None = None
    min_value: int | float | None = None
    max_value: int | float | None = None
    min_length: Annotated[int | None, Field(ge=0, le=6000)] = None
    max_length: Annotated[int | None, Field(ge=1, le=6000)] = None
    autocomplete: bool | None = None
    file_types: FileTypes | None = None


class Command(Form):
    """A command as the bot registers it."""

    id: Snowflake | None = None
    type: Literal[1, 2, 3] | None = None
    name: Annotated[str, Field(min_length=1, max_length=32)]
    name_localizations: dict[_Locale, Annotated[str, Field(min_length=1, max_length=32)]] | None = None
    description: Annotated[str | None, Field(max_length=100)] = None
    description_localizations: _Localised | None = None
    options: Annotated[list[Option] | None, Field(max_length=25)] = None
    default_member_permissions: Snowflake | None = None
    dm_permission: bool | None = None
    nsfw: bool | None = None
    contexts: Annotated[list[Literal[0, 1, 2]] | None, Field(min_length=1)] = None
    integration_types: Annotated[list[Literal[0, 1]] | None, Field(min_length=1)] = None

    @property
    def kind(self) -> int:
        """Slash command, user menu or message menu."""
        return self.type or CHAT_INPUT


def is_called(part: Command | Option, name: str, locale: str) -> bool:
    """Whether a member whose Discord is in this language sees a command or an option under this name.

    They may also type the name that it has in no language.
    """
    localised: Mapping[str, str] = part.name_localizations or {}
    return name in {part.name, localised.get(locale)}


class InvocationRefused(ValueError):
    """The member's Discord client would not allow this; nothing is sent to the bot."""


@dataclass(frozen=True, slots=True)
class Registered:
    """A command with the identifiers that Discord gave it."""

    id: int
    version: int
    guild_id: int | None
    form: Command


class Commands:
    """The registered commands, for everywhere and for the server."""

    def __init__(self, snowflakes: Snowflakes, application_id: int) -> None:
        """Start with none."""
        self._snowflakes = snowflakes
        self._application_id = application_id
        self._registered: dict[tuple[int | None, int, str], Registered] = {}

    def __len__(self) -> int:
        """How many are registered."""
        return len(self._registered)

    def overwrite(self, guild_id: int | None, body: object) -> list[JsonObject]:
        """Replace all commands of a place, as a sync does.

        Raises:
            InvalidForm: a command is malformed.
            NotUnderstood: a field is not known here.
        """
        forms = read_list(Command, body, 130)
        for kind in {form.kind for form in forms}:
            _check_names([form for form in forms if form.kind == kind])
        for index, form in enumerate(forms):
            _check_command(form, (index,))
        before = {key: value for key, value in self._registered.items() if key[0] == guild_id}
        for key in before:
            del self._registered[key]
        return [self._register(guild_id, form, before.get((guild_id, form.kind, form.name))) for form in forms]

    def create(self, guild_id: int | None, body: object) -> tuple[JsonObject, bool]:
        """Add one command or replace that of the same name; the second value says whether it is new.

        Raises:
            InvalidForm: the command is malformed.
            NotUnderstood: a field is not known here.
        """
        form = read_form(Command, body)
        _check_command(form, ())
        before = self._registered.get((guild_id, form.kind, form.name))
        return self._register(guild_id, form, before), before is None

    def _register(self, guild_id: int | None, form: Command, before: Registered | None) -> JsonObject:
        if before is None or before.form != form:
            identity = self._snowflakes.next() if before is None else before.id
            before = Registered(identity, self._snowflakes.next(), guild_id, form)
        self._registered[guild_id, form.kind, form.name] = before
        return self.payload(before)

    def listing(self, guild_id: int | None) -> list[JsonObject]:
        """The commands of a place."""
        return [self.payload(command) for key, command in self._registered.items() if key[0] == guild_id]

    def payload(self, command: Registered) -> JsonObject:
        """A command as Discord describes it."""
        form = command.form
        payload: JsonObject = {
            "id": str(command.id),
            "application_id": str(self._application_id),
            "version": str(command.version),
            "type": form.kind,
            "name": form.name,
            "name_localizations": form.name_localizations,
            "description": form.description or "",
            "description_localizations": form.description_localizations,
            "default_member_permissions": None,
            "dm_permission": form.dm_permission is not False,
            "contexts": form.contexts,
            "integration_types": form.integration_types or [0, 1],
            "nsfw": bool(form.nsfw),
        }
        if form.default_member_permissions is not None:
            payload["default_member_permissions"] = str(form.default_member_permissions)
        if form.options:
            payload["options"] = [option.model_dump(exclude_none=True) for option in form.options]
        if command.guild_id is not None:
            payload["guild_id"] = str(command.guild_id)
        return payload

    def offered(self, place: Place, context: int) -> list[Registered]:
        """The commands of all kinds that Discord shows in a place; `context` is as in :meth:`find`.

        A command of the server hides one for everywhere with the same kind and name.
        """
        offered: dict[tuple[int, str], Registered] = {}
        for guild_id in (None, place.guild_id):
            for key, command in self._registered.items():
                if key[0] == guild_id and _is_offered(command, place.installed, context):
                    offered[key[1:]] = command
        return list(offered.values())

    def find(self, place: Place, context: int, kind: int, name: str, locale: str) -> Registered:
        """The command that a member whose Discord is in this language sees under this name in a place.

        `context` is 0 in a server, 1 in direct messages with the bot and 2 in other private channels.

        Raises:
            InvocationRefused: there is none.
        """
        for command in self.offered(place, context):
            if command.form.kind == kind and is_called(command.form, name, locale):
                return command
        known = sorted({key[2] for key in self._registered if key[1] == kind})
        if name in known:
            raise InvocationRefused(f"the command {name!r} is not offered in context {context} to {place.installed}")
        raise InvocationRefused(f"no command {name!r} is registered; there are {known}")


def _is_offered(command: Registered, installed: Installed, context: int) -> bool:
    """Whether Discord shows a command there: commands of one server come with the bot, others as they say."""
    form = command.form
    types = {0} if command.guild_id is not None else set(form.integration_types or (0, 1))
    ways = {"guild": {0}, "user": {1}, "both": {0, 1}}[installed]
    contexts = {0, 1, 2} if form.contexts is None else set(form.contexts)
    if form.contexts is None and form.dm_permission is False:
        contexts = {0}
    return bool(types & ways) and context in contexts


def _check_names(parts: Sequence[Command | Option]) -> None:
    """Check that the names are unique: those by themselves and, as we conclude, those that each language shows."""
    named: list[tuple[str, Mapping[str, str]]] = [(part.name, part.name_localizations or {}) for part in parts]
    for locale in {"", *(locale for _, localised in named for locale in localised)}:
        if len({localised.get(locale, name) for name, localised in named}) < len(named):
            raise invalid((), "APPLICATION_COMMANDS_DUPLICATE_NAME", "Application command names must be unique")


def _check_lower_case(part: Command | Option, place: tuple[int | str, ...]) -> None:
    for name in (part.name, *(part.name_localizations or {}).values()):
        if name != name.lower():
            raise invalid((*place, "name"), "APPLICATION_COMMAND_INVALID_NAME", "Command name is invalid")


def _characters(part: Command | Option | Choice) -> int:
    """How much a command, or a part of it, counts towards :data:`MAX_CHARACTERS`."""
    count = max(map(len, (part.name, *(part.name_localizations or {}).values())))
    if isinstance(part, Choice):
        return count + len(str(part.value))
    count += max(map(len, (part.description or "", *(part.description_localizations or {}).values())))
    if isinstance(part, Option):
        count += sum(map(_characters, part.choices or []))
    return count + sum(map(_characters, part.options or []))


def _check_command(form: Command, place: tuple[int, ...]) -> None:
    if form.kind == CHAT_INPUT:
        # A lower case name with the pattern of options; menus may be named freely.
        named = {"name": form.name, "name_localizations": form.name_localizations}
        read_form(Option, {"type": 1, "description": form.description or "", **named}, place)
        _check_lower_case(form, place)
    elif form.description or form.options:
        raise invalid(
            (*place, "description"), "APPLICATION_COMMANDS_MENU", "A menu has neither description nor options"
        )
    _check_options(form.options or [], place)
    if _characters(form) > MAX_CHARACTERS:
        raise invalid(place, "APPLICATION_COMMAND_TOO_LARGE", f"Command exceeds maximum size ({MAX_CHARACTERS})")


def _check_options(options: list[Option], place: tuple[int | str, ...]) -> None:
    _check_names(options)
    optional_seen = False
    for index, option in enumerate(options):
        here = (*place, "options", index)
        _check_lower_case(option, here)
        if option.type > SUBCOMMAND_GROUP and option.required and optional_seen:
            raise invalid(
                here,
                "APPLICATION_COMMAND_OPTIONS_REQUIRED_INVALID",
                "Required options must be placed before non-required options",
            )
        optional_seen = optional_seen or not option.required
        if option.file_types is not None and option.type != ATTACHMENT:
            raise invalid((*here, "file_types"), "APPLICATION_COMMAND_FILE_TYPES", "Only attachments have file types")
        if option.autocomplete and option.choices:
            raise invalid(here, "APPLICATION_COMMAND_AUTOCOMPLETE", "An option has either choices or autocomplete")
        _check_options(option.options or [], here)


def command_name(data: JsonObject) -> str:
    """The name of the command that an interaction tells of, with the names of its group and subcommand."""
    inner = [option for option in data.get("options", []) if option["type"] in {SUBCOMMAND, SUBCOMMAND_GROUP}]
    return " ".join([data["name"], *(command_name(option) for option in inner)])


def resolve_path(command: Registered, words: list[str], locale: str) -> tuple[list[Option], list[Option]]:
    """The groups and subcommands that the words after the command's name lead to, and the options found there.

    Raises:
        InvocationRefused: the words lead nowhere, or not far enough.
    """
    path: list[Option] = []
    options = list(command.form.options or [])
    for word in words:
        found = [each for each in options if is_called(each, word, locale) and each.type <= SUBCOMMAND_GROUP]
        if not found:
            raise InvocationRefused(f"{command.form.name!r} has no subcommand {word!r}")
        path.append(found[0])
        options = list(found[0].options or [])
    if any(option.type <= SUBCOMMAND_GROUP for option in options):
        raise InvocationRefused(f"name a subcommand: {[option.name for option in options]}")
    return path, options


def check_value(option: Option, value: object) -> None:
    """Check what a member filled into an option that takes text, a number or a truth value.

    Raises:
        InvocationRefused: the option would not take it.
    """
    kinds: Mapping[int, tuple[type, ...]] = {STRING: (str,), INTEGER: (int,), BOOLEAN: (bool,), NUMBER: (int, float)}
    if option.type not in kinds:
        raise InvocationRefused(f"the local Discord does not know how to fill {option.name!r}, of type {option.type}")
    fits = isinstance(value, kinds[option.type]) and isinstance(value, bool) == (option.type == BOOLEAN)
    if not fits or not isinstance(value, str | int | float):
        raise InvocationRefused(f"{option.name!r} does not take a {type(value).__name__}")
    if option.choices and not option.autocomplete and value not in [choice.value for choice in option.choices]:
        raise InvocationRefused(f"{value!r} is no choice of {option.name!r}: {[c.value for c in option.choices]}")
    if isinstance(value, str):
        _check_range(option.name, len(value), option.min_length, option.max_length)
    elif not isinstance(value, bool):
        _check_range(option.name, value, option.min_value, option.max_value)


def _check_range(name: str, size: float, low: float | None, high: float | None) -> None:
    if (low is not None and size < low) or (high is not None and size > high):
        raise InvocationRefused(f"{name!r} must be between {low} and {high}, not {size}")
