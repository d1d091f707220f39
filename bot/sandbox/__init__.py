"""A local Discord: gateway, REST interface and file store on loopback, with members to talk to the bot.

It lets the bot run whole without a token and without a network. It knows what a bot like this one uses of Discord
and behaves like Discord there; anything else it refuses by name. Nothing of it imports the rest of the bot.
"""

from bot.sandbox.archive import ArchivedMessage
from bot.sandbox.clock import SandboxClock
from bot.sandbox.ledger import RestRequest
from bot.sandbox.member import Member, Upload
from bot.sandbox.protocol.permissions import Permission
from bot.sandbox.rest.faults import Faults
from bot.sandbox.server import LocalDiscord
from bot.sandbox.state.commands import InvocationRefused
from bot.sandbox.state.invocation import Invocation
from bot.sandbox.state.messages import Attachment, Button, Message
from bot.sandbox.state.world import Place

__all__ = [
    "ArchivedMessage",
    "Attachment",
    "Button",
    "Faults",
    "Invocation",
    "InvocationRefused",
    "LocalDiscord",
    "Member",
    "Message",
    "Permission",
    "Place",
    "RestRequest",
    "SandboxClock",
    "Upload",
]
