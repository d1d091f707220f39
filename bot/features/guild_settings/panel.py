"""The panel of ``/settings``: a menu for each rule of the server, which applies a choice at once."""

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final, Self, cast, get_args

import discord
from discord import ChannelType, SelectDefaultValue, SelectDefaultValueType, ui

from bot.client.client import Atelier
from bot.client.components import JobComponent
from bot.features.guild_settings import texts
from bot.features.styles import texts as style_texts
from bot.features.styles.suggest import reader_of
from bot.jobs.errors import NotManager
from bot.jobs.rules import GuildRules, Policy
from bot.library.library import Style, reference
from bot.limits import MENU_OPTIONS
from bot.locales import gettext, pgettext
from engine.presets import Quality
from engine.recipe import Recipe

UNSET: Final = "-"
"""The value of the choice that leaves a rule to the bot."""
_DAYS: Final = (1, 2, 3, 5, 10, 15, 20, 30, 50, 100, 200, 500)
"""The numbers of pictures in 24 hours that are offered."""
_SIZES: Final = (256, 384, 512, 768, 1024, 1536, 2048)
"""Pixels."""
_CHANNELS: Final = [
    ChannelType.text,
    ChannelType.news,
    ChannelType.voice,
    ChannelType.stage_voice,
    ChannelType.forum,
]


class RuleMenu(JobComponent[ui.Item[Any]], template=r"settings:(?P<rule>[a-z_]+)"):
    """Changes one rule of the server in which the member chooses, and shows all of them again."""

    def __init__(self, item: ui.Item[Any], rule: str) -> None:
        super().__init__(item)
        self.rule = rule

    @classmethod
    async def from_custom_id(
        cls, interaction: discord.Interaction, item: ui.Item[Any], match: re.Match[str], /
    ) -> Self:
        """Called by discord.py for each choice."""
        return cls(item, match["rule"])

    async def act(self, interaction: discord.Interaction[Atelier]) -> None:
        """Store the choice and show the panel again."""
        chosen = cast(dict[str, Any], interaction.data).get("values", [])
        rules = await apply(interaction, self.rule, chosen)
        await interaction.edit_original_response(view=await panel(interaction, rules))


def managed_guild(interaction: discord.Interaction[Atelier]) -> int:
    """The id of the server of an interaction.

    Raises:
        NotManager: its member can't manage the server.
    """
    if interaction.guild_id is None or not interaction.permissions.manage_guild:
        raise NotManager
    return interaction.guild_id


async def apply(interaction: discord.Interaction[Atelier], rule: str, chosen: Sequence[str]) -> GuildRules:
    """Store what was chosen for a rule of the server of an interaction. Returns all its rules.

    Raises:
        NotManager: the member can't manage the server.
        StyleNotFound: the server has no such style.
    """
    guild_id, services = managed_guild(interaction), interaction.client.services
    value = _value(rule, chosen)
    if rule == "style" and isinstance(value, str):
        value = reference(await services.styles.find(value, replace(reader_of(interaction), own=False)))
    return await services.store.change_guild_rules(guild_id, **{rule: value})


async def panel(interaction: discord.Interaction[Atelier], rules: GuildRules) -> ui.LayoutView:
    """The menus, with what is chosen now. Only limits below the operator's are offered."""
    library, reader = interaction.client.services.styles, replace(reader_of(interaction), own=False)
    styles = await library.search("", reader, MENU_OPTIONS)
    chosen = await library.servers_style(rules.style, reader)
    if chosen is not None and chosen not in styles[: MENU_OPTIONS - 1]:
        styles.insert(0, chosen)
    return _panel(rules, interaction.client.services.policy, styles)


def _panel(rules: GuildRules, policy: Policy, styles: Sequence[Style]) -> ui.LayoutView:
    view = ui.LayoutView(timeout=None)
    view.add_item(ui.TextDisplay(gettext(texts.TITLE)))

    def add(title: str, rule: str, menu: ui.Item[Any]) -> None:
        view.add_item(ui.TextDisplay(gettext(title)))
        view.add_item(ui.ActionRow(RuleMenu(menu, rule)))

    def offer(title: str, rule: str, unset: str, values: Sequence[tuple[object, str]]) -> None:
        now = getattr(rules, rule)
        known = now in [value for value, _ in values]
        options = [discord.SelectOption(label=unset, value=UNSET, default=not known)]
        options += [discord.SelectOption(label=name, value=str(value), default=value == now) for value, name in values]
        add(title, rule, ui.Select(custom_id=f"settings:{rule}", options=options[:MENU_OPTIONS]))

    channels = [SelectDefaultValue(id=each, type=SelectDefaultValueType.channel) for each in rules.channels]
    roles = [SelectDefaultValue(id=each, type=SelectDefaultValueType.role) for each in rules.roles]
    some: dict[str, Any] = {"min_values": 0, "max_values": MENU_OPTIONS}
    add(
        texts.CHANNELS,
        "channels",
        ui.ChannelSelect(
            custom_id="settings:channels",
            placeholder=gettext(texts.ALL_CHANNELS),
            channel_types=_CHANNELS,
            default_values=channels,
            **some,
        ),
    )
    add(
        texts.ROLES,
        "roles",
        ui.RoleSelect(custom_id="settings:roles", placeholder=gettext(texts.ALL_ROLES), default_values=roles, **some),
    )
    fewer = [(number, str(number)) for number in range(1, policy.max_open)]
    offer(texts.MAX_OPEN, "max_open", texts.the_bots_limit(policy.max_open), fewer)
    days = [(number, str(number)) for number in _DAYS if policy.max_per_day is None or number < policy.max_per_day]
    no_limit = gettext(texts.NO_LIMIT) if policy.max_per_day is None else texts.the_bots_limit(policy.max_per_day)
    offer(texts.MAX_PER_DAY, "max_per_day", no_limit, days)
    offer(texts.MAX_SIZE, "max_size", gettext(texts.ANY_SIZE), [(size, texts.pixels(size)) for size in _SIZES])
    qualities = {each: pgettext("quality", each) for each in get_args(Quality)}
    offer(texts.QUALITY, "quality", texts.the_bots_default(qualities["standard"]), list(qualities.items()))
    strengths = [(value, str(value)) for value in range(0, 101, 10)]
    offer(texts.STRENGTH, "strength", texts.the_bots_default(round(Recipe().strength)), strengths)
    named = [(reference(style), style_texts.label(style)) for style in styles]
    title = texts.STYLE if len(named) < MENU_OPTIONS else texts.STYLE_OF_MANY
    offer(title, "style", gettext(texts.NO_STYLE), named)
    offer(texts.SPOILER, "spoiler", gettext(texts.SOME_SPOILERS), [(True, gettext(texts.ALL_SPOILERS))])
    offer(texts.LOCALE, "locale", gettext(texts.EACH_LOCALE), list(texts.LOCALES.items()))
    return view


def _value(rule: str, chosen: Sequence[str]) -> object:
    """The value of a rule for what was chosen in its menu."""
    if rule in {"channels", "roles"}:
        return tuple(int(each) for each in chosen)
    (value,) = chosen
    if rule == "spoiler":
        return value != UNSET
    return None if value == UNSET else value
