"""The connection to Discord's gateway."""

from types import SimpleNamespace
from typing import Any, cast

import discord.gateway

from bot.client.client import Atelier
from bot.settings import Settings


def test_a_heartbeat_that_is_answered_at_once_is_not_late() -> None:
    """The answer comes before the thread that sent the heartbeat runs again."""
    Atelier(Settings(_env_file=None))
    socket = cast(Any, SimpleNamespace(thread_id=0, _max_heartbeat_timeout=60, sequence=7, HEARTBEAT=1))
    handler = discord.gateway.KeepAliveHandler(ws=socket, interval=41.25)
    handler._last_send -= 41.25
    assert handler.get_payload() == {"op": 1, "d": 7}
    handler.ack()
    assert handler.latency < 1
