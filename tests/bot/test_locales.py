"""The translations: complete, well formed, within Discord's limits, and in the language of whoever reads them."""

import ast
import os
import re
import string
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_args

import pytest
from babel.messages.catalog import Catalog, Message
from babel.messages.frontend import CommandLineInterface
from babel.messages.plurals import get_plural
from babel.messages.pofile import read_po
from discord import ui

from bot import locales, texts
from bot.client.client import Atelier
from bot.client.message_pictures import MessagePicture
from bot.client.services import Services
from bot.client.translated_commands import COMMAND, OPTION
from bot.delivery.reply import DiscordReply
from bot.features.guild_settings.panel import _panel
from bot.features.message_menus.modals import SaveModal, StyleModal, StylizeModal
from bot.features.my_jobs.texts import cancel
from bot.features.results.style import AnotherStyleModal, AsPhotoModal
from bot.features.results.tweak import TweakModal
from bot.features.results.views import open_view, result_view, views
from bot.jobs.model import NO_INPUTS, Job, State
from bot.jobs.rules import GuildRules, Policy
from bot.library.built_in import BUILT_IN
from bot.sandbox import LocalDiscord
from bot.sandbox import Message as Shown
from bot.sandbox.protocol.forms import read_form
from bot.sandbox.state.components import Modal, check_rules
from engine.progress import Result
from engine.recipe import Recipe
from tests.bot.conftest import CONTENT, STYLE, is_private_answer, photo, text_of
from tests.doubles.jobs import FakeJobs

ROOT = Path(__file__).parents[2]
LANGUAGES = sorted({name for name in locales.LOCALES.values() if name})
CODE = re.compile(r"`([^`{}]+)`")
WORDS = re.compile(r"/[a-z]+(?: [a-z]+)?(?: [a-z_]+:)?")


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Catalog:
    """The texts in the source, as Babel extracts them by pyproject.toml."""
    file, before = tmp_path_factory.mktemp("template") / "atelier.pot", Path.cwd()
    os.chdir(ROOT)
    try:
        run: Any = CommandLineInterface().run
        run(["pybabel", "--quiet", "extract", "--output-file", str(file), "."])
    finally:
        os.chdir(before)
    with file.open("rb") as extracted:
        return read_po(extracted)


def key(message: Message) -> tuple[str | None, tuple[str, ...]]:
    return message.context, forms(message.id)


def forms(text: Any) -> tuple[str, ...]:
    return (text,) if isinstance(text, str) else tuple(text or ())


def placeholders(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_catalogue_has_every_text_and_no_other(language: str, template: Catalog) -> None:
    catalogue = locales.read_catalogue(language)
    wanted = {key(message) for message in template if message.id}
    found = {key(message) for message in catalogue if message.id}
    assert wanted - found == set(), "missing: extract and update, see CONTRIBUTING.md"
    assert found - wanted == set(), "left over"
    assert not catalogue.obsolete
    assert [
        message.id for message in catalogue if message.id and (message.fuzzy or not all(forms(message.string)))
    ] == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_translations_are_well_formed(language: str) -> None:
    catalogue = locales.read_catalogue(language)
    assert catalogue.plural_expr == get_plural(language).plural_expr
    for message in catalogue:
        if not message.id:
            continue
        plural = message.pluralizable
        assert len(forms(message.string)) == (get_plural(language).num_plurals if plural else 1), message.id
        english = forms(message.id)[-1]
        for text in forms(message.string):
            # A form for one number may write the number as a word.
            spoken = {"count"} if plural else set()
            assert placeholders(english) - spoken <= placeholders(text) <= placeholders(english), text
            if placeholders(text) == placeholders(english):
                for mark in ("**", "`", "\n", "<"):
                    assert text.count(mark) == english.count(mark), text
            assert text.strip() == text or not english.strip(", "), text


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_translation_names_commands_and_options_as_their_names_are_translated(language: str) -> None:
    catalogue = locales.read_catalogue(language)
    names = {key(message): forms(message.string)[0] for message in catalogue}

    def named(context: str, name: str) -> str:
        return names[context, (name,)]

    commands = {name for context, (name, *_) in names if context == COMMAND}
    options = {name for context, (name, *_) in names if context == OPTION}
    for message in catalogue:
        if not message.id or message.context:
            continue
        english = forms(message.id)[-1]
        for code in {*CODE.findall(english), *WORDS.findall(english)}:
            words = code.lstrip("/").split()
            if code.startswith("/") and words[0] in commands:
                expected = " ".join(
                    named(OPTION, word[:-1]) + ":" if word.endswith(":") else named(COMMAND, word)
                    for word in words
                    if word in commands or word.endswith(":")
                )
                expected = f"/{expected}"
            elif code in options and f"`{code}`" in english:
                expected = f"`{named(OPTION, code)}`"
            else:
                continue
            assert all(expected in text for text in forms(message.string)), (message.string, expected)


def job(**changes: Any) -> Job:
    values: dict[str, Any] = {
        "id": "0123456789abcdef",
        "owner": 7,
        "guild_id": None,
        "recipe": Recipe(stroke=1.0),
        "inputs": NO_INPUTS,
        "address": "",
        "description": "town\x1fstrokes",
        "max_bytes": 1,
        "state": State.DELIVERED,
        "created_at": datetime(2026, 11, 28, tzinfo=UTC),
    }
    return Job(**values | changes)


def modals() -> Iterator[ui.Modal]:
    """Every modal."""
    pictures = [MessagePicture("a.png", "https://cdn/a.png"), MessagePicture("b.png", "https://cdn/b.png")]
    yield StylizeModal(pictures, BUILT_IN)
    yield StyleModal(pictures)
    yield SaveModal(pictures, "waves", manages=True)
    yield AnotherStyleModal("0123456789abcdef", BUILT_IN)
    yield AsPhotoModal("0123456789abcdef", BUILT_IN)
    yield TweakModal("0123456789abcdef", Recipe())


async def test_components_keep_discords_limits_in_each_language(client: Atelier, services: Services) -> None:
    # The commands keep them, too: the local Discord has accepted them when the client registered them.
    for locale in locales.LOCALES:
        with locales.using(locale):
            for modal in modals():
                described = read_form(Modal, modal.to_dict()).model_dump(exclude_none=True)
                check_rules(described["components"], second_version=True, place=())
            panel = _panel(GuildRules(), Policy(max_per_day=20), BUILT_IN)
            components: Any = panel.to_components
            check_rules(components(), second_version=True, place=())
            for view in (open_view(job()), result_view(client, job(recipe=Recipe(method="instant")))):
                check_rules(view.to_components(), second_version=False, place=())
                labels = [item.label for item in view.children if isinstance(item, ui.Button)]
                assert all(label and len(label) <= 80 for label in labels)
            assert len(cancel(10)) <= 80


FORMS: dict[int, str] = {1: "لوحة واحدة", 2: "لوحتان", 3: "3 لوحات", 10: "10 لوحات", 11: "11 لوحة", 100: "100 لوحة"}
"""Parts of the text about so many pictures before one's own."""


@pytest.mark.parametrize("before", FORMS)
def test_arabic_has_its_plural_forms_and_isolates_what_is_put_into_a_text(before: int) -> None:
    with locales.using("ar"):
        text = texts.queued(before + 1)
        shown = re.sub("[\u2068\u2069*]", "", text)
        assert FORMS[before] in shown
        ping = texts.ping(7, State.DELIVERED, kept=True)
    assert "\u2068<@7>\u2069" in ping or ping.startswith("\u2068")
    assert re.search("\u2068`/[^`]+`\u2069", ping)


def test_numbers_and_unknown_locales() -> None:
    written = {}
    for locale in ("en-US", "de", "fr", "ar", "it", "xx"):
        with locales.using(locale):
            written[locale] = texts.duration(60 * 1234)
    assert written == {
        "en-US": "1,234 min",
        "de": "1.234 min",
        "fr": "1\u202f234 min",
        "ar": written["ar"],
        "it": "1,234 min",
        "xx": "1,234 min",
    }
    assert "1,234" in written["ar"]
    with locales.using("de"):
        assert (locales.ngettext("{count} picture", "{count} pictures", 0.5), locales.current()) == ("0,5 Bilder", "de")
    assert locales.current() == "en-US"


async def test_a_german_member_sees_commands_and_private_answers_in_german(
    discord: LocalDiscord, client: Atelier, fake_jobs: FakeJobs
) -> None:
    ada = discord.member("Ada")
    ada.locale = "de"
    names = {each["name"]: each["name_localizations"]["de"] for each in ada.commands()}
    assert (names["stylize"], names["Use as style"]) == ("stilisieren", "Als Stil verwenden")
    invocation = await ada.invoke("stilisieren", foto=CONTENT)
    answer = await invocation.wait_until(is_private_answer)
    assert answer.content == "**Stil:** Häng ein Stilbild an, oder wähle einen gespeicherten Stil."
    typed = await ada.autocomplete("stilisieren", "gespeicherter_stil", "buntg", foto=CONTENT)
    await typed.acknowledged()
    assert [choice["name"] for choice in typed.choices or ()] == ["Buntglas (mitgeliefert)"]
    answer = await (await ada.invoke("bilder")).wait_until(lambda shown: bool(text_of(shown)))
    assert text_of(answer) == "Du hast noch keine Bilder. Mit `/stilisieren` malst du eins."
    await ada.invoke("stilisieren", foto=CONTENT, stil=STYLE)
    await fake_jobs.accepted.wait()
    assert fake_jobs.orders[0].locale == "de"


async def test_a_server_chooses_the_language_of_public_replies_also_of_later_edits_by_another_process(
    discord: LocalDiscord, client: Atelier, services: Services, fake_jobs: FakeJobs
) -> None:
    await services.store.change_guild_rules(discord.guild_id, locale="ja")
    ada = discord.member("Ada")
    ada.locale = "de"
    invocation = await ada.invoke("stylize", content=CONTENT, style=STYLE)
    await fake_jobs.accepted.wait()
    (accepted,) = fake_jobs.jobs.values()

    def reply() -> DiscordReply:
        return DiscordReply(client, replace(accepted, state=State.RUNNING), views(client), services.executor)

    first, second = reply(), reply()
    first.queued(2)
    await invocation.wait_until(reads("**1** 枚"))
    await first.close()
    await second.deliver(Result(photo((96, 72)), "png", 96, 72, accepted.recipe, 60, 8.0, "finished"))
    shown = await invocation.wait_until(reads("8 秒"))
    assert shown.attachments[0].description is not None
    assert "strokes" in shown.attachments[0].description
    assert "painted" not in shown.attachments[0].description
    answer = await (await ada.choose(shown, f"menu:{accepted.id}", "recipe")).wait_until(is_private_answer)
    assert answer.content.startswith("**Rezept `"), "the member's language, because only they see it"


def reads(text: str) -> Callable[[Shown], bool]:
    return lambda message: text in message.content


MARKS = {"_", "N_", "gettext", "ngettext", "pgettext"}


def test_no_text_for_members_lacks_its_mark() -> None:
    unmarked = []
    for path in [*ROOT.glob("bot/**/texts.py"), ROOT / "bot" / "error_messages.py", ROOT / "engine" / "texts.py"]:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        # Babel does not find marks in f-strings.
        formatted = {id(each) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for each in ast.walk(node)}
        skipped: set[int] = set()
        for node in ast.walk(tree):
            called = getattr(node.func, "attr", getattr(node.func, "id", "")) if isinstance(node, ast.Call) else ""
            if called in MARKS and id(node) in formatted:
                unmarked.append(f"{path.relative_to(ROOT)}: {ast.unparse(node)}")
            elif called in MARKS:
                skipped |= {id(each) for each in ast.walk(node)}
            elif isinstance(node, ast.Expr):  # a docstring
                skipped.add(id(node.value))
        unmarked += [
            f"{path.relative_to(ROOT)}: {node.value}"
            for node in ast.walk(tree)
            if isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and id(node) not in skipped
            and re.search(r"[A-Za-z]{2,} [A-Za-z]{2,}", node.value)
        ]
    assert [each for each in unmarked if each not in UNMARKED] == []


UNMARKED = {
    "bot/features/guild_settings/texts.py: Português do Brasil",
    "engine/texts.py: web page",
    "engine/texts.py: . It has: ",
    "engine/texts.py: This version of Atelier has no method ",
    "engine/texts.py: The worker has version ",
    "engine/texts.py: , but the bot has ",
    "engine/texts.py: . Install the same version on both.",
    "engine/texts.py:  px in ",
    "bot/texts.py: the style's colours",
    "bot/texts.py: colours matched to the photo",
    "bot/texts.py: the photo's colours",
    *(
        f"bot/texts.py: {name}"
        for name in (*texts.TECHNIQUES.values(), *texts.PARTS.values(), *texts.RESTS.values(), *get_args(texts.Motion))
    ),
    "bot/error_messages.py: size here",
}
"""For operators, in English; names of choices, which the commands have; and names in the code."""
