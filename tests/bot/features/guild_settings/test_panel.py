"""``/settings``: the panel, who can use it, and what a choice changes."""

import pytest

from bot.client.client import Atelier
from bot.client.services import Services
from bot.jobs.database.styles import Library
from bot.jobs.rules import NO_RULES, GuildRules
from bot.library.built_in import BUILT_IN
from bot.library.library import reference
from bot.sandbox import InvocationRefused, LocalDiscord, Message, Permission
from bot.sandbox.member import Member, OptionValue
from tests.bot.conftest import CONTENT, STYLE, is_private_answer, photo
from tests.doubles.jobs import FakeJobs


@pytest.fixture
def manager(discord: LocalDiscord, client: Atelier) -> Member:
    """Ada, who can manage the server."""
    ada = discord.member("Ada")
    ada.permissions |= Permission.MANAGE_GUILD
    return ada


async def panel(manager: Member) -> Message:
    """The panel."""
    return await (await manager.invoke("settings")).wait_until(lambda message: bool(message.components))


async def choose(manager: Member, message: Message, rule: str, *values: object) -> Message:
    """Choose, and return the updated panel."""
    invocation = await manager.choose(message, f"settings:{rule}", *map(str, values))
    return await invocation.wait_until(lambda shown: shown.id == message.id)


def chosen(message: Message, rule: str) -> list[str]:
    """What the panel shows as chosen."""
    for row in message.components:
        for menu in row.get("components", []):
            if menu["custom_id"] == f"settings:{rule}":
                options = [option["value"] for option in menu.get("options", []) if option.get("default")]
                return options or [each["id"] for each in menu.get("default_values", [])]
    raise AssertionError(f"no menu {rule}")


async def test_each_choice_is_stored_at_once_and_shown(
    discord: LocalDiscord, manager: Member, services: Services
) -> None:
    forum = discord.add_channel("pictures")
    role = discord.add_role("painters", discord.member("Bob"))
    message = await panel(manager)
    assert message.ephemeral
    for rule in ("max_open", "max_per_day", "max_size", "quality", "strength", "style", "spoiler"):
        assert chosen(message, rule) == ["-"]
    choices: dict[str, list[object]] = {
        "channels": [discord.channel_id, forum.channel_id],
        "roles": [role],
        "max_open": [2],
        "max_per_day": [5],
        "max_size": [384],
        "locale": ["ja"],
        "quality": ["quick"],
        "strength": [80],
        "style": [reference(BUILT_IN[3])],
        "spoiler": [True],
    }
    for rule, values in choices.items():
        for _ in range(2):  # a second press changes nothing
            message = await choose(manager, message, rule, *values)
        assert sorted(chosen(message, rule)) == sorted(map(str, values))
    assert await services.store.guild_rules(discord.guild_id) == GuildRules(
        channels=(discord.channel_id, forum.channel_id),
        roles=(role,),
        max_open=2,
        max_per_day=5,
        max_size=384,
        locale="ja",
        quality="quick",
        strength=80,
        style=reference(BUILT_IN[3]),
        spoiler=True,
    )
    again = await panel(manager)
    assert chosen(again, "max_per_day") == ["5"]
    for rule in choices:
        message = await choose(manager, message, rule, *([] if rule in {"channels", "roles"} else ["-"]))
    assert await services.store.guild_rules(discord.guild_id) == NO_RULES


async def test_the_panel_offers_nothing_above_the_operators_limits(manager: Member, services: Services) -> None:
    message = await panel(manager)
    menus = {menu["custom_id"]: menu for row in message.components for menu in row.get("components", [])}
    offered = {name: [option["label"] for option in menu.get("options", [])] for name, menu in menus.items()}
    assert offered["settings:max_open"] == ["The bot's limit: 3", "1", "2"]
    assert offered["settings:max_per_day"] == ["The bot's limit: 20", "1", "2", "3", "5", "10", "15"]


async def test_the_servers_style_is_used_where_a_member_gives_none_until_it_is_removed(
    discord: LocalDiscord, manager: Member, services: Services, fake_jobs: FakeJobs
) -> None:
    ours = await services.styles.add(Library("server", discord.guild_id), "Our glass", STYLE.data, manager.id)
    own = await services.styles.add(Library("member", manager.id), "Hers", photo((40, 40)), manager.id)
    typed = await manager.autocomplete("settings", "style", "s")
    await typed.acknowledged()
    suggested = [choice["value"] for choice in typed.choices]
    assert reference(ours) in suggested
    assert reference(own) not in suggested
    refused = await (await manager.invoke("settings", style=reference(own))).wait_until(is_private_answer)
    assert "doesn't exist any more" in refused.content
    invocation = await manager.invoke("settings", style="our GLASS")
    message = await invocation.wait_until(lambda shown: bool(shown.components))
    assert chosen(message, "style") == [reference(ours)]
    bob = discord.member("Bob")
    await bob.invoke("stylize", content=CONTENT)
    await fake_jobs.accepted.wait()
    assert fake_jobs.orders[0].inputs.styles == (STYLE.data,)
    assert fake_jobs.orders[0].description == "town\x1fOur glass"
    await services.store.remove_style(ours.id)
    assert chosen(await panel(manager), "style") == ["-"]
    answer = await (await bob.invoke("stylize", content=CONTENT)).wait_until(is_private_answer)
    assert answer.content == "**Style:** Attach a style picture, or choose a saved style."
    assert discord.channel_messages[-1].id != answer.id
    assert len(fake_jobs.orders) == 1


async def test_only_members_who_can_manage_the_server_can_change_settings(
    discord: LocalDiscord, manager: Member, services: Services
) -> None:
    with pytest.raises(InvocationRefused):
        await discord.member("Bob").invoke("settings")
    message = await panel(manager)
    manager.permissions &= ~Permission.MANAGE_GUILD
    answer = await (await manager.choose(message, "settings:max_open", "1")).wait_until(
        lambda shown: is_private_answer(shown) and shown.id != message.id
    )
    assert answer.content == "Only members who can manage this server can change its settings."
    assert await services.store.guild_rules(discord.guild_id) == NO_RULES


async def test_orders_have_the_servers_defaults_unless_the_member_chooses(
    discord: LocalDiscord, client: Atelier, services: Services, fake_jobs: FakeJobs
) -> None:
    await services.store.change_guild_rules(discord.guild_id, quality="quick", strength=20)
    bob = discord.member("Bob")
    role = discord.add_role("painters", bob)
    thread = discord.add_thread()
    choices: list[dict[str, OptionValue]] = [{}, {"quality": "standard", "strength": 70}]
    for options in choices:
        fake_jobs.accepted.clear()
        await bob.at(thread).invoke("stylize", content=CONTENT, style=STYLE, **options)
        await fake_jobs.accepted.wait()
    assert [(order.recipe.size, order.recipe.strength) for order in fake_jobs.orders] == [(96, 20), (128, 70)]
    for actor in fake_jobs.actors:
        assert (actor.id, actor.guild_id, actor.moderates) == (bob.id, discord.guild_id, False)
        assert actor.channels == {thread.channel_id, discord.channel_id}
        assert actor.roles == {role}
