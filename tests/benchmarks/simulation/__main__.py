"""``python -m tests.benchmarks.simulation`` runs both parts; ``--part`` the one that it names."""

import asyncio
from dataclasses import replace
from typing import Annotated, Literal

import typer
from rich.console import Console
from rich.table import Table

from tests.benchmarks.machine import Count, described
from tests.benchmarks.simulation import placing, shards

DAY = 86_400.0


def of_shards(case: shards.Case) -> Table:
    """A table for several bots on one database."""
    told = asyncio.run(shards.measure(case))
    table = Table(
        "of the ideal", "idle before a job, mean", "bots' CPU a job", "database's CPU a job", "statements a job",
        "lost / twice", title=f"{case.bots} bots and {case.database}, in real time",
    )  # fmt: skip
    table.add_row(
        f"{told.busy:.1%}",
        f"{told.idle_ms_mean:.0f} ms",
        f"{told.bot_ms_per_job:.1f} ms",
        f"{told.database_ms_per_job:.1f} ms",
        f"{told.statements_per_job:.1f}",
        f"{told.lost} / {told.delivered_twice}",
    )
    return table


def of_placing(bots: int) -> Table:
    """A table for placement among workers of different speeds, and among equal ones with paintings of 8.64 s."""
    policies: list[tuple[placing.Policy, int]] = [("first free", 1)]
    policies += [(policy, many) for policy in ("soonest", "soonest, idle first") for many in sorted({1, bots})]
    cases = [placing.Case(policy, load, bots=many) for load in (0.5, 0.95, None) for policy, many in policies]
    endless = [case for case in cases if case.load is None]
    cases += [replace(case, gpus=0, cpus=100, pace=placing.pace(8.64), seconds=600.0, warm=100.0) for case in endless]
    table = Table("workers", "load", "policy", "bots", "of the ideal", "mean", title="placement, virtual time")
    for case in cases:
        told = placing.Simulation(case).run()
        table.add_row(
            f"{case.gpus} GPUs, {case.cpus} CPUs",
            "endless" if case.load is None else f"{case.load:.0%}",
            case.policy,
            str(case.bots),
            f"{told.busy:.1%}",
            f"{told.mean:.1f} s",
        )
    return table


def main(
    workers: Count = 100,
    jobs_per_day: Count = 1_000_000,
    minutes: Annotated[float, typer.Option(help="How long is measured.")] = 3.0,
    bots: Count = 4,
    database: shards.Kind = "postgresql",
    waiting: Annotated[int, typer.Option(help="Jobs in line, all the time.")] = 100,
    part: Annotated[Literal["shards", "placing"] | None, typer.Option(help="Only this one.")] = None,
) -> None:
    """A million jobs a day over a hundred workers: several bots on one database, and placement."""
    console = Console(width=150)
    console.print(described(), highlight=False, markup=False)
    if part != "shards":
        console.print(of_placing(bots))
    if part != "placing":
        seconds = workers / (jobs_per_day / DAY)
        console.print(of_shards(shards.Case(database, bots, workers, seconds, waiting, measured=60 * minutes)))


if __name__ == "__main__":
    typer.run(main)
