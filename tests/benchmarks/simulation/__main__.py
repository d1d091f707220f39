"""``python -m tests.benchmarks.simulation --json FILE`` runs every part; ``--part`` those that it names."""

import argparse
import asyncio
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from tests.benchmarks import simulation
from tests.benchmarks.simulation import cluster, paper, placing, shards, start

KNEE = (1.0, 2.0, 4.0, 8.0)
"""Factors on the rate: paintings are shorter by as much."""
EVENTS = (1.0, 4.0, 16.0)


def of_shards(cases: Sequence[shards.Case]) -> tuple[list[dict[str, Any]], Table]:
    """Several bots, one database."""
    table = Table(
        "bots", "waiting", "ideal jobs/s", "of the ideal", "idle before a job, mean / p99", "accepted in, p50 / p99",
        "bots' CPU a job", "busiest loop", "database's CPU a job", "statements a job", "lag p99", "machine",
        "lost / twice", title="bots and database, in real time",
    )  # fmt: skip
    found = []
    for case in cases:
        told = asyncio.run(shards.measure(case))
        found.append(asdict(told))
        table.add_row(
            f"{case.bots} ({case.database})",
            str(case.waiting),
            f"{told.ideal:.1f}",
            f"{told.busy:.1%}",
            f"{told.idle_ms_mean:.0f} / {told.idle_ms_p99:.0f} ms",
            f"{told.accepted_ms_p50:.0f} / {told.accepted_ms_p99:.0f} ms",
            f"{told.bot_ms_per_job:.1f} ms",
            f"{told.loop_busy:.0%}",
            f"{told.database_ms_per_job:.1f} ms",
            f"{told.statements_per_job:.1f}",
            f"{told.lag_ms_p99:.0f} ms",
            f"{told.machine_busy:.0%}",
            f"{told.lost} / {told.delivered_twice}",
        )
    return found, table


def of_cluster(cases: Sequence[cluster.Case]) -> tuple[list[dict[str, Any]], Table]:
    """Scheduler and client."""
    table = Table(
        "events/s of a painting", "preview", "pictures looked at", "jobs/s", "events/s", "scheduler", "client",
        "workers' process", "lag p99, scheduler / client", "an event's way, p50 / p99",
        title="Dask, in real time: shares of a core",
    )  # fmt: skip
    found = []
    for case in cases:
        told = asyncio.run(cluster.measure(case))
        found.append(asdict(told))
        table.add_row(
            f"{case.events:g}",
            f"{case.preview / 1000:.0f} kB",
            f"2 × {case.picture / 1000:.0f} kB",
            f"{told.jobs:.1f}",
            f"{told.events:.0f}",
            f"{told.scheduler:.0%}",
            f"{told.client:.0%}",
            f"{told.workers:.0%}",
            f"{told.scheduler_lag_ms_p99:.0f} / {told.client_lag_ms_p99:.0f} ms",
            f"{told.late_ms_p50:.0f} / {told.late_ms_p99:.0f} ms",
        )
    return found, table


def on_paper(given: paper.Assumptions) -> tuple[list[dict[str, Any]], Table]:
    """The arithmetic."""
    table = Table("what", "a job", "a second", "of its bound", "", title=f"on paper, {given.rate:.2f} jobs a second")
    found = list(paper.loads(given))
    for load in found:
        share = "" if load.share is None else f"{load.share:.0%}"
        table.add_row(
            load.what, f"{load.per_job:.2f} {load.unit}", f"{load.per_second:.1f} {load.unit}", share, load.note
        )
    table.caption = f"first: {paper.first(given).what}"
    return [asdict(load) | {"share": load.share} for load in found], table


def of_placing(cases: Sequence[placing.Case]) -> tuple[list[dict[str, Any]], Table]:
    """Placement."""
    table = Table(
        "workers", "load", "policy", "bots", "of the ideal", "mean", "p95", "moved", title="placement, virtual time"
    )
    found = []
    for case in cases:
        told = placing.Simulation(case).run()
        found.append(asdict(told))
        table.add_row(
            f"{case.gpus} GPUs, {case.cpus} CPUs",
            "endless" if case.load is None else f"{case.load:.0%}",
            case.policy,
            str(case.bots),
            f"{told.busy:.1%}",
            f"{told.mean:.1f} s",
            f"{told.p95:.1f} s",
            str(told.moved),
        )
    return found, table


def of_start(cases: Sequence[start.Case]) -> tuple[list[dict[str, Any]], Table]:
    """A long line."""
    table = Table(
        "waiting", "first place", "first progress", "first end", "places told", "ends", "statements", "lag p99 / max",
        title="a start on a long line, in real time",
    )  # fmt: skip
    found = []
    for case in cases:
        told = asyncio.run(start.measure(case))
        found.append(asdict(told))
        table.add_row(
            f"{case.waiting} ({case.database})",
            f"{told.first_place:.2f} s",
            f"{told.first_progress:.2f} s",
            f"{told.first_end:.2f} s",
            f"{told.places} in {case.measured:.0f} s",
            str(told.ends),
            str(told.statements),
            f"{told.lag_ms_p99:.0f} / {told.lag_ms_max:.0f} ms",
        )
    return found, table


def placing_cases(bots: int) -> list[placing.Case]:
    """Mixed workers, and the same ones throughout with paintings of 8.64 s."""
    policies: list[tuple[placing.Policy, int]] = [("first free", 1)]
    policies += [(policy, many) for policy in ("soonest", "soonest, none idle") for many in sorted({1, bots})]
    loads = (0.5, 0.8, 0.95, None)
    mixed = [placing.Case(policy, load, bots=many) for load in loads for policy, many in policies]
    heavy = [case for case in mixed if case.load is None or case.load > 0.9]
    return mixed + [
        replace(case, gpus=0, cpus=100, pace=placing.pace(8.64), seconds=600.0, warm=100.0) for case in heavy
    ]


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=simulation.__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--workers", type=int, default=100)
    parser.add_argument("--jobs-per-day", type=int, default=1_000_000)
    parser.add_argument("--minutes", type=float, default=3.0, help="measured at the full rate; a third at others")
    parser.add_argument("--bots", type=int, default=4)
    parser.add_argument("--database", choices=["sqlite", "postgresql"], default="postgresql")
    parser.add_argument("--waiting", type=int, default=100, help="jobs in line, all the time")
    parser.add_argument("--history", type=int, default=0, help="jobs that ended before, in the database")
    parser.add_argument("--knee", type=float, nargs="*", default=KNEE, help="factors on the rate")
    parser.add_argument(
        "--part", action="append", choices=["shards", "start", "cluster", "paper", "placing"], help="repeatable"
    )
    parser.add_argument("--json", type=Path, help="write what was measured here, too")
    arguments = parser.parse_args()
    seconds = arguments.workers / (arguments.jobs_per_day / paper.DAY)
    measured = 60 * arguments.minutes
    several = [
        shards.Case(
            database=arguments.database,
            bots=arguments.bots,
            workers=arguments.workers,
            seconds=seconds / factor,
            waiting=arguments.waiting,
            history=arguments.history,
            measured=measured if factor == 1 else measured / 3,
        )
        for factor in arguments.knee
    ]
    assumptions = paper.Assumptions(arguments.jobs_per_day, arguments.workers)
    dask = cluster.Case(workers=arguments.workers, seconds=seconds, measured=measured / 3)
    plain = replace(dask, preview=0, picture=0)
    parts: dict[str, Callable[[], tuple[list[dict[str, Any]], Table]]] = {
        "paper": lambda: on_paper(assumptions),
        "placing": lambda: of_placing(placing_cases(arguments.bots)),
        "cluster": lambda: of_cluster([dask, *(replace(plain, events=events) for events in EVENTS)]),
        "start": lambda: of_start([start.Case(database=arguments.database)]),
        "shards": lambda: of_shards(several),
    }
    found = {}
    for name, part in parts.items():
        if not arguments.part or name in arguments.part:
            found[name], table = part()
            Console(width=200).print(table)
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
