"""The result of a run of the chaos test, as JSON and as a table."""

import json
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from tests.chaos.checker import Finding
from tests.chaos.killer import Killer
from tests.chaos.members import RequestLog
from tests.chaos.watch import Watch

_NUMBERS: Final = re.compile(r"[0-9a-f-]{16,}")


@dataclass(frozen=True, slots=True)
class Report:
    """Counts, and all violations."""

    seed: int
    seconds: float
    jobs: int
    """Accepted: their rows are in the database."""
    states: dict[str, int]
    delivered_by: dict[str, int]
    causes: dict[str, int]
    kills: dict[str, int]
    """SIGKILLs by victim."""
    signals: dict[str, int]
    """Every SIGKILL, SIGTERM and SIGSTOP by victim and moment."""
    missed: int
    faults: dict[str, int]
    resumed: int
    """Delivered jobs that had a checkpoint when a bot, worker or scheduler got a signal."""
    interrupted: int
    """Delivered jobs that were running when a bot, worker or scheduler got a signal."""
    most_work_lost: float
    """The most seconds of visible work by which a painting went back."""
    cancelled: int
    refused: dict[str, int]
    """Requests that were answered by a text instead of a job."""
    unacknowledged: int
    """Requests without an answer within Discord's three seconds. Discord shows an error to the member."""
    only_acknowledged: int
    """Requests whose bot died between "thinking …" and the job, so that nothing was promised."""
    unexpected_exits: dict[str, int]
    """How often processes ended by themselves. Workers do so when their scheduler is gone."""
    shutdown_seconds: float
    """The longest time that a bot took to end after SIGTERM."""
    fetched: int
    """Paintings that could not be delivered and that their member fetched with ``/jobs``."""
    orphans: int
    """Blobs that no job claims at the end."""
    errors: dict[str, int]
    """Lines of the bots' logs at level error or above, by event."""
    lost: int
    doubled: int
    findings: list[dict[str, str]]

    @property
    def passed(self) -> bool:
        """Whether nothing is wrong."""
        return not self.findings

    def as_json(self) -> dict[str, Any]:
        """Everything, under the fields' names."""
        return {name: getattr(self, name) for name in self.__slots__}

    def show(self, console: Console) -> None:
        """Print it."""
        table = Table("", "", show_header=False, title="lost nothing" if self.passed else "[red]something is wrong[/]")
        for name, value in self.as_json().items():
            if name == "findings":
                continue
            shown = ", ".join(f"{key}: {count}" for key, count in value.items()) if isinstance(value, dict) else value
            table.add_row(name.replace("_", " "), str(round(shown, 1) if isinstance(shown, float) else shown))
        console.print(table)
        for finding in self.findings:
            console.print(f"[red]{finding['kind']}[/] {finding['job']}: {finding['detail']}", highlight=False)


def outcomes(request_log: RequestLog) -> tuple[Counter[str], int, int]:
    """The requests that became no job: refused, by text; unacknowledged; and only acknowledged."""
    refused: Counter[str] = Counter()
    unacknowledged = only_acknowledged = 0
    for request in request_log.requests:
        if request_log.job(request) is not None:
            continue
        if request.invocation.acknowledged_after is None:
            unacknowledged += 1
        elif told := request_log.refusal(request):
            refused[told.split("`")[0].split(".")[0][:60]] += 1
        else:
            only_acknowledged += 1
    return refused, unacknowledged, only_acknowledged


def survivors(watch: Watch, killer: Killer) -> tuple[int, int]:
    """How many delivered jobs had a checkpoint at the time of a signal, and how many were running."""
    delivered = {row.id for row in watch.rows.values() if row.state == "delivered"}
    kept = {job for signal in killer.sent for job in signal.kept}
    running = {job for signal in killer.sent for job in signal.running}
    return len(kept & delivered), len(running & delivered)


def logged_errors(logs: Iterable[Path]) -> Counter[str]:
    """Lines at level error or above, by event."""
    found: Counter[str] = Counter()
    for path in logs:
        for line in path.read_text(errors="replace").splitlines():
            try:
                entry = json.loads(line)
            except ValueError:
                found["(a line that is not JSON)"] += 1
                continue
            if isinstance(entry, dict) and entry.get("level") in {"error", "critical"}:
                found[_NUMBERS.sub("…", str(entry.get("event")))[:80]] += 1
    return Counter(dict(found.most_common(20)))


def as_dicts(findings: Iterable[Finding]) -> list[dict[str, str]]:
    """Findings as JSON objects."""
    return [{"kind": finding.kind, "job": finding.job, "detail": finding.detail} for finding in findings]
