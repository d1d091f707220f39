"""What the page and its server say to each other.

The page opens `GET /live`, a web socket. Both sides send JSON objects with a `type`. Identifiers are strings.

**The server sends**

- `welcome`: first, and again when the page acts as another member. `live` names the connection; `me` is a member's id;
  `members` are `{id, name, role, locale, moderator}`; `bot` is `{id, name}`; `guilds` are `{id, name}`; `channels` are
  `{id, type, name, guild, parent, archived}`, those that this member sees, `type` as in Discord; `roles` are
  `{id, name, guild}`; `file_limit` is in bytes; `examples` are `{name, title, role}`, pictures to attach, at
  `GET /examples/NAME`; `starter` is `{label, command, options}`, a command that the page offers to begin with, or null.
- `places`: the `guilds`, `channels` and `roles` of `welcome`, when one was added, or a thread was archived or reopened.
- `message`: `change` is `create`, `update` or `delete`, `message` is the message, or its `id` and `channel_id` where it
  was deleted. A message is Discord's own object. `pings` are the ids of the members whom it notifies, and `command` is
  the name of the command that it answers, or null.
- `done` and `refused`: the end of an action, with the `id` that the page gave it. `refused` has a `reason`, a sentence.

**The page sends** an action: its `type`, an `id` of its choice, and

| `type` | fields | `done` has |
|---|---|---|
| `act_as` | `member` | nothing; a `welcome` comes before |
| `language` | `locale`, such as `de` | nothing |
| `open` | `channel`, `before` (a message's id, optional) | `messages`, oldest first; `more`, whether older ones exist |
| `commands` | `channel` | `commands`: Discord's objects of those that the member may use there |
| `say` | `channel`, `content`, `files` | `message`: its id |
| `delete` | `message` | nothing |
| `dismiss` | `message`: an ephemeral one | nothing; `message` with `delete` comes before |
| `invoke` | `channel`, `command` (with subcommand: `style add`), `options` by name | an answer |
| `autocomplete` | `channel`, `command`, `option`, `text`, `options` | `choices`: `{name, value}` |
| `menu` | `message`, `command` | an answer |
| `press` | `message`, `custom_id` | an answer |
| `choose` | `message`, `custom_id`, `values` | an answer |
| `submit` | `interaction`, `fields` by custom id: text, or a list of values or of files | an answer |

An answer comes when the bot has acknowledged: `interaction` is its id, `modal` is the form that the bot opened, or
null, and `failed` is Discord's sentence where the bot did not answer in time, or null. An option that takes a member
has the member's id. A file is `{"upload": ID}` after `POST /uploads?live=LIVE&filename=NAME&width=W&height=H`, whose
body is the file and whose answer is `{"upload": ID}`, or `{"example": NAME}`. Both may have `spoiler: true`.

The panel beside the chat has more:

| `type` | fields | `done` has |
|---|---|---|
| `watch` | `on` | `entries`, oldest first, and `trouble`: the names of the switches that are on |
| `bodies` | `number`: that of an entry | `body`: what was sent; `answer` |
| `trouble` | `name`, `on` | nothing; a `trouble` comes before |

A page that watches gets `traffic` with each new `entry`: `number`; `at`, in unix seconds; `kind`, which is `request`
for one of the bot's requests, `event` for a frame of the gateway to the bot and `sent` for one from it; and `title`. A
request also has its `status` (null where the connection was cut), `sent_bytes`, `answer_bytes`, the number of its
`files`, and the name of its `fault` or null. Bodies have "…" in place of tokens, keys and signatures.

All pages get `trouble`: `on` are the names of the switches that are on, `file_limit` is in bytes. `slow_answers` makes
each answer to the bot 2 s late; `rate_limits` answers 429 to 30 % of the requests, `server_errors` 500, 502 or 503;
`lost_gateway` drops the gateway and refuses connections; `dead_tokens` expires an interaction's token when the bot uses
it after acknowledging; `small_uploads` allows 256 KB for each file; `no_galleries` refuses edits that upload a file and
show it in a gallery, as Discord does at times.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from bot.sandbox.member import Member
from bot.sandbox.protocol.errors import JsonObject
from bot.sandbox.protocol.permissions import Permission
from bot.sandbox.server import Parts
from bot.sandbox.state.messages import Change, Record
from bot.sandbox.state.world import FORUM, GROUP, Channel, Place, User


@dataclass(frozen=True, slots=True)
class Actor:
    """A member whom the page can act as. `role` says in a few words what they may do."""

    member: Member
    role: str

    @property
    def moderates(self) -> bool:
        """Whether they may delete the messages of others in servers."""
        return bool(self.member.permissions & (Permission.MANAGE_MESSAGES | Permission.ADMINISTRATOR))

    def describe(self) -> JsonObject:
        """The member as the page knows them."""
        return {
            "id": str(self.member.id),
            "name": self.member.name,
            "role": self.role,
            "locale": self.member.locale,
            "moderator": self.moderates,
        }


@dataclass(frozen=True, slots=True)
class Example:
    """A picture that the page offers to attach. `role` is `content` for a photo and `style` for a style picture."""

    name: str
    title: str
    role: str
    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Starter:
    """A command that the page offers to begin with, in one click. `options` are as the action `invoke` has them."""

    label: str
    command: str
    options: JsonObject


_CHANGES: Mapping[Change, str] = {Change.CREATED: "create", Change.EDITED: "update", Change.DELETED: "delete"}


def describe_message(parts: Parts, record: Record) -> JsonObject:
    """A message as the page shows it."""
    invocation = None if record.interaction_id is None else parts.interactions.by_id.get(record.interaction_id)
    return parts.messages.payload(record) | {
        "pings": [str(each) for each in sorted(record.pings)],
        "command": None if invocation is None else invocation.command,
    }


def describe_change(parts: Parts, change: Change, record: Record) -> JsonObject:
    """A change of a message."""
    if change is Change.DELETED:
        message: JsonObject = {"id": str(record.id), "channel_id": str(record.channel_id)}
    else:
        message = describe_message(parts, record)
    return {"type": "message", "change": _CHANGES[change], "message": message}


def describe_places(parts: Parts, user: User) -> JsonObject:
    """The servers with their roles, and the channels that a member sees."""
    world = parts.world
    return {
        "guilds": [{"id": str(guild.id), "name": guild.name} for guild in world.guilds.values()],
        "channels": [_describe_channel(parts, each) for each in world.channels.values() if is_in(each, user)],
        "roles": [
            {"id": role["id"], "name": role["name"], "guild": str(guild.id)}
            for guild in world.guilds.values()
            for role in world.roles(guild)
        ],
    }


def _describe_channel(parts: Parts, channel: Channel) -> JsonObject:
    payload = parts.world.channel_payload(channel)
    return {
        "id": payload["id"],
        "type": channel.kind,
        "name": channel.name if channel.guild_id is not None or channel.kind == GROUP else parts.world.bot.name,
        "guild": payload.get("guild_id"),
        "parent": payload.get("parent_id"),
        "archived": payload.get("thread_metadata", {}).get("archived", False),
    }


def is_in(channel: Channel, user: User) -> bool:
    """Whether a member sees a channel."""
    return channel.guild_id is not None or user in channel.recipients


def sees(parts: Parts, user: User, record: Record) -> bool:
    """Whether a member sees a message."""
    return record.visible_to in {None, user.id} and is_in(parts.world.channel(record.channel_id), user)


def place_of(parts: Parts, channel: Channel) -> Place | None:
    """A channel as the place of a command; None for a forum, which has no messages."""
    if channel.kind == FORUM:
        return None
    visited = channel.kind == GROUP or (channel.guild_id is not None and not parts.world.has_bot(channel))
    return Place(channel.id, channel.guild_id, "user" if visited else "guild")
