"""The language of what members read: which one applies now, and the translation into it.

The catalogues are ``bot/locale/LANGUAGE/LC_MESSAGES/atelier.po``, by their English texts. Babel reads them at start, so
nothing has to be compiled. A text without a translation stays English. See "Add a text" in ``CONTRIBUTING.md``.
"""

import gettext as catalogues
import io
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from babel import Locale
from babel.messages.catalog import Catalog
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.numbers import format_decimal

FOLDER: Final = Path(__file__).parent / "locale"
DOMAIN: Final = "atelier"
ENGLISH: Final = "en-US"
LOCALES: Final[Mapping[str, str | None]] = {
    "en-US": None,
    "en-GB": None,
    "de": "de",
    "fr": "fr",
    "es-ES": "es",
    "es-419": "es",
    "pt-BR": "pt_BR",
    "ja": "ja",
    "ar": "ar",
}
"""The names of their catalogues, by Discord's locales. Any other locale reads English.

Discord has offered Arabic since 2026; discord.py 2.7 doesn't list it, but passes it on.
"""
_FRACTION: Final = 100
"""Has the plural form of fractions, such as 0.5, in each of the languages."""
_LEFT_TO_RIGHT: Final = re.compile(r"`[^`]+`|<[^<>]*>|\*\*\{\w+\}\*\*|\{\w+\}")
"""Parts of a text that may be in another writing direction: code, mentions, placeholders."""
_ISOLATE, _END_OF_ISOLATE = "\u2068", "\u2069"

Value = str | float
"""What a placeholder is replaced by. Numbers are written as the language does, so ids must be text."""


@dataclass(frozen=True, slots=True)
class Language:
    """A locale with its catalogue."""

    locale: Locale
    catalogue: catalogues.NullTranslations

    def fill(self, text: str, values: Mapping[str, Value]) -> str:
        """Replace the placeholders of a translated text."""
        if not values:
            return text
        return text.format(
            **{
                name: value if isinstance(value, str) else format_decimal(value, locale=self.locale)
                for name, value in values.items()
            }
        )


_current: ContextVar[str] = ContextVar("locale", default=ENGLISH)


def current() -> str:
    """Discord's name of the locale that applies now."""
    return _current.get()


def choose(locale: str) -> None:
    """Let a locale of Discord's apply to the rest of this task, and to the tasks that it starts."""
    _current.set(locale)


@contextmanager
def using(locale: str) -> Iterator[None]:
    """Let a locale of Discord's apply meanwhile."""
    before = _current.set(locale)
    try:
        yield
    finally:
        _current.reset(before)


def N_(text: str) -> str:  # noqa: N802 - the name by which Babel finds it
    """Mark a constant for the catalogues. It stays English: :func:`gettext` translates it where it is shown."""
    return text


def gettext(text: str, /, **values: Value) -> str:
    """Translate a text, and replace its placeholders: ``gettext("{name} was removed.", name=name)``."""
    language = language_of(current())
    return language.fill(language.catalogue.gettext(text), values)


def pgettext(context: str, text: str, /, **values: Value) -> str:
    """The same for a text that other contexts translate otherwise."""
    language = language_of(current())
    return language.fill(language.catalogue.pgettext(context, text), values)


def ngettext(singular: str, plural: str, count: float, /, **values: Value) -> str:
    """The same in the plural form for a number, which replaces the placeholder ``{count}``."""
    language = language_of(current())
    number = int(count) if count == int(count) else _FRACTION
    return language.fill(language.catalogue.ngettext(singular, plural, number), {"count": count, **values})


def language_of(locale: str) -> Language:
    """The language of a locale of Discord's."""
    return _load(locale if locale in LOCALES else ENGLISH)


def load() -> None:
    """Read all catalogues now, so that no member waits for them."""
    for locale in LOCALES:
        language_of(locale)


def read_catalogue(name: str) -> Catalog:
    """The catalogue of a language, as its translator wrote it."""
    with (FOLDER / name / "LC_MESSAGES" / f"{DOMAIN}.po").open("rb") as file:
        return read_po(file, locale=name)


@cache
def _load(locale: str) -> Language:
    name = LOCALES[locale]
    parsed = Locale.parse(locale, sep="-")
    format_decimal(1000, locale=parsed)  # Babel reads the locale's data only now
    return Language(parsed, catalogues.NullTranslations() if name is None else _translations(name))


@cache
def _translations(name: str) -> catalogues.GNUTranslations:
    catalogue = read_catalogue(name)
    if Locale.parse(name).text_direction == "rtl":
        for message in catalogue:
            if message.id:
                forms = message.string
                message.string = _isolated(forms) if isinstance(forms, str) else tuple(map(_isolated, forms or ()))
    compiled = io.BytesIO()
    write_mo(compiled, catalogue)
    compiled.seek(0)
    return catalogues.GNUTranslations(compiled)


def _isolated(text: str) -> str:
    """Keep what is put into a text that runs from right to left from reordering the words around it.

    Source: Unicode Standard Annex 9, isolates.
    """
    return _LEFT_TO_RIGHT.sub(rf"{_ISOLATE}\g<0>{_END_OF_ISOLATE}", text)
