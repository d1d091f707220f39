"""The button that deletes a result."""

import discord
import structlog

from bot.client.actor import actor_of
from bot.client.client import Atelier
from bot.client.components import JobButton
from bot.delivery.channels import DeliveryChannels, Rejection
from bot.delivery.target import ReplyTarget
from bot.features.results import texts
from bot.jobs.errors import DeliveryDelayed, JobEnded
from bot.jobs.model import Job

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class DeleteButton(JobButton, action="delete"):
    """Deletes a result: its message, its job, and the pictures that no other job needs.

    Only the job's owner and the moderators of its server may press it. Under a picture that ``/jobs`` shows again, it
    also deletes the message in which the picture was posted.
    """

    label = texts.DELETE
    style = discord.ButtonStyle.danger

    async def act(self, interaction: discord.Interaction[Atelier]) -> str:
        """Delete."""
        job: Job | None = None
        try:
            job = await interaction.client.services.jobs.delete(self.job, actor_of(interaction))
        except JobEnded:
            if not _may_remove(interaction):
                raise
        try:
            await interaction.delete_original_response()
        except discord.NotFound:
            pass
        except discord.HTTPException:
            return texts.message_stays()
        return texts.deleted() if job is None or await _removed(interaction, job) else texts.posted_stays()


def _may_remove(interaction: discord.Interaction[Atelier]) -> bool:
    """Whether a message whose job is not stored any more is a reply to the member, or they are a moderator there."""
    message = interaction.message
    asked = message.interaction_metadata if message is not None else None
    return (asked is not None and asked.user.id == interaction.user.id) or actor_of(interaction).moderates


async def _removed(interaction: discord.Interaction[Atelier], job: Job) -> bool:
    """Delete the message that shows the result, unless it had the button. Returns whether it is gone."""
    pressed = interaction.message
    if pressed is None or not pressed.flags.ephemeral:
        return True
    try:
        posted = ReplyTarget.model_validate_json(job.address)
        if posted.message == pressed.id:
            return True
        outcome = await DeliveryChannels(interaction.client, posted, job.id, job.owner).delete()
    except (DeliveryDelayed, ValueError) as error:  # the latter for a job from before its message was stored
        log.info("the message of a deleted job stays", job=job.id, reason=type(error).__name__)
        return False
    return not isinstance(outcome, Rejection)
