"""The command line as an operator meets it: each command as a process of its own, at the local Discord."""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import pytest
from pydantic import SecretStr

from bot.jobs.cipher import new_key
from bot.sandbox import LocalDiscord
from bot.settings import Settings

ROOT = Path(__file__).parents[2]
ME = "GET /users/@me"
COMMANDS = ["run", "sync", "doctor", "key", "demo", "stylize"]


@dataclass(frozen=True)
class Ended:
    """What is left of a process. White space is made single: lines are broken for a terminal."""

    code: int
    out: str
    error: str


@asynccontextmanager
async def started(
    directory: Path, *arguments: str, limit: str = "true", **environment: str
) -> AsyncIterator[asyncio.subprocess.Process]:
    """`python -m bot` in an empty directory, with these variables and none of ours, after the shell's `limit`."""
    names = {name.upper() for name in Settings.model_fields}
    inherited = {name: value for name, value in os.environ.items() if name.upper() not in names}
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        *("sh", "-c", f'{limit} && exec "$@"', "sh", sys.executable),
        *("-W", "error", "-W", "ignore:'audioop' is deprecated:DeprecationWarning"),
        *("-m", "bot", *arguments),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=pipe,
        stderr=pipe,
        cwd=directory,
        env=inherited | {"PYTHONPATH": str(ROOT), "COLUMNS": "80", "LOG_LEVEL": "WARNING"} | environment,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.communicate()


async def atelier(directory: Path, *arguments: str, limit: str = "true", **environment: str) -> Ended:
    """Run it to its end."""
    async with started(directory, *arguments, limit=limit, **environment) as process, asyncio.timeout(60):
        return await ended(process)


async def both(directory: Path, **environment: str) -> list[Ended]:
    """Run the two commands that need Discord."""
    return await asyncio.gather(*(atelier(directory, command, **environment) for command in ("run", "sync")))


async def ended(process: asyncio.subprocess.Process) -> Ended:
    """Wait for the end."""
    out, error = await process.communicate()
    assert process.returncode is not None
    return Ended(process.returncode, " ".join(out.decode().split()), " ".join(error.decode().split()))


def at(local: LocalDiscord, **environment: str) -> dict[str, str]:
    """Variables that point to the local Discord."""
    return {
        "DISCORD_TOKEN": local.token,
        "DISCORD_API_URL": local.api_url,
        "DISCORD_GATEWAY_URL": local.gateway_url,
        "DISCORD_CDN_URL": local.cdn_url,
    } | environment


def registrations(local: LocalDiscord) -> list[str]:
    """Where commands were registered so far."""
    return [request.path for request in local.requests if request.method == "PUT"]


def names_in(directory: Path) -> set[str]:
    """What lies there."""
    return {path.name for path in directory.iterdir()}


def is_sentence(text: str) -> bool:
    """Words for people: nothing that Python prints by itself."""
    return text.endswith(".") and not any(word in text for word in ("Traceback", "Error:", "Exception", "<", ' File "'))


@pytest.fixture
async def local() -> AsyncIterator[LocalDiscord]:
    """A local Discord that is expected to refuse."""
    async with LocalDiscord() as server:
        yield server


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
            assert told.error.startswith("There is no token")
            assert "DISCORD_TOKEN" in told.error
        assert names_in(tmp_path) == set()

    async def test_a_wrong_token_is_told_in_a_sentence(self, tmp_path: Path, local: LocalDiscord) -> None:
        wrong = "MTIzNDU2.wrong-token.aBcDeFgHiJkLmNoPqRsTuVwXyZ"
        for told in await both(tmp_path, **at(local, DISCORD_TOKEN=wrong)):
            assert (told.code, told.out) == (2, "")
            assert is_sentence(told.error)
            assert told.error.startswith("Discord refuses the token")
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


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Ended]:
    """What it says without a token, with everything in place, and with everything wrong: each takes seconds."""
    bare, well, wrong = (tmp_path_factory.mktemp(name) for name in ("bare", "well", "wrong"))
    (wrong / "data").write_text("not a directory")

    async def examine() -> tuple[Ended, Ended, Ended]:
        async with LocalDiscord() as local:
            settings = {"VGG19_WEIGHTS": "/nowhere/vgg19.pt", "SCHEDULER": "tcp://127.0.0.1:1"}
            return await asyncio.gather(
                atelier(bare, "doctor"),
                atelier(well, "doctor", **at(local)),
                atelier(wrong, "doctor", **at(local, DISCORD_TOKEN="abc.def.ghi", **settings)),
            )

    with asyncio.Runner() as runner:
        return dict(zip(("bare", "well", "wrong"), runner.run(examine()), strict=True))


class TestDoctor:
    def test_without_a_token_finds_everything_else_well(self, told: dict[str, Ended]) -> None:
        bare = told["bare"]
        assert (bare.code, bare.error) == (1, "")
        assert bare.out.count("✗") == 1
        assert "✗ Discord: no token" in bare.out
        for subject in ("device", "weights", "decoder", "disk", "pictures", "key", "database", "scheduler"):
            assert f"✓ {subject}: " in bare.out

    def test_with_everything_in_place_finds_all_well(self, told: dict[str, Ended]) -> None:
        well = told["well"]
        assert (well.code, well.error) == (0, "")
        assert well.out.count("✓") == 9
        assert "✓ decoder: decoded a picture, confined by " in well.out
        assert "✗" not in well.out
        assert "logged in as Atelier" in well.out

    def test_names_what_is_wrong_and_the_setting_that_mends_it(self, told: dict[str, Ended]) -> None:
        wrong = told["wrong"]
        assert (wrong.code, wrong.error) == (1, "")
        findings = dict(part.split(": ", 1) for part in wrong.out.split("✗ ")[1:])
        assert sorted(findings) == ["Discord", "database", "disk", "pictures", "scheduler", "weights"]
        assert "/nowhere/vgg19.pt" in findings["weights"]
        for subject, setting in [
            ("weights", "VGG19_WEIGHTS"),
            ("disk", "DATA_DIRECTORY"),
            ("pictures", "BLOBS_URL"),
            ("database", "DATABASE_URL"),
            ("scheduler", "SCHEDULER"),
        ]:
            assert setting in findings[subject]
        assert "refuses the token" in findings["Discord"]
        assert "abc.def.ghi" not in wrong.out

    async def test_tells_of_secrets_without_showing_them(self, tmp_path: Path, unused_tcp_port: int) -> None:
        (tmp_path / "token").write_text("s3cret.to.ken\n")
        (tmp_path / "data").mkdir()
        (tmp_path / "data" / "secret.key").write_text(f"{new_key()}\n")
        (tmp_path / "data" / "secret.key").chmod(0o640)
        url = f"postgresql+asyncpg://atelier:s3cret/pass@word@127.0.0.1:{unused_tcp_port}/atelier"
        told = await atelier(
            tmp_path,
            "doctor",
            DEVICE="cuda:77",
            DATABASE_URL=url,
            DISCORD_TOKEN_FILE="token",
            DISCORD_API_URL=f"http://127.0.0.1:{unused_tcp_port}",
        )
        assert (told.code, told.error) == (1, "")
        findings = dict(part.split(": ", 1) for part in told.out.replace("✓ ", "✗ ").split("✗ ")[1:])
        assert "chmod 600" in findings["key"]
        assert "DATABASE_URL" in findings["database"]
        assert "cuda:77" in findings["device"]
        for subject in ("device", "weights"):
            assert "DEVICE" in findings[subject]
            assert "VGG19_WEIGHTS" not in findings[subject]
        assert "s3cret" not in told.out

    async def test_names_a_file_that_holds_no_key(self, tmp_path: Path) -> None:
        (tmp_path / "data").mkdir()
        (tmp_path / "data" / "secret.key").write_text("s3cret")
        told = await atelier(tmp_path, "doctor", DEVICE="nowhere")
        assert "data/secret.key holds no key" in told.out.replace(" data", "data")
        assert "s3cret" not in told.out


class TestKey:
    async def test_is_what_the_setting_takes(self, tmp_path: Path) -> None:
        first, second = await asyncio.gather(*(atelier(tmp_path, "key") for _ in range(2)))
        assert (first.code, first.error) == (0, "")
        assert first.out != second.out
        keys = SecretStr(f"{first.out},{second.out}")
        assert Settings(_env_file=None, secret_key=keys).secret_keys == (first.out, second.out)
        assert names_in(tmp_path) == set()


def seen_by_others(folder: Path) -> list[Path]:
    """What others have a right on, of it and all below."""
    return [path for path in (folder, *folder.rglob("*")) if path.stat().st_mode & 0o077]


class TestRun:
    async def test_connects_serves_health_and_stops_well_when_asked(
        self, tmp_path: Path, local: LocalDiscord, unused_tcp_port: int
    ) -> None:
        environment = at(local, HEALTH_PORT=str(unused_tcp_port), LOG_FORMAT="json", LOG_LEVEL="INFO")
        data = tmp_path / "data"
        data.mkdir()
        data.chmod(0o777)
        (data / "secret.key").write_text(f"{new_key()}\n")
        async with started(tmp_path, "run", **environment) as process:
            await local.wait_for_bot(90)
            assert names_in(data) >= {"atelier.db", "atelier.db-wal", "secret.key", "blobs"}
            assert seen_by_others(data) == []
            async with (
                aiohttp.ClientSession() as session,
                session.get(f"http://127.0.0.1:{unused_tcp_port}/healthz") as response,
            ):
                assert (await response.json())["workers"] is True
            family = psutil.Process(process.pid).children(recursive=True)
            process.send_signal(signal.SIGTERM)
            async with asyncio.timeout(15):
                told = await ended(process)
        assert told.code == 0
        assert '"event": "stopping"' in told.error
        assert "Traceback" not in told.error
        assert local.token not in told.error
        assert "atelier.db" in names_in(tmp_path / "data")
        assert family
        assert psutil.wait_procs(family, timeout=15)[1] == []

    @pytest.mark.parametrize(
        ("moment", "send", "number"),
        [
            ("login", os.kill, signal.SIGTERM),
            ("login", os.killpg, signal.SIGTERM),
            ("worker", os.kill, signal.SIGTERM),
            ("worker", os.killpg, signal.SIGTERM),
            ("worker", os.killpg, signal.SIGINT),
            ("run", os.killpg, signal.SIGINT),
        ],
    )
    async def test_a_signal_ends_it_well(
        self, tmp_path: Path, local: LocalDiscord, moment: str, send: Callable[[int, int], None], number: int
    ) -> None:
        """A container's runtime sends it to the process, a service manager and a terminal to the whole group."""
        if moment == "login":
            local.fail_next(ME, 503, times=9)
        asked = asyncio.Event()
        local.on_request(lambda _: asked.set())
        async with started(tmp_path, "run", **at(local)) as process, asyncio.timeout(60):
            await (local.wait_for_bot(50) if moment == "run" else asked.wait())
            family: list[psutil.Process] = []
            while moment == "worker" and not any("spawn_main" in " ".join(each.cmdline()) for each in family):
                await asyncio.sleep(0.05)
                family = [each for each in psutil.Process(process.pid).children(True) if each.is_running()]
            send(process.pid, number)
            async with asyncio.timeout(9):
                told = await ended(process)
            assert (told.code, told.out) == (0, "")
            assert "Traceback" not in told.error
            assert "fault of ours" not in told.error
            assert psutil.wait_procs(family, timeout=5)[1] == []

    async def test_a_second_signal_ends_it_at_once(self, tmp_path: Path, local: LocalDiscord) -> None:
        async with started(tmp_path, "run", **at(local, LOG_LEVEL="INFO")) as process, asyncio.timeout(90):
            await local.wait_for_bot(90)
            for each in psutil.Process(process.pid).children(True):
                each.suspend()  # so that its end takes time
            process.terminate()
            assert process.stderr is not None
            while b"stopping" not in await process.stderr.readline():
                pass
            process.terminate()
            async with asyncio.timeout(2):
                # Not wait(): that is also for the pipes, which the suspended ones hold.
                while process.returncode is None:  # noqa: ASYNC110 - another process ends
                    await asyncio.sleep(0.02)
            assert process.returncode == 128 + signal.SIGTERM

    async def test_trouble_at_login_is_waited_out(self, tmp_path: Path, local: LocalDiscord, scheduler: str) -> None:
        local.fail_next(ME, 503)
        local.fail_next(ME, 429, html="<html>error code: 1015</html>")
        async with started(tmp_path, "run", **at(local, SCHEDULER=scheduler)) as process:
            await local.wait_for_bot(60)
            process.terminate()
            async with asyncio.timeout(15):
                told = await ended(process)
        assert local.unmet == []
        assert told.code == 0
        assert told.error.count("logging in to Discord failed") == 2
        assert "Traceback" not in told.error

    @pytest.mark.parametrize("setting", ["DISCORD_API_URL", "DISCORD_GATEWAY_URL"])
    async def test_a_discord_that_does_not_answer_is_asked_again(
        self, tmp_path: Path, local: LocalDiscord, scheduler: str, unused_tcp_port: int, setting: str
    ) -> None:
        scheme = "ws" if "GATEWAY" in setting else "http"
        nowhere = {setting: f"{scheme}://127.0.0.1:{unused_tcp_port}/"}
        words = b"the gateway can't be reached" if "GATEWAY" in setting else b"logging in to Discord failed"
        environment = at(local, SCHEDULER=scheduler) | nowhere
        async with started(tmp_path, "run", **environment) as process, asyncio.timeout(60):
            assert process.stderr is not None
            for _ in range(2):
                while words not in (line := await process.stderr.readline()):
                    assert line
            process.terminate()
            assert await process.wait() == 0

    @pytest.mark.parametrize("limit", ["ulimit -v 600000", "ulimit -v 2500000", "ulimit -n 20"])
    async def test_a_limit_that_is_too_low_is_told_in_a_sentence(
        self, tmp_path: Path, local: LocalDiscord, limit: str
    ) -> None:
        told = await atelier(tmp_path, "run", limit=limit, **at(local))
        assert (told.code, told.out) == (1, "")
        assert limit.rpartition(" ")[0] in told.error
        assert "too low" in told.error
        assert "Traceback" not in told.error


AS_PROCESS_1 = """
import os, signal, sys, time
from engine.cluster.signals import reap_as_process_1
reap_as_process_1()
assert os.getpid() != 1
signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))
read, write = os.pipe()
if not (parent := os.fork()):
    if not (orphan := os.fork()):
        time.sleep(0.1)  # until its parent is gone
        os._exit(0)
    os.write(write, str(orphan).encode())
    os._exit(0)
os.waitpid(parent, 0)
orphan = int(os.read(read, 20))
while True:
    try:
        os.kill(orphan, 0)
    except ProcessLookupError:
        break
    time.sleep(0.05)
print("reaped", flush=True)
signal.pause()
"""


async def test_as_process_1_it_reaps_and_passes_signals_on() -> None:
    """In a namespace of its own, as in a container."""
    process = await asyncio.create_subprocess_exec(
        *("unshare", "--user", "--map-root-user", "--pid", "--fork", "--kill-child", sys.executable, "-c"),
        AS_PROCESS_1,
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    async with asyncio.timeout(20):
        if not await process.stdout.readline():
            told = (await process.stderr.read()).decode()
            if "unshare" in told:
                pytest.skip(told)
            raise AssertionError(told)
        (first,) = psutil.Process(process.pid).children()
        first.terminate()
        assert await process.wait() == 7
