"""The command line as an operator uses it: each command is a process, and connects to the local Discord."""

import asyncio
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from pydantic import SecretStr

from bot.sandbox import LocalDiscord
from bot.settings import Settings
from tests.bot.processes import Ended, at, atelier, names_in

COMMANDS = ["run", "sync", "doctor", "key", "demo", "stylize"]


async def both(directory: Path, **environment: str) -> list[Ended]:
    """Run the two commands that need Discord."""
    return await asyncio.gather(*(atelier(directory, command, **environment) for command in ("run", "sync")))


def registrations(local: LocalDiscord) -> list[str]:
    """The paths at which commands were registered."""
    return [request.path for request in local.requests if request.method == "PUT"]


def is_sentence(text: str) -> bool:
    """Whether a text is a sentence, and not output of Python."""
    return text.endswith(".") and not any(word in text for word in ("Traceback", "Error:", "Exception", "<", ' File "'))


class TestHelp:
    async def test_lists_every_command(self, tmp_path: Path) -> None:
        result = await atelier(tmp_path, "--help")
        assert (result.code, result.error) == (0, "")
        assert [command for command in COMMANDS if command not in result.out] == []

    @pytest.mark.parametrize("command", COMMANDS)
    async def test_says_what_a_command_does(self, tmp_path: Path, command: str) -> None:
        result = await atelier(tmp_path, command, "--help")
        assert (result.code, result.error) == (0, "")
        assert f"bot {command}" in result.out
        assert names_in(tmp_path) == set()

    async def test_is_shown_without_a_command(self, tmp_path: Path) -> None:
        result = await atelier(tmp_path)
        assert result.code == 2
        assert "Commands" in result.out + result.error

    async def test_names_an_unknown_command(self, tmp_path: Path) -> None:
        result = await atelier(tmp_path, "paint")
        assert result.code == 2
        assert "'paint'" in result.error


class TestErrors:
    async def test_explain_a_missing_token(self, tmp_path: Path) -> None:
        for result in await both(tmp_path, DISCORD_TOKEN=""):
            assert (result.code, result.out) == (2, "")
            assert is_sentence(result.error)
            assert result.error.startswith("No token")
            assert "DISCORD_TOKEN" in result.error
        assert names_in(tmp_path) == set()

    async def test_explain_a_rejected_token(self, tmp_path: Path, local: LocalDiscord) -> None:
        wrong = "MTIzNDU2.wrong-token.aBcDeFgHiJkLmNoPqRsTuVwXyZ"
        for result in await both(tmp_path, **at(local, DISCORD_TOKEN=wrong)):
            assert (result.code, result.out) == (2, "")
            assert is_sentence(result.error)
            assert result.error.startswith("Discord rejects the token")
            assert wrong not in result.error

    async def test_explain_an_unreachable_discord(self, tmp_path: Path, unused_tcp_port: int) -> None:
        url = f"http://127.0.0.1:{unused_tcp_port}/api/v10"
        result = await atelier(tmp_path, "sync", DISCORD_TOKEN="abc.def.ghi", DISCORD_API_URL=url)
        assert (result.code, result.out) == (1, "")
        assert result.error.startswith(f"Discord can't be reached at {url}")
        assert "Traceback" not in result.error

    async def test_explain_an_invalid_address(self, tmp_path: Path) -> None:
        result = await atelier(tmp_path, "run", DISCORD_TOKEN="abc.def.ghi", DISCORD_API_URL="discord")
        assert (result.code, result.out) == (1, "")
        assert result.error.startswith("Discord can't be reached at discord")
        assert "Traceback" not in result.error

    async def test_name_an_invalid_setting(self, tmp_path: Path) -> None:
        (tmp_path / ".env").write_text("LOG_FORMAT=xml\nDISCORD_TOKEN=abc.def.ghi\n")
        for result in await asyncio.gather(
            *(atelier(tmp_path, command, THREADS="two") for command in ("run", "sync", "doctor"))
        ):
            assert (result.code, result.out) == (2, "")
            assert "THREADS: " in result.error
            assert "LOG_FORMAT: " in result.error
            assert "Traceback" not in result.error
            assert "abc.def.ghi" not in result.error

    async def test_name_an_unreadable_secret(self, tmp_path: Path) -> None:
        (tmp_path / "key").write_text("s3cret-key")
        for result in await asyncio.gather(
            *(
                atelier(tmp_path, command, DISCORD_TOKEN_FILE="/nowhere/token", SECRET_KEY_FILE="key")
                for command in ("run", "sync", "doctor")
            )
        ):
            assert (result.code, result.out) == (2, "")
            assert (
                "DISCORD_TOKEN: DISCORD_TOKEN_FILE is /nowhere/token, which can't be read: No such file" in result.error
            )
            assert "SECRET_KEY: " in result.error
            assert "Traceback" not in result.error
            assert "s3cret" not in result.error

    async def test_explain_an_unusable_data_directory(self, tmp_path: Path, local: LocalDiscord) -> None:
        (tmp_path / "data").write_text("not a directory")
        result = await atelier(tmp_path, "run", **at(local))
        assert (result.code, result.out) == (1, "")
        assert "data" in result.error
        assert result.error.endswith("Run atelier doctor to see what works.")
        assert "Traceback" not in result.error

    async def test_explain_an_unusable_database(self, tmp_path: Path, local: LocalDiscord) -> None:
        (tmp_path / "diary.txt").write_text("Dear diary, this is no database. " * 50)
        url = f"sqlite+aiosqlite:///{tmp_path / 'diary.txt'}"
        result = await atelier(tmp_path, "run", **at(local, DATABASE_URL=url))
        assert (result.code, result.out) == (1, "")
        assert result.error.startswith("The database can't be used")
        assert "Traceback" not in result.error


class TestSync:
    async def test_registers_once_and_again_only_when_something_changed(
        self, tmp_path: Path, local: LocalDiscord
    ) -> None:
        async def sync(*arguments: str) -> tuple[str, int]:
            before = len(registrations(local))
            result = await atelier(tmp_path, "sync", *arguments, **at(local))
            assert (result.code, result.error) == (0, "")
            return result.out, len(registrations(local)) - before

        assert await sync() == ("Commands registered for all servers.", 1)
        assert await sync() == ("Commands unchanged for all servers.", 0)
        assert await sync("--force") == ("Commands registered for all servers.", 1)
        (registered,) = {request.path for request in local.requests if request.method == "PUT"}
        await self.overwrite(local, registered)
        assert await sync() == ("Commands registered for all servers.", 1)
        assert local.refusals == []

    async def test_for_one_server_changes_no_other(self, tmp_path: Path, local: LocalDiscord) -> None:
        place = f"server {local.guild_id}"
        for outcome in ("registered", "unchanged"):
            result = await atelier(tmp_path, "sync", "--guild", str(local.guild_id), **at(local))
            assert (result.code, result.out) == (0, f"Commands {outcome} for {place}.")
        (path,) = registrations(local)
        assert f"/guilds/{local.guild_id}/" in path
        assert local.refusals == []

    async def test_explains_a_refusal_by_discord(self, tmp_path: Path, local: LocalDiscord) -> None:
        result = await atelier(tmp_path, "sync", "--guild", "42", **at(local))
        assert (result.code, result.out) == (1, "")
        assert "Missing Access" in result.error
        assert "Traceback" not in result.error

    @staticmethod
    async def overwrite(local: LocalDiscord, path: str) -> None:
        """Register another command, as another program with the same token would."""
        headers = {"Authorization": f"Bot {local.token}"}
        body: list[dict[str, Any]] = [{"name": "other", "description": "Something else"}]
        async with (
            aiohttp.ClientSession() as session,
            session.put(f"{local.api_url}{path}", json=body, headers=headers) as response,
        ):
            assert response.status == 200


class TestKey:
    async def test_prints_a_new_valid_key(self, tmp_path: Path) -> None:
        first, second = await asyncio.gather(*(atelier(tmp_path, "key") for _ in range(2)))
        assert (first.code, first.error) == (0, "")
        assert first.out != second.out
        keys = SecretStr(f"{first.out},{second.out}")
        assert Settings(_env_file=None, secret_key=keys).secret_keys == (first.out, second.out)
        assert names_in(tmp_path) == set()
