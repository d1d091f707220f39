"""How Discord checks and returns the pictures of components and embeds (Discord: Components, Reference)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set
from copy import deepcopy
from typing import Any

from bot.sandbox.cdn import clean_filename
from bot.sandbox.protocol.errors import InvalidForm, JsonObject, invalid
from bot.sandbox.state.components import walk

_ATTACHMENT = "attachment://"

_DEFAULTS: Mapping[int, Mapping[str, object]] = {
    2: {"disabled": False},
    3: {"min_values": 1, "max_values": 1},
    11: {"description": None, "spoiler": False},
    13: {"name": None, "size": None, "spoiler": False},
    14: {"spacing": 1, "divider": True},
    17: {"accent_color": None, "spoiler": False},
}
"""Discord's defaults, by the type of the component."""

_ITEM_DEFAULTS: Mapping[str, object] = {"description": None, "spoiler": False}


def as_taken_in(components: list[JsonObject]) -> list[JsonObject]:
    """The components as Discord keeps them: without nulls, with defaults, each with a number of its own."""
    kept: list[JsonObject] = [_without_nulls(component) for component in components]
    taken = {component["id"] for component in walk(kept) if component.get("id")}
    number = 0
    for component in walk(kept):
        if not component.get("id"):
            number += 1
            while number in taken:
                number += 1
            component["id"] = number
        for name, value in _DEFAULTS.get(component["type"], {}).items():
            component.setdefault(name, value)
        for chosen in component.get("default_values", []):
            chosen["id"] = str(chosen["id"])  # Discord takes numbers, too, and returns text
        for item in component.get("items", []):
            for name, value in _ITEM_DEFAULTS.items():
                item.setdefault(name, value)
    return kept


def as_shown(
    components: list[JsonObject], embeds: list[JsonObject], attachments: list[JsonObject]
) -> tuple[list[JsonObject], list[JsonObject]]:
    """Components and embeds with the links of the attachments that they show by name."""
    components = deepcopy(components)
    embeds = [{"type": "rich"} | _without_nulls(embed) for embed in embeds]
    by_name = {attachment["filename"]: attachment for attachment in attachments}
    for media in _media(components, embeds):
        name = _name(media)
        if name is not None:
            found = by_name[name]
            media.update({key: found[key] for key in ("url", "proxy_url", "content_type") if key in found})
        media.setdefault("proxy_url", media["url"])
    for media in _media(components, []):
        # Each link to a file has another signature, and a bot may return an older link.
        found_id = next((one["id"] for one in attachments if _path(one["url"]) == _path(media["url"])), None)
        media.setdefault("id", found_id or "0")
        if found_id is not None:
            media["attachment_id"] = found_id
    return components, embeds


def check_references(components: list[JsonObject], embeds: list[JsonObject], names: Set[str]) -> None:
    """Check that a message has each attachment that it shows by `attachment://`; `names` are those that it has.

    Raises:
        InvalidForm: it lacks one.
    """
    for media in _media(components, embeds):
        name = _name(media)
        if name is not None and name not in names:
            raise _not_found("components" if components else "embeds", name)


def refuse_in_galleries(components: list[JsonObject], uploads: Set[str]) -> None:
    """Refuse a gallery that shows one of these uploads, as Discord does with edits (discord-api-docs, issue 7529).

    Raises:
        InvalidForm: there is such a gallery.
    """
    for media in _media([part for part in walk(components) if part["type"] == 12], []):
        name = _name(media)
        if name in uploads:
            raise _not_found("components", name)


def _not_found(field: str, name: str | None) -> InvalidForm:
    return invalid(
        (field,),
        "UNFURLED_MEDIA_ITEM_REFERENCED_ATTACHMENT_NOT_FOUND",
        f"The referenced attachment {name} was not found",
    )


def shown_attachments(components: list[JsonObject]) -> frozenset[str]:
    """The ids of the attachments that components show, of components as :func:`as_shown` returns them.

    Discord does not list these among the attachments of a message (discord-api-docs, issue 8277).
    """
    return frozenset(media["attachment_id"] for media in _media(components, []) if "attachment_id" in media)


def _path(url: str) -> str:
    return url.partition("?")[0]


def _name(media: JsonObject) -> str | None:
    url: str = media["url"]
    return clean_filename(url.removeprefix(_ATTACHMENT)) if url.startswith(_ATTACHMENT) else None


def _media(components: list[JsonObject], embeds: list[JsonObject]) -> Iterator[JsonObject]:
    """Each place that shows a picture or a file by its link."""
    for component in walk(components):
        shown = [component, *(component.get("items") or [])]
        yield from (part[key] for part in shown for key in ("media", "file") if part.get(key))
    for embed in embeds:
        yield from (embed[key] for key in ("image", "thumbnail") if embed.get(key))


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nulls(inner) for key, inner in value.items() if inner is not None}
    return [_without_nulls(inner) for inner in value] if isinstance(value, list) else value
