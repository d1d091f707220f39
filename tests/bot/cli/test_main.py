"""The command line as an operator meets it: each command as a process of its own, at the local Discord."""

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
    """Where commands were registered so far."""
    return [request.path for request in local.requests if request.method == "PUT"]


def is_sentence(text: str) -> bool:
    """Words for people: nothing that Python prints by itself."""
    return text.endswith(".") and not any(word in text for word in ("Traceback", "Error:", "Exception", "<", ' File "'))


class TestHelp:
    async def test_lists_every_command(self, tmp_path: Path) -> None:
        told = await atelier(tmp_path, "--help")
        assert (told.code, told.error) == (0, "")
        assert [command for command in COMMANDS if command not in told.out] == []

    @pytest.mark.parametrize("command", COMMANDS)
    async def test_says_what_a_command_does(self, tmp_path: Path, command: str) -> None:
        told = await atelier(tmp_path, command, "--help")
        assert (told.code, told.error) == (0, "")
        assert f"bot {command}" in told.out
        assert names_in(tmp_path) == set()

    async def test_is_what_one_gets_without_a_command(self, tmp_path: Path) -> None:
        told = await atelier(tmp_path)
        assert told.code == 2
        assert "Commands" in told.out + told.error

    async def test_names_an_unknown_command(self, tmp_path: Path) -> None:
        told = await atelier(tmp_path, "paint")
        assert told.code == 2
        assert "'paint'" in told.error


class TestWithoutDiscord:
    async def test_no_token_is_told_in_a_sentence(self, tmp_path: Path) -> None:
        for told in await both(tmp_path, DISCORD_TOKEN=""):
            assert (told.code, told.out) == (2, "")
            assert is_sentence(told.error)
            assert told.error.startswith("No token")
            assert "DISCORD_TOKEN" in told.error
        assert names_in(tmp_path) == set()

    async def test_a_wrong_token_is_told_in_a_sentence(self, tmp_path: Path, local: LocalDiscord) -> None:
        wrong = "MTIzNDU2.wrong-token.aBcDeFgHiJkLmNoPqRsTuVwXyZ"
        for told in await both(tmp_path, **at(local, DISCORD_TOKEN=wrong)):
            assert (told.code, told.out) == (2, "")
            assert is_sentence(told.error)
            assert told.error.startswith("Discord rejects the token")
            assert wrong not in told.error

    async def test_a_discord_that_does_not_answer_is_told_in_a_sentence(
        self, tmp_path: Path, unused_tcp_port: int
    ) -> None:
        url = f"http://127.0.0.1:{unused_tcp_port}/api/v10"
        told = await atelier(tmp_path, "sync", DISCORD_TOKEN="abc.def.ghi", DISCORD_API_URL=url)
        assert (told.code, told.out) == (1, "")
        assert told.error.startswith(f"Discord can't be reached at {url}")
        assert "Traceback" not in told.error

    async def test_an_address_that_is_none_is_told_in_a_sentence(self, tmp_path: Path) -> None:
        for told in await both(tmp_path, DISCORD_TOKEN="abc.def.ghi", DISCORD_API_URL="discord"):
            assert (told.code, told.out) == (1, "")
            assert told.error.startswith("Discord can't be reached at discord")
            assert "Traceback" not in told.error

    async def test_a_bad_setting_is_named(self, tmp_path: Path) -> None:
        (tmp_path / ".env").write_text("LOG_FORMAT=xml\nDISCORD_TOKEN=abc.def.ghi\n")
        for told in await asyncio.gather(
            *(atelier(tmp_path, command, THREADS="two") for command in ("run", "sync", "doctor"))
        ):
            assert (told.code, told.out) == (2, "")
            assert "THREADS: " in told.error
            assert "LOG_FORMAT: " in told.error
            assert "Traceback" not in told.error
            assert "abc.def.ghi" not in told.error

    async def test_a_secret_that_can_not_be_read_is_named(self, tmp_path: Path) -> None:
        (tmp_path / "key").write_text("s3cret-key")
        for told in await asyncio.gather(
            *(
                atelier(tmp_path, command, DISCORD_TOKEN_FILE="/nowhere/token", SECRET_KEY_FILE="key")
                for command in ("run", "sync", "doctor")
            )
        ):
            assert (told.code, told.out) == (2, "")
            assert (
                "DISCORD_TOKEN: DISCORD_TOKEN_FILE is /nowhere/token, which can't be read: No such file" in told.error
            )
            assert "SECRET_KEY: " in told.error
            assert "Traceback" not in told.error
            assert "s3cret" not in told.error

    async def test_a_data_directory_that_is_none_is_told_in_a_sentence(
        self, tmp_path: Path, local: LocalDiscord
    ) -> None:
        (tmp_path / "data").write_text("not a directory")
        told = await atelier(tmp_path, "run", **at(local))
        assert (told.code, told.out) == (1, "")
        assert "data" in told.error
        assert told.error.endswith("Run atelier doctor to see what works.")
        assert "Traceback" not in told.error

    async def test_a_database_that_is_none_is_told_in_a_sentence(self, tmp_path: Path, local: LocalDiscord) -> None:
        (tmp_path / "diary.txt").write_text("Dear diary, this is no database. " * 50)
        url = f"sqlite+aiosqlite:///{tmp_path / 'diary.txt'}"
        told = await atelier(tmp_path, "run", **at(local, DATABASE_URL=url))
        assert (told.code, told.out) == (1, "")
        assert told.error.startswith("The database can't be used")
        assert "Traceback" not in told.error


class TestSync:
    async def test_registers_once_and_again_only_when_something_changed(
        self, tmp_path: Path, local: LocalDiscord
    ) -> None:
        async def sync(*arguments: str) -> tuple[str, int]:
            before = len(registrations(local))
            told = await atelier(tmp_path, "sync", *arguments, **at(local))
            assert (told.code, told.error) == (0, "")
            return told.out, len(registrations(local)) - before

        assert await sync() == ("Commands registered for all servers.", 1)
        assert await sync() == ("Commands unchanged for all servers.", 0)
        assert await sync("--force") == ("Commands registered for all servers.", 1)
        (registered,) = {request.path for request in local.requests if request.method == "PUT"}
        await self.overwrite(local, registered)
        assert await sync() == ("Commands registered for all servers.", 1)
        assert await sync() == ("Commands unchanged for all servers.", 0)
        assert local.refusals == []

    async def test_for_one_server_leaves_the_others_alone(self, tmp_path: Path, local: LocalDiscord) -> None:
        place = f"server {local.guild_id}"
        for outcome in ("registered", "unchanged"):
            told = await atelier(tmp_path, "sync", "--guild", str(local.guild_id), **at(local))
            assert (told.code, told.out) == (0, f"Commands {outcome} for {place}.")
        (path,) = registrations(local)
        assert f"/guilds/{local.guild_id}/" in path
        assert local.refusals == []

    async def test_what_discord_refuses_is_told_in_a_sentence(self, tmp_path: Path, local: LocalDiscord) -> None:
        told = await atelier(tmp_path, "sync", "--guild", "42", **at(local))
        assert (told.code, told.out) == (1, "")
        assert "Missing Access" in told.error
        assert "Traceback" not in told.error

    @staticmethod
    async def overwrite(local: LocalDiscord, path: str) -> None:
        """Register something else, as another program with the same token would."""
        headers = {"Authorization": f"Bot {local.token}"}
        body: list[dict[str, Any]] = [{"name": "other", "description": "Something else"}]
        async with (
            aiohttp.ClientSession() as session,
            session.put(f"{local.api_url}{path}", json=body, headers=headers) as response,
        ):
            assert response.status == 200


class TestKey:
    async def test_is_what_the_setting_takes(self, tmp_path: Path) -> None:
        first, second = await asyncio.gather(*(atelier(tmp_path, "key") for _ in range(2)))
        assert (first.code, first.error) == (0, "")
        assert first.out != second.out
        keys = SecretStr(f"{first.out},{second.out}")
        assert Settings(_env_file=None, secret_key=keys).secret_keys == (first.out, second.out)
        assert names_in(tmp_path) == set()
