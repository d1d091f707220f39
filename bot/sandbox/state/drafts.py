"""The form of a message that the bot writes, with its limits (Discord documentation: Message, Create Message)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Literal, TypeVar

from pydantic import Field

from bot.sandbox.protocol.body import UploadedFile
from bot.sandbox.protocol.errors import JsonObject, NotUnderstood, Place, invalid
from bot.sandbox.protocol.forms import Form, Snowflake, read_form
from bot.sandbox.state.components import MessageComponent

SUPPRESS_EMBEDS = 1 << 2
EPHEMERAL = 1 << 6
LOADING = 1 << 7
SUPPRESS_NOTIFICATIONS = 1 << 12
COMPONENTS_V2 = 1 << 15

MAXIMUM_CONTENT = 2000
MAXIMUM_EMBEDS = 6000


class AllowedMentions(Form):
    """Whom a message may ping."""

    parse: list[Literal["roles", "users", "everyone"]] | None = None
    users: Annotated[list[Snowflake] | None, Field(max_length=100)] = None
    roles: Annotated[list[Snowflake] | None, Field(max_length=100)] = None
    replied_user: bool | None = None


class ListedAttachment(Form):
    """An attachment to keep, by its id, or a file to add, by its index.

    The fields after `description` are not for the bot to change, but discord.py sends them along.
    """

    id: Snowflake
    filename: Annotated[str | None, Field(min_length=1, max_length=1024)] = None
    description: Annotated[str | None, Field(max_length=1024)] = None
    url: str | None = None
    proxy_url: str | None = None
    size: int | None = None
    width: int | None = None
    height: int | None = None
    content_type: str | None = None
    spoiler: bool | None = None


class EmbedMedia(Form):
    """A picture of an embed."""

    url: Annotated[str, Field(max_length=2048, pattern=r"^(https?|attachment)://.+$")]
    proxy_url: str | None = None
    width: int | None = None
    height: int | None = None
    content_type: str | None = None
    flags: int | None = None


class EmbedFooter(Form):
    """The last line of an embed."""

    text: Annotated[str, Field(max_length=2048)]
    icon_url: str | None = None
    proxy_icon_url: str | None = None


class EmbedAuthor(Form):
    """The first line of an embed."""

    name: Annotated[str, Field(max_length=256)]
    url: str | None = None
    icon_url: str | None = None
    proxy_icon_url: str | None = None


class EmbedField(Form):
    """A name and a value in an embed."""

    name: Annotated[str, Field(min_length=1, max_length=256)]
    value: Annotated[str, Field(min_length=1, max_length=1024)]
    inline: bool | None = None


class Embed(Form):
    """A framed block of text and pictures."""

    type: Literal["rich"] | None = None
    title: Annotated[str | None, Field(max_length=256)] = None
    description: Annotated[str | None, Field(max_length=4096)] = None
    url: Annotated[str | None, Field(max_length=2048)] = None
    color: Annotated[int | None, Field(ge=0, le=0xFFFFFF)] = None
    timestamp: str | None = None
    author: EmbedAuthor | None = None
    footer: EmbedFooter | None = None
    image: EmbedMedia | None = None
    thumbnail: EmbedMedia | None = None
    fields: Annotated[list[EmbedField] | None, Field(max_length=25)] = None
    flags: int | None = None

    def characters(self) -> int:
        """How much of the limit on all embeds of a message this one uses."""
        texts = [self.title, self.description, self.footer and self.footer.text, self.author and self.author.name]
        for field in self.fields or []:
            texts += [field.name, field.value]
        return sum(len(text) for text in texts if text)


class MessageForm(Form):
    """The fields common to everything that writes a message."""

    content: Annotated[str | None, Field(max_length=MAXIMUM_CONTENT)] = None
    embeds: Annotated[list[Embed] | None, Field(max_length=10)] = None
    components: Annotated[list[MessageComponent] | None, Field(max_length=40)] = None
    attachments: Annotated[list[ListedAttachment] | None, Field(max_length=10)] = None
    allowed_mentions: AllowedMentions | None = None
    flags: Annotated[int | None, Field(ge=0)] = None
    tts: Literal[False] | None = None


class MessageReference(Form):
    """The message that a channel message replies to."""

    type: Literal[0] | None = None
    message_id: Snowflake
    channel_id: Snowflake | None = None
    guild_id: Snowflake | None = None
    fail_if_not_exists: bool | None = None


class ChannelMessageForm(MessageForm):
    """A message sent with the bot's own token."""

    nonce: Annotated[str, Field(max_length=25)] | Annotated[int, Field(ge=-(1 << 63), lt=1 << 63)] | None = None
    enforce_nonce: bool | None = None
    message_reference: MessageReference | None = None


_MENTION = re.compile(r"<@!?([0-9]+)>")

DraftForm = TypeVar("DraftForm", bound=MessageForm)


@dataclass(frozen=True, slots=True)
class Draft:
    """A validated message of the bot, with the raw JSON of the parts that are returned unchanged."""

    form: MessageForm
    raw: JsonObject
    files: tuple[UploadedFile, ...] = ()

    @property
    def flags(self) -> int:
        """The flags asked for."""
        return self.form.flags or 0

    @property
    def pings(self) -> frozenset[int]:
        """The members whom its text mentions and who are notified when it is new. Roles and replies are left out."""
        mentioned = {int(each) for each in _MENTION.findall(self.form.content or "")}
        allowed = self.form.allowed_mentions
        if allowed is None or "users" in (allowed.parse or ()):
            return frozenset(mentioned)
        return frozenset(mentioned & {int(each) for each in allowed.users or ()})

    def gives(self, field: str) -> bool:
        """Whether the bot sent this field at all; null counts."""
        return field in self.form.model_fields_set


def read_draft(
    form: type[MessageForm], body: object, files: tuple[UploadedFile, ...], *, flags: int, place: Place = ()
) -> Draft:
    """Validate what the bot wrote; `flags` are those it may set here.

    Raises:
        InvalidForm: something is too long or wrong.
        NotUnderstood: something is not known here.
    """
    read = read_form(form, {} if body is None else body, place)
    unknown = (read.flags or 0) & ~flags
    if unknown:
        raise NotUnderstood(f"the message flags {unknown:#x} in this place")
    if sum(embed.characters() for embed in read.embeds or []) > MAXIMUM_EMBEDS:
        raise invalid(
            (*place, "embeds"),
            "MAX_EMBED_SIZE_EXCEEDED",
            f"Embed size exceeds maximum size of {MAXIMUM_EMBEDS}",
        )
    if "attachments" in read.model_fields_set and read.attachments is None:
        raise NotUnderstood("attachments: null")
    return Draft(read, body if isinstance(body, dict) else {}, files)
