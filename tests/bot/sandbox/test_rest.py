"""The REST API as a whole: tokens, limits, faults, the recorded requests, and unknown requests."""

from __future__ import annotations

import discord
import pytest

from bot.sandbox import LocalDiscord, RestRequest
from tests.bot.sandbox.conftest import Caller, Probe, form


async def test_a_wrong_token_is_401(local: LocalDiscord, call: Caller) -> None:
    reply = await call("GET", "/users/@me", token="wrong")
    assert (reply.status, reply.json) == (401, {"message": "401: Unauthorized", "code": 0})
    assert (await call("GET", "/users/@me")).json["id"] == str(local.application_id)
    assert (await call("GET", "/gateway", token="wrong")).json == {"url": local.gateway_url}


@pytest.mark.parametrize("path", ["/applications/@me", "/oauth2/applications/@me"])
async def test_the_application_describes_itself(local: LocalDiscord, call: Caller, path: str) -> None:
    assert (await call("GET", path)).json["id"] == str(local.application_id)


async def test_the_address_of_the_gateway_is_returned(local: LocalDiscord, call: Caller) -> None:
    reply = await call("GET", "/gateway/bot")
    assert reply.json["url"] == local.gateway_url
    assert reply.json["session_start_limit"]["remaining"] == 1000


async def test_json_has_the_exact_content_type(call: Caller) -> None:
    for path in ("/users/@me", "/nowhere"):
        assert (await call("GET", path)).headers["Content-Type"] == "application/json"


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/nowhere"), ("DELETE", "/users/@me"), ("PUT", "/channels/1/pins/2"), ("POST", "/webhooks/1/t/github")],
)
async def test_an_unknown_route_is_refused_by_name(local: LocalDiscord, call: Caller, method: str, path: str) -> None:
    reply = await call(method, path)
    shown = path.replace("/t/", "/…/")
    message = f"the local Discord does not know the route {method} {shown}"
    assert (reply.status, reply.json) == (501, {"message": message, "code": 0})
    assert local.refusals == [f"{method} {shown}: {message}"]
    assert (local.requests[-1].route, local.requests[-1].status) == ("(unknown)", 501)


async def test_another_version_of_the_api_is_unknown(local: LocalDiscord, call: Caller) -> None:
    async with call.session.get(local.api_url.replace("v10", "v9") + "/gateway") as response:
        assert response.status == 501


async def test_an_unknown_query_argument_is_refused_by_name(local: LocalDiscord, call: Caller) -> None:
    reply = await call("GET", f"/channels/{local.channel_id}/messages", params={"mood": "1"})
    assert reply.status == 501
    assert "the query argument mood of GET /channels/{channel_id}/messages" in reply.json["message"]


async def test_unknown_kinds_of_body_are_refused(local: LocalDiscord, call: Caller) -> None:
    path = f"/channels/{local.channel_id}/messages"
    reply = await call("POST", path, data="content=x", skip_auto_headers=())
    assert reply.status == 501
    assert "a body of type" in reply.json["message"]
    data = form({"content": "x"})
    data.add_field("surprise", b"1", filename="a")
    reply = await call("POST", path, data=data)
    assert reply.status == 501
    assert "the multipart field surprise" in reply.json["message"]
    reply = await call("PATCH", path + "/1", data=form({}, ("a", b"1")))
    assert reply.json["code"] == 10008
    reply = await call("PUT", f"/applications/{local.application_id}/commands", data=form([], ("a", b"1")))
    assert "files sent to PUT" in reply.json["message"]


async def test_broken_json_is_50109(local: LocalDiscord, call: Caller) -> None:
    headers = {"Authorization": f"Bot {local.token}", "Content-Type": "application/json"}
    url = f"{local.api_url}/channels/{local.channel_id}/messages"
    async with call.session.post(url, data=b"{", headers=headers) as response:
        assert response.status == 400
        assert (await response.json())["code"] == 50109


async def test_five_requests_in_five_seconds_are_allowed(local: LocalDiscord, call: Caller) -> None:
    invocation = await call.begin()
    await call.answer(invocation, 5)
    path = call.hook(invocation, "/messages/@original")
    replies = [await call("PATCH", path, json={"content": str(index)}) for index in range(6)]
    assert [reply.status for reply in replies] == [200] * 5 + [429]
    assert [reply.headers["X-RateLimit-Remaining"] for reply in replies] == ["4", "3", "2", "1", "0", "0"]
    assert {reply.headers["X-RateLimit-Limit"] for reply in replies} == {"5"}
    assert len({reply.headers["X-RateLimit-Bucket"] for reply in replies}) == 1
    refused = replies[-1]
    assert 0 < refused.json["retry_after"] <= 5
    assert refused.json["global"] is False
    assert refused.headers["Via"]
    assert float(refused.headers["Retry-After"]) >= refused.json["retry_after"]
    assert float(replies[0].headers["X-RateLimit-Reset-After"]) <= 5
    # All requests with one token share the bucket. Another token has its own.
    assert (await call("POST", call.hook(invocation), json={"content": "x"})).status == 429
    other = await call.begin("Bob")
    assert (await call.answer(other, 5)).status == 204
    assert (await call("POST", call.hook(other), json={"content": "x"})).status == 200
    local.clock.advance(refused.json["retry_after"])
    assert (await call("PATCH", path, json={"content": "again"})).status == 200
    assert invocation.original is not None
    assert invocation.original.content == "again"


async def test_discord_py_retries_after_a_429(local: LocalDiscord, bot: Probe) -> None:
    @bot.tree.command(description="Answer")
    async def ping(interaction: discord.Interaction) -> None:
        await interaction.response.defer()
        await interaction.edit_original_response(content="pong")

    await bot.tree.sync()
    local.rate_limit_next("/webhooks/{webhook_id}/{webhook_token}/messages/@original", 0.05)
    invocation = await local.member("Ann").invoke("ping")
    message = await invocation.wait_until(lambda message: message.content == "pong")
    edits = [request for request in local.requests if request.method == "PATCH"]
    assert [request.status for request in edits] == [429, 200]
    assert edits[1].at - edits[0].at >= 0.05
    assert message.content == "pong"


async def test_a_requested_failure_happens_once(local: LocalDiscord, call: Caller) -> None:
    local.fail_next("GET /users/@me", 403, code=50013, message="Missing Permissions")
    assert (await call("GET", "/users/@me/channels")).status == 501
    failed = await call("GET", "/users/@me")
    assert (failed.status, failed.json) == (403, {"message": "Missing Permissions", "code": 50013})
    assert (await call("GET", "/users/@me")).status == 200


async def test_a_failure_of_an_unknown_route_cannot_be_requested(local: LocalDiscord) -> None:
    with pytest.raises(ValueError, match="no route '/user'"):
        local.fail_next("/user", 500)
    with pytest.raises(ValueError, match="no route"):
        local.rate_limit_next("PATCH /users/@me", 1)


async def test_every_request_is_recorded(local: LocalDiscord, call: Caller) -> None:
    heard: list[RestRequest] = []
    local.on_request(heard.append)
    invocation = await call.begin()
    local.clock.advance(2)
    await call.answer(invocation, 4, {"content": "pong"}, params={"with_response": "1"})
    path = call.hook(invocation, "/messages/@original")
    await call("PATCH", path, data=form({"content": "x"}, ("a.png", bytes(1000))))
    assert heard == local.requests
    put, post, patch = heard
    assert (put.route, put.method) == ("/applications/{application_id}/commands", "PUT")
    assert post.route == "/interactions/{interaction_id}/{interaction_token}/callback"
    assert post.path == f"/interactions/{invocation.id}/…/callback"
    assert post.query == {"with_response": "1"}
    assert post.body == {"type": 4, "data": {"content": "pong"}}
    assert 2 <= post.at - put.at < 60
    assert patch.path == f"/webhooks/{local.application_id}/…/messages/@original"
    assert patch.files == ("files[0]",)
    assert patch.body == {"content": "x"}
    assert patch.request_bytes > 1000
    assert 0 < patch.response_bytes < 2000
