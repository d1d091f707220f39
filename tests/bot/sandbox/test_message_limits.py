"""Discord's limits of a message, as the local Discord applies them."""

from __future__ import annotations

import io
from typing import Any

import pytest

from bot.sandbox import LocalDiscord
from bot.sandbox.protocol.body import REQUEST_LIMIT
from tests.bot.sandbox.conftest import V2, Caller, button, channel, form, rows, text

MEGABYTE = 1024 * 1024


def gallery(*urls: str) -> dict[str, Any]:
    """A media gallery."""
    return {"type": 12, "items": [{"media": {"url": url}} for url in urls]}


@pytest.mark.parametrize(
    ("body", "place", "code"),
    [
        ({"content": "x" * 2001}, ("content",), "BASE_TYPE_MAX_LENGTH"),
        ({"content": 5}, ("content",), "STRING_TYPE_CONVERT"),
        ({"embeds": [{"description": "x" * 4097}]}, ("embeds", "0", "description"), "BASE_TYPE_MAX_LENGTH"),
        ({"embeds": [{"description": "x" * 3001}] * 2}, ("embeds",), "MAX_EMBED_SIZE_EXCEEDED"),
        ({"embeds": [{"title": "x"}] * 11}, ("embeds",), "BASE_TYPE_BAD_LENGTH"),
        (
            {"components": [button(custom_id="x" * 101)]},
            ("components", "0", "components", "0", "custom_id"),
            "BASE_TYPE_MAX_LENGTH",
        ),
        (
            {"components": [button(label="x" * 81)]},
            ("components", "0", "components", "0", "label"),
            "BASE_TYPE_MAX_LENGTH",
        ),
        ({"components": rows(2) + rows(1)}, ("components",), "COMPONENT_CUSTOM_ID_DUPLICATED"),
        ({"components": rows(6)}, ("components",), "BASE_TYPE_BAD_LENGTH"),
        ({"components": [button(custom_id=None)]}, ("components",), "BUTTON_COMPONENT_INVALID"),
        ({"components": [button(url="https://a.example")]}, ("components",), "BUTTON_COMPONENT_INVALID"),
        ({"components": [button(label=None)]}, ("components",), "BUTTON_COMPONENT_INVALID"),
        ({"components": [{"type": 1}]}, ("components", "0", "components"), "BASE_TYPE_REQUIRED"),
        ({"components": [text("x")]}, ("components", "0", "type"), "UNION_TYPE_CHOICES"),
        ({"components": [{"type": 2, "style": 1, "label": "x"}]}, ("components", "0"), "UNION_TYPE_CHOICES"),
        ({"flags": V2, "components": [text("x" * 2500), text("x" * 1501)]}, ("components",), "COMPONENT_DISPLAYABLE"),
        ({"flags": V2, "components": [text("x")] * 40 + [text("x")]}, ("components",), "BASE_TYPE_BAD_LENGTH"),
        (
            {"flags": V2, "components": [{"type": 17, "components": [text("x")] * 21}] * 2},
            ("components",),
            "COMPONENT_MAX_TOTAL",
        ),
        ({"flags": V2, "components": [text("x")], "content": "x"}, ("content",), "MESSAGE_CANNOT_USE_LEGACY"),
        ({"flags": V2, "components": [gallery(*["https://a.example"] * 11)]}, ("components", "0", "items"), "BASE_"),
        ({"flags": V2, "components": [gallery("attachment://none.png")]}, ("components",), "UNFURLED_MEDIA"),
        ({"attachments": [{"id": 7}]}, ("attachments", "0", "id"), "ATTACHMENT_NOT_FOUND"),
        ({"content": "x", "message_reference": {"message_id": "7"}}, ("message_reference",), "MESSAGE_REFERENCE"),
    ],
)
async def test_the_error_for_a_limit_has_its_path(
    local: LocalDiscord, call: Caller, body: dict[str, Any], place: tuple[str, ...], code: str
) -> None:
    reply = await call("POST", channel(local), json=body)
    assert (reply.status, reply.json["code"]) == (400, 50035), reply.json
    node = reply.json["errors"]
    for key in place:
        node = node[key]
    assert node["_errors"][0]["code"].startswith(code)
    assert local.channel_messages == []
    assert local.refusals == []


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({"content": "x", "mood": "good"}, "the field mood"),
        ({"content": "x", "poll": {"question": {}}}, "the field poll"),
        ({"content": "x", "sticker_ids": ["1"]}, "the field sticker_ids"),
        ({"content": "x", "flags": 1 << 13}, "the message flags 0x2000"),
        ({"content": "x", "flags": 64}, "the message flags 0x40"),
        ({"embeds": [{"title": "x", "shade": 1}]}, "the field embeds.0.shade"),
        ({"components": [{"type": 99}]}, "the component type 99 at components.0"),
        ({"components": [{"type": 1, "components": [{"type": 7, "custom_id": "u"}]}]}, "the component type 7 at"),
        ({"components": [button(sku_id="1")]}, "the field components.0.components.0.sku_id"),
        ({"content": "x", "attachments": None}, "attachments: null"),
    ],
)
async def test_unknown_fields_are_refused_by_name(
    local: LocalDiscord, call: Caller, body: dict[str, Any], named: str
) -> None:
    reply = await call("POST", channel(local), json=body)
    assert reply.status == 501
    assert f"the local Discord does not know {named}" in reply.json["message"]
    assert len(local.refusals) == 1
    assert named in local.refusals[0]
    assert local.channel_messages == []


@pytest.mark.parametrize("body", [{}, {"content": ""}, {"content": None, "embeds": []}])
async def test_an_empty_message_is_50006(local: LocalDiscord, call: Caller, body: dict[str, Any]) -> None:
    reply = await call("POST", channel(local), json=body)
    assert (reply.status, reply.json["code"]) == (400, 50006)


async def test_a_message_at_its_limits_is_accepted(local: LocalDiscord, call: Caller) -> None:
    body: dict[str, Any] = {
        "content": "x" * 2000,
        "embeds": [{"description": "x" * 3000}] * 2,
        "components": [button(custom_id="x" * 100, label="x" * 80), *rows(4)],
    }
    assert (await call("POST", channel(local), json=body)).status == 200
    body = {"flags": V2, "components": [text("x" * 4000), *rows(19), {"type": 14}]}
    assert (await call("POST", channel(local), json=body)).status == 200
    assert (await call("POST", channel(local), json={"flags": V2, "components": rows(20)})).status == 200


async def test_a_file_over_its_limit_is_40005(local: LocalDiscord, call: Caller) -> None:
    exact = form({}, ("a.bin", bytes(10 * MEGABYTE)))
    assert (await call("POST", channel(local), data=exact)).status == 200
    over = form({}, ("a.bin", bytes(10 * MEGABYTE + 1)))
    reply = await call("POST", channel(local), data=over)
    assert (reply.status, reply.json["code"]) == (413, 40005)
    assert local.requests[-1].request_bytes > 10 * MEGABYTE


async def test_a_request_over_its_limit_is_40005(local: LocalDiscord, call: Caller) -> None:
    files = [(f"{index}.bin", bytes(9 * MEGABYTE)) for index in range(3)]
    reply = await call("POST", channel(local), data=form({}, *files))
    assert (reply.status, reply.json["code"]) == (413, 40005)
    reply = await call("POST", channel(local), data=io.BytesIO(bytes(REQUEST_LIMIT + 1)))
    assert (reply.status, reply.json["code"]) == (413, 40005)


async def test_the_file_limit_can_be_changed(call: Caller) -> None:
    call.local.attachment_size_limit = 3
    reply = await call("POST", channel(call.local), data=form({}, ("a.bin", b"1234")))
    assert reply.status == 413
    invocation = await call.begin()
    path = f"/interactions/{invocation.id}/{invocation.token}/callback"
    reply = await call("POST", path, data=form({"type": 4, "data": {}}, ("a.bin", b"123")))
    assert reply.status == 204


async def test_eleven_files_are_too_many(local: LocalDiscord, call: Caller) -> None:
    reply = await call("POST", channel(local), data=form({}, *[("a.bin", b"1")] * 11))
    assert (reply.status, reply.json["code"]) == (400, 50035)
