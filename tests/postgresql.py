"""A real PostgreSQL server for the tests: fixtures, loaded by ``tests/conftest.py``.

It has a temporary folder, listens only on a socket there, and ends with pytest, even if pytest is killed.
"""

import contextlib
import itertools
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
from sqlalchemy import make_url

USER = "atelier"
SETTINGS = """
listen_addresses = ''
unix_socket_directories = '{folder}'
max_connections = 200
shared_buffers = 32MB
fsync = off
synchronous_commit = off
full_page_writes = off
autovacuum = off
"""
# `read` returns when the pipe from pytest closes: when the fixture ends, but also when pytest is killed.
GUARD = """
folder=$1
{
  initdb --pgdata="$folder/data" --username="$2" --auth=trust --encoding=UTF8 --no-locale --no-sync &&
  printf %s "$3" >>"$folder/data/postgresql.conf" &&
  pg_ctl --pgdata="$folder/data" --log="$folder/log" --wait --silent start
} >"$folder/start" 2>&1 && echo ready || cat "$folder/start" "$folder/log"
exec >&- 2>&-
read -r _
pg_ctl --pgdata="$folder/data" --mode=immediate --silent stop
rm -rf "$folder"
"""


@dataclass
class Server:
    """A running server."""

    programs: Path
    folder: Path
    names: Iterator[str] = field(default_factory=lambda: (f"test_{number}" for number in itertools.count(1)))

    def say(self, program: str, *arguments: str) -> None:
        """Run one of PostgreSQL's programs for this server."""
        said = subprocess.run(
            [self.programs / program, f"--host={self.folder}", f"--username={USER}", *arguments],
            check=False,
            capture_output=True,
            text=True,
        )
        assert said.returncode == 0, said.stderr

    @contextlib.contextmanager
    def database(self) -> Iterator[str]:
        """SQLAlchemy's URL of a new, empty database; dropped on exit, even if there are connections."""
        name = next(self.names)
        self.say("createdb", name)
        try:
            yield f"postgresql+asyncpg://{USER}@/{name}?host={self.folder}"
        finally:
            self.say("dropdb", "--force", name)

    def empty(self, url: str, *tables: str) -> None:
        """Empty these tables of a database; fails when a transaction still locks one."""
        command = f"SET lock_timeout = '10s'; TRUNCATE {', '.join(tables)}"
        self.say("psql", "--command", command, str(make_url(url).database))


def programs() -> Path | None:
    """The folder of PostgreSQL's programs: Debian's newest version, or the programs on the path."""
    found = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/initdb")]
    if found:
        return max(found, key=lambda path: int(path.parent.name))
    on_path = shutil.which("initdb")
    return Path(on_path).resolve().parent if on_path else None


def account() -> dict[str, Any]:
    """Arguments of Popen that run it as another user than root, which PostgreSQL refuses."""
    if os.geteuid() != 0:
        return {}
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            entry = pwd.getpwnam(name)
            return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
    pytest.fail("PostgreSQL does not run as root, and there is no user postgres or nobody")


@contextlib.contextmanager
def serving(where: Path, environment: Mapping[str, str] = MappingProxyType({})) -> Iterator[Server]:
    """Start a server from the programs in ``where``, with this additional environment."""
    # A socket's path must be short, and the server's user must be able to enter the folder.
    folder = Path(tempfile.mkdtemp(prefix="atelier-postgresql-", dir="/tmp"))
    runs_as = account()
    if runs_as:
        os.chown(folder, runs_as["user"], runs_as["group"])
    guard = subprocess.Popen(
        ["/bin/sh", "-c", GUARD, "sh", folder, USER, SETTINGS.format(folder=folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        cwd=folder,
        env={"PATH": f"{where}:{os.defpath}", "LC_ALL": "C", **environment},
        start_new_session=True,  # Ctrl-C is for pytest
        **runs_as,
    )
    with guard:
        assert guard.stdout is not None
        said = guard.stdout.read().decode()
        if said != "ready\n":
            pytest.fail(f"PostgreSQL does not start: {said}")
        yield Server(where, folder)
    assert not folder.exists()


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Server]:
    """One server for each pytest process. Without PostgreSQL, tests that need it are skipped, but fail in CI."""
    where = programs()
    if where is None:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)("PostgreSQL is not installed")
    with serving(where) as server:
        yield server


@pytest.fixture
def postgresql_url(postgresql: Server) -> Iterator[str]:
    """SQLAlchemy's URL of an empty database in PostgreSQL."""
    with postgresql.database() as url:
        yield url
