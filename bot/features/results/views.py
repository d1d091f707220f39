"""The components under a reply, made from its job."""

from functools import partial

from discord import ui

from bot.client.client import Atelier
from bot.delivery.reply import Views
from bot.features.my_jobs.cancel import CancelButton
from bot.features.results.menu import ResultMenu
from bot.jobs.model import Job


def views(client: Atelier) -> Views:
    """The components under the replies of a client's jobs."""
    return Views(open_view, partial(result_view, client))


def open_view(job: Job) -> ui.View:
    """The components of a job that is not finished."""
    view = ui.View(timeout=None)
    view.add_item(CancelButton(job.id))
    return view


def result_view(client: Atelier, job: Job) -> ui.View:
    """The components of a finished painting."""
    view = ui.View(timeout=None)
    if menu := ResultMenu.of(client, job):
        view.add_item(menu)
    return view
