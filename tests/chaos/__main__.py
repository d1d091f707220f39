"""``python -m tests.chaos``: check that no accepted job is lost or answered twice.

The real bot, a real database, a real Dask cluster and the real engine at thumbnail sizes run as separate processes
under a supervisor. Simulated members ask for pictures through the local Discord, cancel some, and press twice.
Meanwhile bots, workers and the scheduler are killed at every change of a job's state and at random moments, and Discord
fails in several ways. Afterwards each accepted job must have exactly one final answer. Otherwise the exit code is 1.
"""

import argparse
import asyncio
import json
import signal
import tempfile
from contextlib import ExitStack
from pathlib import Path

from rich.console import Console

from tests import postgresql
from tests.chaos.report import Report
from tests.chaos.run import Scenario, run


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=100, help="the number of jobs to accept (100)")
    parser.add_argument("--members", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0, help="of the random choices; timing is not reproducible")
    parser.add_argument("--minutes", type=float, default=180.0, help="after which members order no more (180)")
    parser.add_argument("--bots", type=int, default=1, help="processes: one shard each, one database for all")
    parser.add_argument("--workers", type=int, default=1, help="with a scheduler; 0: each bot has its own")
    parser.add_argument(
        "--database",
        default="sqlite",
        help="sqlite, postgresql (a server is started), or SQLAlchemy's URL of an empty database (sqlite)",
    )
    parser.add_argument("--kill-every", type=float, default=6.0, help="mean seconds between signals; 0 for none")
    parser.add_argument("--fault-every", type=float, default=8.0, help="mean seconds between larger faults; 0 for none")
    parser.add_argument("--folder", type=Path, help="an empty folder for data and logs, kept (a temporary one)")
    parser.add_argument("--json", type=Path, help="write the report here, too")
    arguments = parser.parse_args()
    with ExitStack() as stack:
        folder = arguments.folder or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="atelier-chaos-")))
        folder.mkdir(parents=True, exist_ok=True)
        scenario = _scenario(arguments, _database(arguments.database, stack))
        report = asyncio.run(_run(scenario, folder))
    report.show(Console())
    if arguments.json:
        arguments.json.write_text(json.dumps(report.as_json(), indent=2))
    return 0 if report.passed else 1


async def _run(scenario: Scenario, folder: Path) -> Report:
    """Run it. SIGTERM ends it like Ctrl-C, and leaves no process and no disk behind."""
    running = asyncio.ensure_future(run(scenario, folder))
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, running.cancel)
    return await running


def _database(wanted: str, stack: ExitStack) -> str | None:
    """The URL of the database, None for SQLite beside the pictures. ``stack`` ends what is started for it."""
    if wanted == "sqlite":
        return None
    if wanted != "postgresql":
        return wanted
    where = postgresql.programs()
    if where is None:
        raise SystemExit("PostgreSQL is not installed")
    return stack.enter_context(stack.enter_context(postgresql.serving(where)).database())


def _scenario(arguments: argparse.Namespace, database: str | None) -> Scenario:
    return Scenario(
        jobs=arguments.jobs,
        members=arguments.members,
        seed=arguments.seed,
        minutes=arguments.minutes,
        bots=arguments.bots,
        workers=arguments.workers,
        database=database,
        kill_every=arguments.kill_every or None,
        fault_every=arguments.fault_every or None,
    )


if __name__ == "__main__":
    raise SystemExit(main())
