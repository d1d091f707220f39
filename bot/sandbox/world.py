"""Who and what there is: one application, one server, its channels and members, as Discord describes them."""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from bot.sandbox.clock import SandboxClock, Snowflakes, isoformat
from bot.sandbox.errors import JsonObject, unknown_channel

# View, send, send in threads, embed links, attach files, read history, use external emoji, use application commands.
MEMBER_PERMISSIONS = 1 << 10 | 1 << 11 | 1 << 38 | 1 << 14 | 1 << 15 | 1 << 16 | 1 << 18 | 1 << 31
GUILD_TEXT = 0
DIRECT = 1


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
class Channel:
    """A text channel of the server, or the direct messages with one user."""

    id: int
    kind: int
    name: str
    recipient: User | None = None


class World:
    """The people, the server and the channels."""

    def __init__(self, clock: SandboxClock, snowflakes: Snowflakes) -> None:
        """Create the application, a server with its owner, and one channel."""
        self._snowflakes = snowflakes
        self.token = f"local.{secrets.token_urlsafe(32)}"
        self.application_id = snowflakes.next()
        # For applications of today the bot's user has the application's id.
        self.bot = User(self.application_id, "Atelier", is_bot=True)
        self.owner = User(snowflakes.next(), "owner")
        self.guild_id = snowflakes.next()
        self.created_at = isoformat(clock.now())
        self.channels: dict[int, Channel] = {}
        self.channel_id = self._add_channel(GUILD_TEXT, "studio").id
        self.users: dict[int, User] = {self.bot.id: self.bot, self.owner.id: self.owner}

    def _add_channel(self, kind: int, name: str, recipient: User | None = None) -> Channel:
        channel = Channel(self._snowflakes.next(), kind, name, recipient)
        self.channels[channel.id] = channel
        return channel

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
        for channel in self.channels.values():
            if channel.recipient == user:
                return channel
        return self._add_channel(DIRECT, user.name, user)

    def member(self, user: User) -> JsonObject:
        """A membership, without the user."""
        return {
            "roles": [],
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
        if channel.recipient is not None:
            return payload | {"recipients": [channel.recipient.payload()]}
        return payload | {
            "guild_id": str(self.guild_id),
            "name": channel.name,
            "position": 0,
            "permission_overwrites": [],
            "topic": None,
            "nsfw": False,
            "rate_limit_per_user": 0,
            "parent_id": None,
        }

    def guild_payload(self) -> JsonObject:
        """The whole server, as GUILD_CREATE brings it."""
        everyone = {
            "id": str(self.guild_id),
            "name": "@everyone",
            "color": 0,
            "colors": {"primary_color": 0, "secondary_color": None, "tertiary_color": None},
            "hoist": False,
            "icon": None,
            "unicode_emoji": None,
            "position": 0,
            "permissions": str(MEMBER_PERMISSIONS),
            "managed": False,
            "mentionable": False,
            "flags": 0,
        }
        channels = [self.channel_payload(channel) for channel in self.channels.values() if channel.kind == GUILD_TEXT]
        return {
            "id": str(self.guild_id),
            "name": "Local Discord",
            "icon": None,
            "splash": None,
            "owner_id": str(self.owner.id),
            "afk_timeout": 300,
            "verification_level": 0,
            "default_message_notifications": 1,
            "explicit_content_filter": 0,
            "roles": [everyone],
            "emojis": [],
            "stickers": [],
            "features": [],
            "mfa_level": 0,
            "system_channel_flags": 0,
            "preferred_locale": "en-US",
            "premium_tier": 0,
            "nsfw_level": 0,
            "premium_progress_bar_enabled": False,
            "joined_at": self.created_at,
            "large": False,
            "unavailable": False,
            "member_count": len(self.users),
            "members": [self.member(self.bot) | {"user": self.bot.payload()}],
            "channels": channels,
            "threads": [],
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
            "approximate_guild_count": 1,
            "approximate_user_install_count": 0,
            "approximate_user_authorization_count": 0,
            "explicit_content_filter": 0,
            "eligible_oauth2_scopes": [],
            "integration_types_config": {"0": {}, "1": {}},
        }
