"""Lists the workers of a cluster."""

from distributed.core import rpc

from engine.cluster.tls import TLS, scheduler_security

TIMEOUT = 10.0
"""Seconds within which the scheduler must answer."""


async def members(scheduler: str, tls: TLS | None) -> list[str]:
    """The names of the workers of ``scheduler``.

    Raises:
        ClusterUnsafe: the address needs certificates, or they can't be used.
        OSError: the scheduler doesn't answer, or rejects the certificate.
    """
    security = scheduler_security(scheduler, tls)
    arguments = security.get_connection_args("client") if security else {}
    async with rpc(scheduler, connection_args=arguments, timeout=TIMEOUT) as remote:
        identity = await remote.identity(n_workers=-1)
    return sorted(str(worker["name"]) for worker in identity["workers"].values())
