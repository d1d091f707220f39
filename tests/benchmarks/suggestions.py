"""How long the suggestions for ``saved_style`` take: ``python -m tests.benchmarks.suggestions [URL]``.

The database has 10,000 styles of one member, and as many of a hundred others. Each text is searched many times, in a
library of 10,000 styles. Without a URL, the database is SQLite in a temporary folder.
"""

import argparse
import asyncio
import statistics
import time
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from rich.console import Console
from sqlalchemy import insert

from bot.jobs.database.cipher import Cipher, new_key
from bot.jobs.database.connect import connected
from bot.jobs.database.store import Store
from bot.jobs.database.styles import Library
from bot.jobs.database.tables import ClaimRow, StyleRow
from bot.jobs.model import new_id

STYLES: Final = 10_000
REPETITIONS: Final = 40
TEXTS: Final = ("", "s", "sun", "sunset 77", "et 4", "nothing like it")


async def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Measure the suggestions for saved styles.")
    parser.add_argument("url", nargs="?", help="SQLAlchemy's URL of an empty database")
    url = parser.parse_args().url
    console = Console()
    with TemporaryDirectory() as folder:
        async with connected(url or f"sqlite+aiosqlite:///{Path(folder) / 'styles.db'}") as engine:
            owners = [1] * STYLES + [2 + number % 100 for number in range(STYLES)]
            rows = [_row(owner, f"Sunset {number}") for number, owner in enumerate(owners)]
            roles = ("picture", "thumbnail")
            claims = [
                {"owner_kind": "style", "owner_id": row["id"], "role": role, "name": "a" * 64}
                for row in rows
                for role in roles
            ]
            async with engine.begin() as connection:
                await connection.execute(insert(StyleRow), rows)
                await connection.execute(insert(ClaimRow), claims)
            store = Store(engine, Cipher([new_key()]))
            for text in TEXTS:
                seconds = []
                for _ in range(REPETITIONS):
                    began = time.perf_counter()
                    found = await store.styles([Library("member", 1), Library("server", 2)], text, limit=25)
                    seconds.append(time.perf_counter() - began)
                median, worst = statistics.median(seconds) * 1000, max(seconds) * 1000
                console.print(f"{text!r}: {len(found)} of {STYLES}: median {median:.1f} ms, worst {worst:.1f} ms")


def _row(owner: int, name: str) -> dict[str, object]:
    return {
        "id": new_id(),
        "library_kind": "member",
        "library_id": owner,
        "key": name.casefold(),
        "name": name,
        "added_by": owner,
        "added_at": datetime.now(UTC),
    }


if __name__ == "__main__":
    asyncio.run(main())
