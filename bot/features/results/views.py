"""The components under a reply, made from its job."""

from functools import partial
from typing import Any

from discord import ui

from bot.client.client import Atelier
from bot.delivery.reply import Views
from bot.features.results.again import BUTTONS, PaintAgainButton
from bot.features.results.cancel import CancelButton
from bot.features.results.delete import DeleteButton
from bot.features.results.menu import ResultMenu
from bot.features.results.part import PartButton
from bot.features.results.progress import FinishButton, PingButton
from bot.features.results.style import AnotherStyleButton
from bot.features.results.tweak import TweakButton
from bot.jobs.model import Job
from engine.progress import Progress


def views(client: Atelier) -> Views:
    """The components under the replies of a client's jobs."""
    return Views(open_view, partial(result_view, client))


def open_view(job: Job, progress: Progress | None = None) -> ui.View:
    """The components of a job that is not finished. A part that its photo lacks can't be changed."""
    parts = () if progress is not None and progress.not_found else PartButton.of(job)
    return _view(CancelButton(job.id), FinishButton(job.id), PingButton(job.id), *parts)


def result_view(client: Atelier, job: Job) -> ui.View:
    """The components of a finished painting."""
    # An instant picture is finished before it is made bigger.
    hidden = {"bigger" if job.painted_recipe.method == "instant" else "standard"}
    if job.painted_recipe.frames > 1:
        hidden.add("bigger")  # clips have one size for each quality
    again = (PaintAgainButton(action, job.id) for action in BUTTONS if action not in hidden)
    view = _view(*again, TweakButton(job.id), AnotherStyleButton(job.id), DeleteButton(job.id))
    if menu := ResultMenu.of(client, job):
        view.add_item(menu)
    return view


def _view(*items: ui.Item[Any]) -> ui.View:
    view = ui.View(timeout=None)
    for item in items:
        view.add_item(item)
    return view
