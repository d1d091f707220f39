"""``/jobs``: pages through a member's jobs, with a menu that shows a painting again, and buttons that cancel."""

from bot.client.client import Atelier
from bot.features.my_jobs.command import jobs
from bot.features.my_jobs.menu import ShowMenu
from bot.features.my_jobs.page import PageButton


def setup(client: Atelier) -> None:
    """Add the command and its components."""
    client.tree.add_command(jobs)
    client.add_dynamic_items(ShowMenu, PageButton)
