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
from tests.benchmarks.simulation import placing, shards

DAY = 86_400.0


def of_shards(case: shards.Case) -> tuple[list[dict[str, Any]], Table]:
    """Several bots, one database."""
    table = Table(
        "bots", "waiting", "ideal jobs/s", "of the ideal", "idle before a job, mean / p99", "accepted in, p50 / p99",
        "bots' CPU a job", "busiest loop", "database's CPU a job", "statements a job", "lag p99", "machine",
        "lost / twice", title="bots and database, in real time",
    )  # fmt: skip
    told = asyncio.run(shards.measure(case))
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
    return [asdict(told)], table


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


def placing_cases(bots: int) -> list[placing.Case]:
    """Mixed workers, and the same ones throughout with paintings of 8.64 s."""
    policies: list[tuple[placing.Policy, int]] = [("first free", 1)]
    policies += [(policy, many) for policy in ("soonest", "soonest, idle first") for many in sorted({1, bots})]
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
    parser.add_argument("--minutes", type=float, default=3.0, help="how long is measured")
    parser.add_argument("--bots", type=int, default=4)
    parser.add_argument("--database", choices=["sqlite", "postgresql"], default="postgresql")
    parser.add_argument("--waiting", type=int, default=100, help="jobs in line, all the time")
    parser.add_argument("--part", action="append", choices=["shards", "placing"], help="repeatable")
    parser.add_argument("--json", type=Path, help="write what was measured here, too")
    arguments = parser.parse_args()
    seconds = arguments.workers / (arguments.jobs_per_day / DAY)
    case = shards.Case(
        database=arguments.database,
        bots=arguments.bots,
        workers=arguments.workers,
        seconds=seconds,
        waiting=arguments.waiting,
        measured=60 * arguments.minutes,
    )
    parts: dict[str, Callable[[], tuple[list[dict[str, Any]], Table]]] = {
        "placing": lambda: of_placing(placing_cases(arguments.bots)),
        "shards": lambda: of_shards(case),
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
