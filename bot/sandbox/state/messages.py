"""Messages as a member sees them, and the store that keeps them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass, field, replace
from enum import Enum

from bot.sandbox.cdn import Cdn, StoredFile, clean_filename, guess_content_type
from bot.sandbox.clock import SandboxClock, Snowflakes, isoformat
from bot.sandbox.protocol.body import MAXIMUM_FILES, UploadedFile
from bot.sandbox.protocol.errors import JsonObject, NotUnderstood, empty_message, invalid, unknown_message
from bot.sandbox.state.components import check_rules, walk
from bot.sandbox.state.drafts import COMPONENTS_V2, EPHEMERAL, LOADING, SUPPRESS_EMBEDS, Draft
from bot.sandbox.state.rendering import as_shown, as_taken_in, check_references, refuse_in_galleries, shown_attachments
from bot.sandbox.state.world import User


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file on a message, with its bytes."""

    id: int
    filename: str
    description: str | None
    content_type: str | None
    size: int
    url: str
    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Button:
    """A button as a member sees it; a link has no `custom_id`."""

    label: str | None
    custom_id: str | None
    disabled: bool
    style: int


@dataclass(frozen=True, slots=True)
class Message:
    """One state of a message, as a member sees it. `edited_at` and `created_at` are unix seconds.

    `pings` are the ids of the members whom it notified when it was new, by a mention in its text.
    """

    id: int
    channel_id: int
    author: str
    author_is_bot: bool
    content: str
    flags: int
    ephemeral: bool
    thinking: bool
    deleted: bool
    attachments: tuple[Attachment, ...]
    components: tuple[JsonObject, ...]
    buttons: tuple[Button, ...]
    embeds: tuple[JsonObject, ...]
    created_at: float
    edited_at: float | None
    pings: frozenset[int]


@dataclass(frozen=True, slots=True)
class _Attached:
    file: StoredFile
    description: str | None


@dataclass(slots=True)
class Record:
    """A message as the store keeps it.

    `visible_to` is the only user who sees it, where it is ephemeral; `edits` counts its states after the first, those
    of filling a placeholder among them; `interaction_id` is the interaction that it answers, `replies_to` the message.
    """

    id: int
    channel_id: int
    author: User
    kind: int
    created_at: float
    visible_to: int | None = None
    flags: int = 0
    content: str = ""
    embeds: list[JsonObject] = field(default_factory=list)
    components: list[JsonObject] = field(default_factory=list)
    attached: tuple[_Attached, ...] = ()
    edited_at: float | None = None
    deleted: bool = False
    extra: JsonObject = field(default_factory=dict)
    edits: int = 0
    nonce: str | int | None = None
    interaction_id: int | None = None
    replies_to: int | None = None
    pings: frozenset[int] = frozenset()


class Change(Enum):
    """What happened to a message; the value is the gateway's event."""

    CREATED = "MESSAGE_CREATE"
    EDITED = "MESSAGE_UPDATE"
    DELETED = "MESSAGE_DELETE"


class MessageStore:
    """Keeps the messages of all channels and calls listeners on each change."""

    def __init__(self, clock: SandboxClock, snowflakes: Snowflakes, cdn: Cdn) -> None:
        """Start with no message."""
        self._clock = clock
        self._snowflakes = snowflakes
        self._cdn = cdn
        self._records: dict[int, Record] = {}
        self._by_channel: dict[int, list[int]] = {}
        self._listeners: list[Callable[[Change, Record], None]] = []
        self.refuses_gallery_edits = False
        """Whether an edit may show none of its uploads in a gallery (discord-api-docs, issue 7529)."""

    def on_change(self, listener: Callable[[Change, Record], None]) -> None:
        """Call this after each change of a message."""
        self._listeners.append(listener)

    def find(self, message_id: int | None) -> Record | None:
        """The message of this id, or None where there is none, or no longer."""
        record = None if message_id is None else self._records.get(message_id)
        return None if record is None or record.deleted else record

    def get(self, message_id: int, channel_id: int | None = None) -> Record:
        """The message of this id.

        Raises:
            ApiError: 10008, there is none, or not in this channel.
        """
        record = self.find(message_id)
        if record is None or channel_id not in {None, record.channel_id}:
            raise unknown_message()
        return record

    def in_channel(self, channel_id: int) -> Iterator[Record]:
        """What all members of a channel see, oldest first."""
        return (record for record in self.whole_channel(channel_id) if record.visible_to is None)

    def whole_channel(self, channel_id: int) -> Iterator[Record]:
        """The messages of a channel that are not deleted, oldest first, those for one member alone among them."""
        for message_id in self._by_channel.get(channel_id, ()):
            record = self._records[message_id]
            if not record.deleted:
                yield record

    def everything(self) -> Iterator[Record]:
        """All messages that there ever were, oldest first."""
        yield from self._records.values()

    def create(
        self,
        channel_id: int,
        author: User,
        draft: Draft,
        *,
        kind: int = 0,
        visible_to: User | None = None,
        extra: JsonObject | None = None,
        nonce: str | int | None = None,
        interaction_id: int | None = None,
        replies_to: int | None = None,
    ) -> Record:
        """Add a message; `visible_to` makes it ephemeral, `extra` joins what Discord tells of it.

        Raises:
            InvalidForm: the parts of the message do not go together.
            ApiError: there is nothing in it.
        """
        record = self._new(channel_id, author, kind, visible_to, extra)
        record.nonce, record.interaction_id, record.replies_to = nonce, interaction_id, replies_to
        record.flags |= draft.flags & ~EPHEMERAL
        record.pings = draft.pings
        self._write(record, draft)
        self._keep(record)
        return record

    def create_thinking(
        self,
        channel_id: int,
        author: User,
        *,
        kind: int,
        visible_to: User | None,
        extra: JsonObject,
        interaction_id: int,
    ) -> Record:
        """Add the placeholder of a deferred answer."""
        record = self._new(channel_id, author, kind, visible_to, extra)
        record.interaction_id = interaction_id
        record.flags |= LOADING
        self._keep(record)
        return record

    def _new(
        self, channel_id: int, author: User, kind: int, visible_to: User | None, extra: JsonObject | None
    ) -> Record:
        record = Record(self._snowflakes.next(), channel_id, author, kind, self._clock.now(), extra=extra or {})
        if visible_to is not None:
            record.visible_to = visible_to.id
            record.flags |= EPHEMERAL
        return record

    def _keep(self, record: Record) -> None:
        self._records[record.id] = record
        self._by_channel.setdefault(record.channel_id, []).append(record.id)
        self._tell(Change.CREATED, record)

    def edit(self, record: Record, draft: Draft) -> None:
        """Change what the draft gives, keep the rest; a placeholder becomes a message.

        Raises:
            InvalidForm: the parts of the message do not go together; the message stays as it was.
            ApiError: nothing would be left in it.
        """
        if self.refuses_gallery_edits:
            uploads = {clean_filename(file.filename) for file in draft.files}
            refuse_in_galleries(draft.raw.get("components") or [], uploads)
        edited = replace(record, edits=record.edits + 1)
        suppressed = draft.flags & SUPPRESS_EMBEDS if draft.gives("flags") else record.flags & SUPPRESS_EMBEDS
        # The second version of components can be switched on, never off.
        edited.flags = record.flags & ~LOADING & ~SUPPRESS_EMBEDS | suppressed | draft.flags & COMPONENTS_V2
        self._write(edited, draft)
        # Filling a placeholder does not count as an edit.
        edited.edited_at = None if record.flags & LOADING else self._clock.now()
        self._records[record.id] = edited
        self._tell(Change.EDITED, edited)

    def delete(self, record: Record) -> None:
        """Delete a message and its files."""
        gone = replace(record, deleted=True)
        for attached in record.attached:
            self._cdn.remove(attached.file.id)
        self._records[record.id] = gone
        self._tell(Change.DELETED, gone)

    def _tell(self, change: Change, record: Record) -> None:
        for listener in self._listeners:
            listener(change, record)

    def _write(self, record: Record, draft: Draft) -> None:
        """Write the draft into a record, which nobody sees before all of it has been checked."""
        before = record.attached
        if draft.gives("content"):
            record.content = draft.form.content or ""
        if draft.gives("embeds"):
            record.embeds = deepcopy(draft.raw["embeds"] or [])
        if draft.gives("components"):
            record.components = as_taken_in(draft.raw["components"] or [])
        record.attached = self._attach(record, draft)
        second_version = bool(record.flags & COMPONENTS_V2)
        if second_version and (record.content or record.embeds):
            key = "content" if record.content else "embeds"
            raise invalid(
                (key,),
                "MESSAGE_CANNOT_USE_LEGACY_FIELDS_WITH_COMPONENTS_V2",
                f"The '{key}' field cannot be used when using MessageFlags.IS_COMPONENTS_V2",
            )
        check_rules(record.components, second_version=second_version, place=("components",))
        names = {attached.file.filename for attached in record.attached}
        check_references(record.components, record.embeds, names)
        if not (record.content or record.embeds or record.components or record.attached):
            raise empty_message()
        kept = {attached.file.id for attached in record.attached}
        for attached in before:
            if attached.file.id not in kept:
                self._cdn.remove(attached.file.id)
        for attached in record.attached:
            self._cdn.add(attached.file)

    def _attach(self, record: Record, draft: Draft) -> tuple[_Attached, ...]:
        listed = draft.form.attachments
        if listed is None:
            added = tuple(self._store(record, file, file.filename, None) for file in draft.files)
            return _no_more_than_ten(record.attached + added)
        new = {file.index: file for file in draft.files}
        old = {attached.file.id: attached for attached in record.attached}
        result: list[_Attached] = []
        for index, item in enumerate(listed):
            if item.id in new:
                file = new.pop(item.id)
                result.append(self._store(record, file, item.filename or file.filename, item.description))
            elif item.id in old:
                kept = old[item.id]
                given = "description" in item.model_fields_set
                result.append(replace(kept, description=item.description) if given else kept)
            else:
                raise invalid(
                    ("attachments", index, "id"), "ATTACHMENT_NOT_FOUND", "Neither a file sent along nor one to keep"
                )
        if new:
            raise NotUnderstood(f"what becomes of the sent files {sorted(new)} that attachments does not list")
        return _no_more_than_ten(tuple(result))

    def _store(self, record: Record, file: UploadedFile, filename: str, description: str | None) -> _Attached:
        name = clean_filename(filename)
        stored = StoredFile(self._snowflakes.next(), record.channel_id, name, guess_content_type(name), file.data)
        return _Attached(stored, description)

    def payload(self, record: Record, *, quotes: bool = False) -> JsonObject:
        """The message as Discord describes it; one that another `quotes` does not quote further."""
        attachments = [self._attachment_payload(record, attached) for attached in record.attached]
        components, embeds = as_shown(record.components, record.embeds, attachments)
        shown = shown_attachments(components)
        quoted: JsonObject = {}
        if record.replies_to is not None and not quotes:
            original = self.find(record.replies_to)
            quoted["referenced_message"] = None if original is None else self.payload(original, quotes=True)
        return {
            "id": str(record.id),
            "type": record.kind,
            "channel_id": str(record.channel_id),
            "author": record.author.payload(),
            "content": record.content,
            "embeds": embeds,
            "components": components,
            "attachments": [attachment for attachment in attachments if attachment["id"] not in shown],
            "mentions": [],
            "mention_roles": [],
            "mention_everyone": False,
            "pinned": False,
            "tts": False,
            "flags": record.flags,
            "timestamp": isoformat(record.created_at),
            "edited_timestamp": None if record.edited_at is None else isoformat(record.edited_at),
            **record.extra,
            **quoted,
        }

    def _attachment_payload(self, record: Record, attached: _Attached) -> JsonObject:
        link = self._cdn.link(attached.file)
        payload: JsonObject = {
            "id": str(attached.file.id),
            "filename": attached.file.filename,
            "size": len(attached.file.data),
            "url": link,
            "proxy_url": link,
        }
        if attached.file.content_type is not None:
            payload["content_type"] = attached.file.content_type
        if attached.description is not None:
            payload["description"] = attached.description
        if record.visible_to is not None:
            payload["ephemeral"] = True
        return payload

    def snapshot(self, record: Record) -> Message:
        """The message as a member sees it at this moment."""
        payload = self.payload(record)
        attachments = tuple(
            Attachment(
                attached.file.id,
                attached.file.filename,
                attached.description,
                attached.file.content_type,
                len(attached.file.data),
                self._cdn.link(attached.file),
                attached.file.data,
            )
            for attached in record.attached
        )
        buttons = tuple(
            Button(found.get("label"), found.get("custom_id"), bool(found.get("disabled")), found["style"])
            for found in walk(payload["components"])
            if found["type"] == 2
        )
        return Message(
            id=record.id,
            channel_id=record.channel_id,
            author=record.author.name,
            author_is_bot=record.author.is_bot,
            content=record.content,
            flags=record.flags,
            ephemeral=record.visible_to is not None,
            thinking=bool(record.flags & LOADING),
            deleted=record.deleted,
            attachments=attachments,
            components=tuple(payload["components"]),
            buttons=buttons,
            embeds=tuple(payload["embeds"]),
            created_at=record.created_at,
            edited_at=record.edited_at,
            pings=record.pings,
        )


def _no_more_than_ten(attached: tuple[_Attached, ...]) -> tuple[_Attached, ...]:
    if len(attached) > MAXIMUM_FILES:
        raise invalid(("attachments",), "BASE_TYPE_BAD_LENGTH", f"Must be {MAXIMUM_FILES} or fewer in length.")
    return attached
