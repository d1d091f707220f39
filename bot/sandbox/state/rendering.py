"""How Discord returns components and embeds (Discord documentation: Components, Reference)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from copy import deepcopy
from typing import Any

from bot.sandbox.cdn import clean_filename
from bot.sandbox.protocol.errors import JsonObject
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
        found_id = next((one["id"] for one in attachments if one["url"] == media["url"]), None)
        media.setdefault("id", found_id or "0")
        if found_id is not None:
            media["attachment_id"] = found_id
    return components, embeds


def referenced_names(components: list[JsonObject], embeds: list[JsonObject]) -> Iterator[str]:
    """The names of the attachments that are shown by `attachment://`."""
    for media in _media(components, embeds):
        name = _name(media)
        if name is not None:
            yield name


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
