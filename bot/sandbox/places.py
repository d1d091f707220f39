"""Where members use the application: servers, channels, threads, direct messages; and what the bot may do there."""

from __future__ import annotations

from collections import Counter

from bot.sandbox.gateway import GUILDS, Gateway
from bot.sandbox.member import Member
from bot.sandbox.protocol.permissions import Permission
from bot.sandbox.state.world import Channel, Installed, Place, World


class Places:
    """The places of a local Discord. Each change of them reaches the bot through the gateway."""

    def __init__(self, world: World, gateway: Gateway) -> None:
        """Work on these."""
        self._world = world
        self._gateway = gateway
        world.on_thread = lambda thread: self._tell("THREAD_UPDATE", thread)

    @property
    def faults(self) -> Counter[str]:
        """How many faults of each kind there have been."""
        raise NotImplementedError

    @property
    def home(self) -> Place:
        """That channel as a place, by the server's installation; the default place of members."""
        return Place(self._world.home.channel_id, self._world.home.id)

    def add_guild(self, name: str = "Elsewhere", *, installed: Installed = "guild", locale: str = "en-US") -> Place:
        """A further server with one channel.

        The bot is a member of it unless `installed` is "user": then its members bring the application along, and the
        bot's own token gets nowhere there. Consecutive servers belong to consecutive shards.
        """
        guild = self._world.add_guild(name, has_bot=installed != "user", locale=locale)
        if guild.has_bot:
            payload = self._world.guild_payload(guild)
            # GUILD_CREATE of an older server has `unavailable: false`; that of a new one lacks the field.
            del payload["unavailable"]
            self._gateway.dispatch("GUILD_CREATE", payload, intent=GUILDS, guild_id=guild.id)
        return Place(guild.channel_id, guild.id, installed)

    def add_channel(self, name: str = "elsewhere", *, place: Place | None = None) -> Place:
        """A further text channel of a server, the first one by default."""
        place = place or self.home
        channel = self._world.add_channel(self._guild_of(place), name)
        self._tell("CHANNEL_CREATE", channel)
        return Place(channel.id, self._guild_of(place), place.installed)

    def add_role(self, name: str, *members: Member, place: Place | None = None) -> int:
        """A new role of a server, the first one by default, which these members have. Returns its id."""
        return self._world.add_role(self._guild_of(place or self.home), name, tuple(member.user for member in members))

    def add_thread(self, name: str = "Thread", *, place: Place | None = None) -> Place:
        """A public thread in the channel of a server, the first one's by default."""
        place = place or self.home
        return self._add_thread(place, self._world.channel(place.channel_id), name)

    def add_post(self, name: str = "Post", *, place: Place | None = None) -> Place:
        """A post in a new forum of a server, the first one by default."""
        place = place or self.home
        forum = self._world.add_forum(self._guild_of(place))
        self._tell("CHANNEL_CREATE", forum)
        return self._add_thread(place, forum, name)

    def _add_thread(self, place: Place, parent: Channel, name: str) -> Place:
        thread = self._world.add_thread(parent, name)
        self._tell("THREAD_CREATE", thread, newly_created=True)
        return Place(thread.id, self._guild_of(place), place.installed)

    def archive_thread(self, place: Place, *, locked: bool = False) -> None:
        """Archive a thread or a post. A new message reopens it, unless it is `locked`."""
        self._world.archive(self._world.channel(place.channel_id), locked=locked)

    def _guild_of(self, place: Place) -> int:
        if place.guild_id is None:
            raise ValueError(f"there are threads only in servers, not in {place}")
        return place.guild_id

    def add_group(self, *members: Member) -> Place:
        """A private channel of some members, who bring the application along; the bot is not in it."""
        return Place(self._world.add_group(tuple(member.user for member in members)).id, None, "user")

    def direct(self, member: Member, *, installed: Installed = "guild") -> Place:
        """The direct messages of a member with the bot."""
        return Place(self._world.direct_channel(member.user).id, None, installed)

    def forbid(self, permissions: Permission, place: Place | None = None) -> None:
        """Take permissions away from the bot in the channel of a server, the first by default, and in its threads.

        The tokens of interactions go on working there.

        Raises:
            ValueError: the bot is not a member there.
        """
        channel = self._bot_channel(place)
        self._forbid(channel, self._world.forbidden(channel) | permissions)
        self.faults["missing_permissions"] += 1

    def permit(self, permissions: Permission, place: Place | None = None) -> None:
        """Restore permissions that were taken away.

        Raises:
            ValueError: the bot is not a member there.
        """
        channel = self._bot_channel(place)
        self._forbid(channel, self._world.forbidden(channel) & ~permissions)

    def _bot_channel(self, place: Place | None) -> Channel:
        channel = self._world.channel((place or self.home).channel_id)
        if channel.guild_id is None or not self._world.has_bot(channel):
            raise ValueError(f"the bot has no permissions in {place}")
        return channel if channel.parent_id is None else self._world.channel(channel.parent_id)

    def _forbid(self, channel: Channel, permissions: Permission) -> None:
        self._world.forbid(channel, permissions)
        self._tell("CHANNEL_UPDATE", channel)

    def _tell(self, event: str, channel: Channel, **more: object) -> None:
        """Tell the bot about a channel, if it sees it."""
        if self._world.sees(channel) or event == "CHANNEL_UPDATE":
            payload = self._world.channel_payload(channel) | more
            self._gateway.dispatch(event, payload, intent=GUILDS, guild_id=channel.guild_id)

    def refuse_direct_messages(self, member: Member, *, refuse: bool = True) -> None:
        """Block the bot's direct messages to a member, or allow them again."""
        self._world.refuse_direct(member.user, refuse=refuse)
        self.faults["refused_direct_messages"] += refuse
