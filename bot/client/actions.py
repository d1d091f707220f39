"""The entries of the menu under a result, which features add."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import discord

from bot.jobs.model import Job


@dataclass(frozen=True, slots=True)
class ResultAction:
    """An entry of the menu under a result. A feature adds it in its ``setup``: ``client.result_actions[name] = …``."""

    label: str
    """In English, marked by :func:`bot.locales.N_`. Up to 100 characters in each language."""
    act: Callable[[discord.Interaction[Any], str], Awaitable[str | None]]
    """Called with the job's id when anybody who sees the result chooses it. Returns the answer for the member, or None
    if it has answered.
    """
    defers: bool = True
    """Show "thinking …" to the member alone before ``act``. If false, ``act`` must acknowledge within 3 s, for example
    by a modal or a public reply."""
    offered: Callable[[Job], bool] = lambda _: True
    """Whether it makes sense for a job. Called when the result is delivered."""
