"""The components of messages and modals, and the rules between them (Discord documentation: Components, Reference)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal, TypeAlias

from pydantic import Field, Tag

from bot.sandbox.protocol.errors import JsonObject, Place, invalid
from bot.sandbox.protocol.file_types import FileTypes
from bot.sandbox.protocol.forms import Form, Snowflake, by_type, tag

MAXIMUM_ROWS = 5
MAXIMUM_COMPONENTS = 40
MAXIMUM_TEXT = 4000

CustomId = Annotated[str, Field(min_length=1, max_length=100)]
Identity = Annotated[int | None, Field(ge=0, lt=1 << 31)]
MediaDescription = Annotated[str | None, Field(min_length=1, max_length=1024)]


class Emoji(Form):
    """An emoji on a button or an option."""

    id: Snowflake | None = None
    name: str | None = None
    animated: bool | None = None


class Button(Form):
    """Type 2. Style 6, which sells things, is not known here."""

    type: Literal[2]
    id: Identity = None
    style: Literal[1, 2, 3, 4, 5]
    label: Annotated[str | None, Field(max_length=80)] = None
    emoji: Emoji | None = None
    custom_id: CustomId | None = None
    url: Annotated[str | None, Field(max_length=512)] = None
    disabled: bool | None = None


class SelectOption(Form):
    """One choice of a select menu."""

    label: Annotated[str, Field(min_length=1, max_length=100)]
    value: Annotated[str, Field(min_length=1, max_length=100)]
    description: Annotated[str | None, Field(max_length=100)] = None
    emoji: Emoji | None = None
    default: bool | None = None


class StringSelect(Form):
    """Type 3."""

    type: Literal[3]
    id: Identity = None
    custom_id: CustomId
    options: Annotated[list[SelectOption], Field(min_length=1, max_length=25)]
    placeholder: Annotated[str | None, Field(max_length=150)] = None
    min_values: Annotated[int | None, Field(ge=0, le=25)] = None
    max_values: Annotated[int | None, Field(ge=1, le=25)] = None
    disabled: bool | None = None
    required: bool | None = None


class DefaultValue(Form):
    """What is chosen at first in a menu of members, roles or channels."""

    id: Snowflake
    type: Literal["user", "role", "channel"]


class RoleSelect(Form):
    """Type 6. Discord fills in the choices."""

    type: Literal[6]
    id: Identity = None
    custom_id: CustomId
    default_values: Annotated[list[DefaultValue] | None, Field(max_length=25)] = None
    placeholder: Annotated[str | None, Field(max_length=150)] = None
    min_values: Annotated[int | None, Field(ge=0, le=25)] = None
    max_values: Annotated[int | None, Field(ge=1, le=25)] = None
    disabled: bool | None = None
    required: bool | None = None


class UserSelect(RoleSelect):
    """Type 5. Discord fills in the choices."""

    type: Literal[5]  # type: ignore[assignment]


class ChannelSelect(RoleSelect):
    """Type 8. Discord fills in the choices."""

    type: Literal[8]  # type: ignore[assignment]
    channel_types: list[int] | None = None


class ActionRow(Form):
    """Type 1."""

    type: Literal[1]
    id: Identity = None
    components: Annotated[
        list[
            Annotated[
                Annotated[Button, Tag(tag(2))]
                | Annotated[StringSelect, Tag(tag(3))]
                | Annotated[UserSelect, Tag(tag(5))]
                | Annotated[RoleSelect, Tag(tag(6))]
                | Annotated[ChannelSelect, Tag(tag(8))],
                by_type,
            ]
        ],
        Field(min_length=1, max_length=5),
    ]


class TextDisplay(Form):
    """Type 10."""

    type: Literal[10]
    id: Identity = None
    content: Annotated[str, Field(min_length=1, max_length=MAXIMUM_TEXT)]


class Media(Form):
    """A picture or file by its link, or by `attachment://` and its name."""

    url: Annotated[str, Field(max_length=2048, pattern=r"^(https?|attachment)://.+$")]


class ResolvedMedia(Media):
    """The same as Discord gives it back, and as discord.py sends it again when a view is edited."""

    id: Snowflake | None = None
    proxy_url: str | None = None
    width: int | None = None
    height: int | None = None
    content_type: str | None = None
    placeholder: str | None = None
    loading_state: int | None = None
    attachment_id: Snowflake | None = None
    flags: int | None = None


class Thumbnail(Form):
    """Type 11."""

    type: Literal[11]
    id: Identity = None
    media: ResolvedMedia
    description: MediaDescription = None
    spoiler: bool | None = None


class Section(Form):
    """Type 9."""

    type: Literal[9]
    id: Identity = None
    components: Annotated[
        list[Annotated[Annotated[TextDisplay, Tag(tag(10))], by_type]], Field(min_length=1, max_length=3)
    ]
    accessory: Annotated[Annotated[Button, Tag(tag(2))] | Annotated[Thumbnail, Tag(tag(11))], by_type]


class GalleryItem(Form):
    """One picture of a gallery."""

    media: ResolvedMedia
    description: MediaDescription = None
    spoiler: bool | None = None


class MediaGallery(Form):
    """Type 12."""

    type: Literal[12]
    id: Identity = None
    items: Annotated[list[GalleryItem], Field(min_length=1, max_length=10)]


class FileDisplay(Form):
    """Type 13."""

    type: Literal[13]
    id: Identity = None
    file: ResolvedMedia
    spoiler: bool | None = None
    name: str | None = None
    size: int | None = None


class Separator(Form):
    """Type 14."""

    type: Literal[14]
    id: Identity = None
    divider: bool | None = None
    spacing: Literal[1, 2] | None = None


_InContainer: TypeAlias = (
    Annotated[ActionRow, Tag(tag(1))]
    | Annotated[Section, Tag(tag(9))]
    | Annotated[TextDisplay, Tag(tag(10))]
    | Annotated[MediaGallery, Tag(tag(12))]
    | Annotated[FileDisplay, Tag(tag(13))]
    | Annotated[Separator, Tag(tag(14))]
)


class Container(Form):
    """Type 17."""

    type: Literal[17]
    id: Identity = None
    accent_color: Annotated[int | None, Field(ge=0, le=0xFFFFFF)] = None
    spoiler: bool | None = None
    components: Annotated[list[Annotated[_InContainer, by_type]], Field(min_length=1, max_length=40)]


MessageComponent: TypeAlias = Annotated[_InContainer | Annotated[Container, Tag(tag(17))], by_type]


class TextInput(Form):
    """Type 4."""

    type: Literal[4]
    id: Identity = None
    custom_id: CustomId
    style: Literal[1, 2]
    label: Annotated[str | None, Field(min_length=1, max_length=45)] = None
    value: Annotated[str | None, Field(max_length=4000)] = None
    placeholder: Annotated[str | None, Field(max_length=100)] = None
    required: bool | None = None
    min_length: Annotated[int | None, Field(ge=0, le=4000)] = None
    max_length: Annotated[int | None, Field(ge=1, le=4000)] = None


class FileUpload(Form):
    """Type 19."""

    type: Literal[19]
    id: Identity = None
    custom_id: CustomId
    min_values: Annotated[int | None, Field(ge=0, le=10)] = None
    max_values: Annotated[int | None, Field(ge=1, le=10)] = None
    required: bool | None = None
    file_types: FileTypes | None = None


class Label(Form):
    """Type 18."""

    type: Literal[18]
    id: Identity = None
    label: Annotated[str, Field(min_length=1, max_length=45)]
    description: Annotated[str | None, Field(min_length=1, max_length=100)] = None
    component: Annotated[
        Annotated[StringSelect, Tag(tag(3))] | Annotated[TextInput, Tag(tag(4))] | Annotated[FileUpload, Tag(tag(19))],
        by_type,
    ]


class TextInputRow(Form):
    """Type 1 in a modal: the older way to hold one text input."""

    type: Literal[1]
    id: Identity = None
    components: Annotated[
        list[Annotated[Annotated[TextInput, Tag(tag(4))], by_type]], Field(min_length=1, max_length=1)
    ]


class Modal(Form):
    """The data of a callback of type 9."""

    custom_id: CustomId
    title: Annotated[str, Field(min_length=1, max_length=45)]
    components: Annotated[
        list[
            Annotated[
                Annotated[TextInputRow, Tag(tag(1))]
                | Annotated[TextDisplay, Tag(tag(10))]
                | Annotated[Label, Tag(tag(18))],
                by_type,
            ]
        ],
        Field(min_length=1, max_length=5),
    ]


def walk(components: list[JsonObject]) -> Iterator[JsonObject]:
    """Each component, outer before inner."""
    for component in components:
        yield component
        yield from walk(component.get("components") or [])
        inner = [component[key] for key in ("accessory", "component") if component.get(key)]
        yield from walk(inner)


def check_rules(components: list[JsonObject], *, second_version: bool, place: Place) -> None:
    """Check the rules across components: counts, combinations and duplicate names.

    `second_version` says whether the message carries the flag IS_COMPONENTS_V2.

    Raises:
        InvalidForm: a rule is broken.
    """
    if not second_version:
        _check_rows_only(components, place)
    everything = list(walk(components))
    if len(everything) > MAXIMUM_COMPONENTS:
        raise invalid(
            place, "COMPONENT_MAX_TOTAL_COMPONENTS_EXCEEDED", f"Must have {MAXIMUM_COMPONENTS} or fewer components."
        )
    if sum(len(component["content"]) for component in everything if component["type"] == 10) > MAXIMUM_TEXT:
        raise invalid(
            place, "COMPONENT_DISPLAYABLE_TEXT_SIZE_EXCEEDED", f"Must be {MAXIMUM_TEXT} or fewer in length in all."
        )
    names = [component["custom_id"] for component in everything if component.get("custom_id")]
    if len(set(names)) < len(names):
        raise invalid(place, "COMPONENT_CUSTOM_ID_DUPLICATED", "Component custom id cannot be duplicated")
    for component in everything:
        row = component["components"] if component["type"] == 1 else []
        if len(row) > 1 and any(inner["type"] != 2 for inner in row):
            raise invalid(place, "COMPONENT_LAYOUT_WIDTH_EXCEEDED", "A select menu fills its row.")
        if component["type"] == 2:
            _check_button(component, place)


def _check_rows_only(components: list[JsonObject], place: Place) -> None:
    for index, component in enumerate(components):
        if component["type"] != 1:
            raise invalid((*place, index, "type"), "UNION_TYPE_CHOICES", 'Value of field "type" must be one of (1,).')
    if len(components) > MAXIMUM_ROWS:
        raise invalid(place, "BASE_TYPE_BAD_LENGTH", f"Must be {MAXIMUM_ROWS} or fewer in length.")


def _check_button(button: JsonObject, place: Place) -> None:
    is_link = button["style"] == 5
    if is_link != bool(button.get("url")) or is_link == bool(button.get("custom_id")):
        raise invalid(
            place, "BUTTON_COMPONENT_INVALID", "A link needs a url alone, any other button a custom id alone."
        )
    if not button.get("label") and not button.get("emoji"):
        raise invalid(place, "BUTTON_COMPONENT_INVALID", "A button needs a label or an emoji.")
