"""Who has joined a scheduler."""

from distributed.core import rpc

from engine.cluster.tls import TLS, scheduler_security

SECONDS = 10.0
"""How long the scheduler may take to answer."""


async def members(scheduler: str, tls: TLS | None) -> list[str]:
    """The names of the workers.

    Raises:
        ClusterUnsafe: the address needs certificates, or they can't be used.
        OSError: nothing answers there, or not to us.
    """
    security = scheduler_security(scheduler, tls)
    arguments = security.get_connection_args("client") if security else {}
    async with rpc(scheduler, connection_args=arguments, timeout=SECONDS) as remote:
        identity = await remote.identity(n_workers=-1)
    return sorted(str(worker["name"]) for worker in identity["workers"].values())
