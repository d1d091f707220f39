"""The scheduler process, to which bots and workers connect."""

import asyncio
import logging
from dataclasses import dataclass
from tempfile import TemporaryDirectory

import dask

from engine.cluster.restricted import FORGETTING, PaintingScheduler
from engine.cluster.safe_pickle import restrict
from engine.cluster.signals import leaving_on_signals
from engine.cluster.tls import TLS, listening_security

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SchedulerPlan:
    """Where a scheduler listens."""

    host: str | None = None
    """A name or address of this machine. None means all addresses with TLS, and loopback without."""
    port: int = 8786
    """0 for any free port."""
    tls: TLS | None = None
    dashboard: int | None = None
    """A port on loopback for Dask's dashboard, which has no authentication; None for no HTTP."""


async def serve(plan: SchedulerPlan) -> None:
    """Run until SIGTERM or SIGINT.

    Raises:
        ClusterUnsafe: others could connect without a certificate.
        OSError: the address is in use, or does not belong to this machine.
    """
    host = plan.host or ("" if plan.tls else "127.0.0.1")
    security = listening_security(host, plan.tls)
    restrict()
    leaving = leaving_on_signals()
    with TemporaryDirectory(prefix="atelier-") as scratch, dask.config.set(FORGETTING):
        async with PaintingScheduler(
            host=host or None,
            port=plan.port,
            protocol="tls" if security else "tcp",
            security=security,
            dashboard=plan.dashboard is not None,
            dashboard_address=f"127.0.0.1:{plan.dashboard or 0}",
            local_directory=scratch,
        ) as scheduler:
            log.info("the scheduler listens at %s", scheduler.address)
            ended = asyncio.create_task(scheduler.finished())
            left = asyncio.create_task(leaving.wait())
            await asyncio.wait((ended, left), return_when=asyncio.FIRST_COMPLETED)
            for task in (ended, left):
                task.cancel()
            log.info("the scheduler stops")
