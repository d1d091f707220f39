"""The application, its servers, their channels and members, as Discord describes them."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from bot.sandbox.clock import SandboxClock, Snowflakes, isoformat
from bot.sandbox.protocol.errors import JsonObject, archived_thread, unknown_channel
from bot.sandbox.protocol.permissions import MEMBER_PERMISSIONS, VISITOR_PERMISSIONS, Permission

GUILD_TEXT = 0
DIRECT = 1
GROUP = 3
PUBLIC_THREAD = 11
FORUM = 15

Installed = Literal["guild", "user", "both"]
"""How the application was installed where a member uses it: in the server, by the member, or both."""


@dataclass(frozen=True, slots=True)
class User:
    """A person, or the bot."""

    id: int
    name: str
    is_bot: bool = False

    def payload(self) -> JsonObject:
        """The user as Discord describes one."""
        return {
            "id": str(self.id),
            "username": self.name,
            "discriminator": "0000" if self.is_bot else "0",
            "global_name": None if self.is_bot else self.name,
            "avatar": None,
            "bot": self.is_bot,
            "public_flags": 0,
            "flags": 0,
            "primary_guild": None,
        }


@dataclass(frozen=True, slots=True)
class Guild:
    """A server with a text channel. `has_bot` is whether the bot is a member of it."""

    id: int
    name: str
    channel_id: int
    has_bot: bool
    locale: str = "en-US"


@dataclass(frozen=True, slots=True)
class Channel:
    """A channel, forum or thread of a server, the direct messages of the bot with one user, or a group of users.

    `parent_id` is the channel that a thread belongs to, or the forum of a post.
    """

    id: int
    kind: int
    name: str
    guild_id: int | None = None
    recipients: tuple[User, ...] = ()
    parent_id: int | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """Where a member uses the application, and by which installation; `guild_id` is None outside of servers."""

    channel_id: int
    guild_id: int | None = None
    installed: Installed = "guild"

    def owners(self, user: User) -> dict[str, str]:
        """Whose installation lets this user use the application: servers "0", users "1" (Discord: Interaction object).

        In direct messages with the bot the server that added it is "0".
        """
        owners: dict[str, str] = {}
        if self.installed != "user":
            owners["0"] = str(self.guild_id or 0)
        if self.installed != "guild":
            owners["1"] = str(user.id)
        return owners


class World:
    """The people, the servers and the channels."""

    def __init__(self, clock: SandboxClock, snowflakes: Snowflakes) -> None:
        """Create the application and a server with its owner."""
        self._snowflakes = snowflakes
        self.token = f"local.{secrets.token_urlsafe(32)}"
        self.application_id = snowflakes.next()
        # For applications of today the bot's user has the application's id.
        self.bot = User(self.application_id, "Atelier", is_bot=True)
        self.owner = User(snowflakes.next(), "owner")
        self.created_at = isoformat(clock.now())
        self.users: dict[int, User] = {self.bot.id: self.bot, self.owner.id: self.owner}
        self.guilds: dict[int, Guild] = {}
        self.channels: dict[int, Channel] = {}
        self._direct: dict[int, Channel] = {}
        self._forbidden: dict[int, Permission] = {}
        self._refusing: set[int] = set()
        self._roles: dict[int, tuple[int, str, set[int]]] = {}
        """The server, the name and the members of each role, by its id."""
        self._archived: dict[int, bool] = {}
        """The archived threads, and whether each is locked."""
        self.on_thread: Callable[[Channel], None] = lambda thread: None
        """Called when a thread was archived or reopened."""
        self._watchers: list[Callable[[], None]] = []
        self.home = self.add_guild("Local Discord", has_bot=True)

    def on_change(self, callback: Callable[[], None]) -> None:
        """Call this when servers, channels or roles were added, and when threads were archived or reopened."""
        self._watchers.append(callback)

    def _changed(self) -> None:
        for callback in self._watchers:
            callback()

    def add_guild(self, name: str, *, has_bot: bool, locale: str = "en-US") -> Guild:
        """A new server with one channel, of the bot's if it `has_bot`.

        The servers' identifiers are a millisecond apart, so that any number of shards get them by turns.
        """
        first = next(iter(self.guilds), None)
        # The bit keeps clear of the identifiers that are made of the time, which count from 0 in each millisecond.
        guild_id = self._snowflakes.next() if first is None else first + (len(self.guilds) << 22 | 1 << 21)
        channel = self._add_channel(GUILD_TEXT, "studio", guild_id=guild_id)
        guild = self.guilds[guild_id] = Guild(guild_id, name, channel.id, has_bot, locale)
        return guild

    def add_group(self, members: tuple[User, ...]) -> Channel:
        """A private channel of some users without the bot."""
        return self._add_channel(GROUP, "group", recipients=members)

    def add_channel(self, guild_id: int, name: str) -> Channel:
        """A further text channel of a server."""
        return self._add_channel(GUILD_TEXT, name, guild_id=guild_id)

    def add_forum(self, guild_id: int) -> Channel:
        """A forum of a server. Only its posts, which are threads, have messages."""
        return self._add_channel(FORUM, "forum", guild_id=guild_id)

    def add_thread(self, parent: Channel, name: str) -> Channel:
        """A public thread of a channel, or a post of a forum."""
        return self._add_channel(PUBLIC_THREAD, name, guild_id=parent.guild_id, parent_id=parent.id)

    def archive(self, thread: Channel, *, locked: bool) -> None:
        """Archive a thread. A new message reopens it, unless it is `locked`."""
        self._archived[thread.id] = locked
        self.on_thread(thread)
        self._changed()

    def write(self, channel: Channel, *, new: bool) -> None:
        """Make a channel ready for a `new` message, or for an edit: a new message reopens an archived thread.

        Raises:
            ApiError: 50083, the thread is archived and remains so.
        """
        locked = self._archived.get(channel.id)
        if locked is None:
            return
        if locked or not new:
            raise archived_thread()
        del self._archived[channel.id]
        self.on_thread(channel)
        self._changed()

    def _add_channel(
        self,
        kind: int,
        name: str,
        *,
        guild_id: int | None = None,
        recipients: tuple[User, ...] = (),
        parent_id: int | None = None,
    ) -> Channel:
        channel = Channel(self._snowflakes.next(), kind, name, guild_id, recipients, parent_id)
        self.channels[channel.id] = channel
        self._changed()
        return channel

    @property
    def bot_guilds(self) -> list[Guild]:
        """The servers of which the bot is a member."""
        return [guild for guild in self.guilds.values() if guild.has_bot]

    def has_bot(self, channel: Channel) -> bool:
        """Whether the bot is in a channel, or a visitor who only answers to interactions."""
        return channel.kind == DIRECT or (channel.guild_id is not None and self.guilds[channel.guild_id].has_bot)

    def permissions(self, channel: Channel) -> Permission:
        """What the bot may do in a channel."""
        if channel.guild_id is not None and self.has_bot(channel):
            denied = self.forbidden(channel)
            if channel.parent_id is not None:
                denied |= self.forbidden(self.channels[channel.parent_id])
            return MEMBER_PERMISSIONS & ~denied
        if channel.kind == DIRECT:
            return VISITOR_PERMISSIONS | Permission.USE_EXTERNAL_EMOJIS
        return VISITOR_PERMISSIONS

    def sees(self, channel: Channel) -> bool:
        """Whether the bot is in a channel and sees what is in it."""
        if channel.guild_id is None:
            return self.has_bot(channel)
        return self.has_bot(channel) and Permission.VIEW_CHANNEL in self.permissions(channel)

    def forbid(self, channel: Channel, permissions: Permission) -> None:
        """Let the bot do everything in a channel of a server but this."""
        self._forbidden[channel.id] = permissions

    def forbidden(self, channel: Channel) -> Permission:
        """What the bot may not do in a channel though others may."""
        return self._forbidden.get(channel.id, Permission(0))

    def refuse_direct(self, user: User, *, refuse: bool) -> None:
        """Block direct messages to a user, or allow them again."""
        (self._refusing.add if refuse else self._refusing.discard)(user.id)

    def refuses_direct(self, channel: Channel) -> bool:
        """Whether these are the direct messages of a user who takes none."""
        return channel.kind == DIRECT and channel.recipients[0].id in self._refusing

    def add_user(self, name: str) -> User:
        """A new member of the server."""
        user = User(self._snowflakes.next(), name)
        self.users[user.id] = user
        return user

    def channel(self, channel_id: int) -> Channel:
        """The channel of this id.

        Raises:
            ApiError: 10003, there is none.
        """
        if channel_id not in self.channels:
            raise unknown_channel()
        return self.channels[channel_id]

    def direct_channel(self, user: User) -> Channel:
        """The direct messages between the bot and a user, opened if need be."""
        if user.id not in self._direct:
            self._direct[user.id] = self._add_channel(DIRECT, user.name, recipients=(user,))
        return self._direct[user.id]

    def member(self, user: User) -> JsonObject:
        """A membership, without the user."""
        return {
            "roles": [str(role) for role, (_, _, members) in self._roles.items() if user.id in members],
            "joined_at": self.created_at,
            "deaf": False,
            "mute": False,
            "flags": 0,
            "nick": None,
            "avatar": None,
            "pending": False,
            "premium_since": None,
            "communication_disabled_until": None,
        }

    def channel_payload(self, channel: Channel) -> JsonObject:
        """A channel as Discord describes it."""
        payload: JsonObject = {"id": str(channel.id), "type": channel.kind, "last_message_id": None, "flags": 0}
        if channel.guild_id is None:
            payload["recipients"] = [user.payload() for user in channel.recipients]
            group = {"name": channel.name, "icon": None, "owner_id": payload["recipients"][0]["id"]}
            return payload | (group if channel.kind == GROUP else {})
        payload |= {"guild_id": str(channel.guild_id), "name": channel.name, "rate_limit_per_user": 0}
        if channel.parent_id is not None:
            archived = channel.id in self._archived
            return payload | {
                "parent_id": str(channel.parent_id),
                "owner_id": str(self.owner.id),
                "message_count": 0,
                "member_count": 1,
                "total_message_sent": 0,
                "thread_metadata": {
                    "archived": archived,
                    "locked": self._archived.get(channel.id, False),
                    "auto_archive_duration": 1440,
                    "archive_timestamp": self.created_at,
                    "create_timestamp": self.created_at,
                },
            }
        denied = self.forbidden(channel)
        overwrite = {"id": str(self.bot.id), "type": 1, "allow": "0", "deny": str(int(denied))}
        return payload | {
            "position": 0,
            "permission_overwrites": [overwrite] if denied else [],
            "topic": None,
            "nsfw": False,
            "parent_id": None,
        }

    def add_role(self, guild_id: int, name: str, users: tuple[User, ...]) -> int:
        """A new role of a server, which these users have."""
        role = self._snowflakes.next()
        self._roles[role] = (guild_id, name, {user.id for user in users})
        self._changed()
        return role

    def roles(self, guild: Guild) -> list[JsonObject]:
        """All roles of a server. Everyone has the first one, which has the server's id."""
        own = [(role, name) for role, (guild_id, name, _) in self._roles.items() if guild_id == guild.id]
        return [_role(role, name, position) for position, (role, name) in enumerate([(guild.id, "@everyone"), *own])]

    def guild_payload(self, guild: Guild) -> JsonObject:
        """The whole server, as GUILD_CREATE brings it."""
        channels = [channel for channel in self.channels.values() if channel.guild_id == guild.id]
        threads = [each for each in channels if each.parent_id is not None and each.id not in self._archived]
        return {
            "id": str(guild.id),
            "name": guild.name,
            "icon": None,
            "splash": None,
            "owner_id": str(self.owner.id),
            "afk_timeout": 300,
            "verification_level": 0,
            "default_message_notifications": 1,
            "explicit_content_filter": 0,
            "roles": self.roles(guild),
            "emojis": [],
            "stickers": [],
            "features": [],
            "mfa_level": 0,
            "system_channel_flags": 0,
            "preferred_locale": guild.locale,
            "premium_tier": 0,
            "nsfw_level": 0,
            "premium_progress_bar_enabled": False,
            "joined_at": self.created_at,
            "large": False,
            "unavailable": False,
            "member_count": len(self.users),
            "members": [self.member(self.bot) | {"user": self.bot.payload()}],
            "channels": [self.channel_payload(channel) for channel in channels if channel.parent_id is None],
            "threads": [self.channel_payload(thread) for thread in threads],
            "presences": [],
            "voice_states": [],
            "stage_instances": [],
            "guild_scheduled_events": [],
            "soundboard_sounds": [],
        }

    def application_payload(self) -> JsonObject:
        """The application, as its owner sees it."""
        return {
            "id": str(self.application_id),
            "name": "Atelier",
            "icon": None,
            "description": "",
            "bot_public": True,
            "bot_require_code_grant": False,
            "verify_key": "0" * 64,
            "owner": self.owner.payload(),
            "team": None,
            "type": None,
            "flags": 0,
            "flags_new": "0",
            "redirect_uris": [],
            "interactions_endpoint_url": None,
            "role_connections_verification_url": None,
            "approximate_guild_count": len(self.bot_guilds),
            "approximate_user_install_count": 0,
            "approximate_user_authorization_count": 0,
            "explicit_content_filter": 0,
            "eligible_oauth2_scopes": [],
            "integration_types_config": {"0": {}, "1": {}},
        }


def _role(role: int, name: str, position: int) -> JsonObject:
    return {
        "id": str(role),
        "name": name,
        "color": 0,
        "colors": {"primary_color": 0, "secondary_color": None, "tertiary_color": None},
        "hoist": False,
        "icon": None,
        "unicode_emoji": None,
        "position": position,
        "permissions": str(int(MEMBER_PERMISSIONS)),
        "managed": False,
        "mentionable": False,
        "flags": 0,
    }
