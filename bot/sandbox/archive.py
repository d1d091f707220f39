"""Every message that was ever sent, for checks of what a bot did."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from bot.sandbox.state.invocation import Invocation
from bot.sandbox.state.messages import Message, MessageStore
from bot.sandbox.state.world import World


@dataclass(frozen=True, slots=True)
class ArchivedMessage:
    """The last state of a message, deleted or not, and how it came to be.

    `edits` counts its changes after it was sent, filling a placeholder among them. `nonce` is what the bot sent along,
    `interaction` the identifier of the interaction that it answers and `invoked_by` the member who began that,
    `replies_to` the identifier of the message that it replies to. `seen_by` are the names of the only members who see
    it, for direct messages and ephemeral ones; empty where everyone in the channel does.
    """

    message: Message
    edits: int
    nonce: str | int | None
    interaction: int | None
    invoked_by: str | None
    replies_to: int | None
    seen_by: tuple[str, ...]

    @property
    def by_bot(self) -> bool:
        """Whether the bot wrote it."""
        return self.message.author_is_bot

    @property
    def deleted(self) -> bool:
        """Whether it has been deleted."""
        return self.message.deleted


def archive(world: World, messages: MessageStore, invocations: Mapping[int, Invocation]) -> Iterator[ArchivedMessage]:
    """All messages of all channels, oldest first."""
    for record in messages.everything():
        invocation = None if record.interaction_id is None else invocations[record.interaction_id]
        recipients = world.channel(record.channel_id).recipients
        if record.visible_to is not None:
            recipients = (world.users[record.visible_to],)
        yield ArchivedMessage(
            message=messages.snapshot(record),
            edits=record.edits,
            nonce=record.nonce,
            interaction=record.interaction_id,
            invoked_by=None if invocation is None else invocation.user.name,
            replies_to=record.replies_to,
            seen_by=tuple(user.name for user in recipients),
        )
