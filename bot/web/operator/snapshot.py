"""The state of the bot at one moment, as the JSON that the operator's page shows. It names no member."""

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from bot import texts
from bot.error_messages import error_message
from bot.jobs.database.overview import Glance, JobsAtAGlance
from bot.jobs.errors import JobUnreadable
from bot.jobs.model import FAILED, OPEN, RETRY, State
from bot.web.health import Finding
from bot.web.operator.live import LiveProgress
from engine.worker.protocol import WorkerInfo


@dataclass(frozen=True, slots=True)
class Disk:
    """Storage, in bytes."""

    used: int
    """By pictures and checkpoints."""
    free: int | None
    """On their disk. None in an object store."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What is known. None stands for what could not be read."""

    jobs: JobsAtAGlance | None
    workers: Sequence[WorkerInfo] | None
    health: Mapping[str, Finding] | None
    causes: Mapping[str, int] | None
    """How many jobs failed lately, by the names of their causes."""
    disk: Disk | None
    live: LiveProgress
    process: str
    """The id of this bot process in the database."""
    pictures: bool
    """Whether the page shows members' pictures, and the names of their files."""


def described(now: Snapshot, *, acts: bool) -> dict[str, Any]:
    """The state as JSON. Times are in milliseconds since 1970 or in seconds, sizes in bytes.

    With ``acts``, it has the ids of blocked members, whom an operator may want to unblock.
    """
    return {
        "at": round(time.time() * 1000),
        "parts": None if now.health is None else {part: _part(each) for part, each in now.health.items()},
        "workers": None if now.workers is None else [_worker(each) for each in now.workers],
        "causes": None if now.causes is None else sorted(now.causes.items(), key=lambda each: (-each[1], each[0])),
        "disk": None if now.disk is None else {"used": now.disk.used, "free": now.disk.free},
        "jobs": None if now.jobs is None else _jobs(now, now.jobs, acts=acts),
    }


def _part(finding: Finding) -> dict[str, Any]:
    return {"healthy": finding.healthy, "detail": finding.detail}


def _worker(info: WorkerInfo) -> dict[str, Any]:
    return {
        "name": info.name,
        "device": info.device,
        "precision": info.precision,
        "process": info.process,
        "busy": math.ceil(info.busy) if info.painting else None,
    }


def _jobs(now: Snapshot, jobs: JobsAtAGlance, *, acts: bool) -> dict[str, Any]:
    known = [*jobs.begun, *jobs.waiting, *jobs.ended]
    again = {each.parent for each in known if each.action == RETRY and each.state in {*OPEN, State.DELIVERED}}
    return {
        "queued": jobs.counts.get(State.QUEUED, 0),
        "running": jobs.counts.get(State.RUNNING, 0),
        "delivering": jobs.counts.get(State.DELIVERING, 0),
        "oldest": None if jobs.oldest is None else _age(jobs.oldest),
        "processes": jobs.processes,
        "paused": jobs.controls.paused,
        "draining": jobs.controls.draining,
        "blocked": len(jobs.controls.blocked),
        "members": [str(each) for each in sorted(jobs.controls.blocked)] if acts else None,
        "begun": [_begun(now, each) for each in jobs.begun],
        "waiting": [_job(now, each) for each in jobs.waiting],
        "ended": [_ended(now, each, again) for each in jobs.ended],
    }


def _job(now: Snapshot, job: Glance) -> dict[str, Any]:
    return {
        "id": job.id,
        "state": job.state,
        "age": _age(job.created_at),
        "size": job.painted.get("size") or job.recipe.get("size"),
        "steps": job.recipe.get("steps"),
        "method": job.recipe.get("method"),
        "description": texts.described(job.description) if now.pictures else None,
    }


def _begun(now: Snapshot, job: Glance) -> dict[str, Any]:
    live = now.live.get(job.id)
    progress = None
    if live is not None:
        progress = {
            "step": live.progress.step,
            "steps": live.progress.steps,
            "scale": live.progress.scale,
            "remaining": math.ceil(live.progress.remaining),
            "elapsed": round(live.progress.elapsed),
            "device": live.progress.device,
            "preview": live.number or None,
        }
    return _job(now, job) | {"here": job.process == now.process, "spoiler": job.spoiler, "progress": progress}


def _ended(now: Snapshot, job: Glance, again: set[str]) -> dict[str, Any]:
    failed = job.state in FAILED
    return _job(now, job) | {
        "ended": round(job.changed_at.timestamp() * 1000),
        "seconds": job.painted.get("seconds"),
        "delivered_by": job.delivered_by,
        "cause": type(job.cause).__name__ if job.cause is not None else None,
        "text": _plain(error_message(job.cause)) if job.cause is not None else None,
        "spoiler": job.spoiler,
        "picture": now.pictures and bool(job.painted) and not job.spoiler,
        "retried": failed and job.id in again,
        "retry": failed and job.id not in again and not isinstance(job.cause, JobUnreadable),
    }


def _age(since: datetime) -> int:
    return max(0, round((datetime.now(UTC) - since).total_seconds()))


def _plain(text: str) -> str:
    """A member's text without Discord's Markdown."""
    return text.replace("**", "").replace("`", "")
