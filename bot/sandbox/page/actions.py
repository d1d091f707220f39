"""What a page asks for. `contract.py` documents each action and its result."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from bot.sandbox.member import Member, OptionValue, Upload
from bot.sandbox.page.connection import Connection
from bot.sandbox.page.contract import Actor, Example, describe_message, is_in, place_of, sees
from bot.sandbox.protocol.errors import ApiError, JsonObject
from bot.sandbox.server import LocalDiscord
from bot.sandbox.state.commands import ATTACHMENT, USER, InvocationRefused
from bot.sandbox.state.invocation import ACKNOWLEDGE_WITHIN, NO_RESPONSE, Invocation
from bot.sandbox.state.messages import Record
from bot.sandbox.state.world import Channel

SHOWN_AT_ONCE = 50
"""Messages that the page gets when it opens a channel or scrolls up, as in Discord's own client."""


class Refused(Exception):
    """The page asked for something that can't be done. The message is a sentence for the reader of the page."""


Act = Callable[[Connection, JsonObject], Awaitable[JsonObject]]


class Actions:
    """The actions of the members of one local Discord."""

    def __init__(
        self,
        discord: LocalDiscord,
        actors: Mapping[int, Actor],
        examples: Mapping[str, Example],
        welcome: Callable[[Connection], None],
    ) -> None:
        """`welcome` sends a page the view of its member."""
        self._discord = discord
        self._parts = discord.parts
        self._actors = actors
        self._examples = examples
        self._welcome = welcome
        self._dismissed: set[int] = set()
        self.acts: dict[str, Act] = {
            "act_as": self._act_as,
            "language": self._language,
            "open": self._open,
            "commands": self._commands,
            "say": self._say,
            "delete": self._delete,
            "dismiss": self._dismiss,
            "invoke": self._invoke,
            "autocomplete": self._autocomplete,
            "menu": self._menu,
            "press": self._press,
            "choose": self._choose,
            "submit": self._submit,
        }

    async def perform(self, page: Connection, action: JsonObject) -> None:
        """Do what the page asks for, and send it the result or why there is none."""
        try:
            result = await self.acts.get(str(action.get("type")), _unknown)(page, action) | {"type": "done"}
        except (InvocationRefused, Refused) as refusal:
            result = {"type": "refused", "reason": str(refusal)}
        except ApiError as error:
            result = {"type": "refused", "reason": _sentence(error)}
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            result = {"type": "refused", "reason": f"The action is malformed: {error!r}."}
        page.put(result | {"id": action.get("id")})

    async def _act_as(self, page: Connection, action: JsonObject) -> JsonObject:
        page.actor = self._actor(action["member"])
        self._welcome(page)
        return {}

    async def _language(self, page: Connection, action: JsonObject) -> JsonObject:
        page.actor.member.locale = str(action["locale"])
        return {}

    async def _open(self, page: Connection, action: JsonObject) -> JsonObject:
        channel = self._channel(page, action)
        before = int(action["before"]) if action.get("before") else None
        user = page.actor.member.user
        seen = [
            record
            for record in self._parts.messages.whole_channel(channel.id)
            if (before is None or record.id < before)
            and record.id not in self._dismissed
            and sees(self._parts, user, record)
        ]
        shown = seen[-SHOWN_AT_ONCE:]
        return {
            "messages": [describe_message(self._parts, record) for record in shown],
            "more": len(seen) > len(shown),
        }

    async def _commands(self, page: Connection, action: JsonObject) -> JsonObject:
        return {"commands": self._member(page, action).commands()}

    async def _say(self, page: Connection, action: JsonObject) -> JsonObject:
        member = self._member(page, action)
        limit = self._discord.attachment_size_limit
        uploads = [self._upload(page, file) for file in action.get("files", [])]
        for upload in uploads:
            if len(upload.data) > limit:
                raise Refused(too_large(upload.filename, limit))
        self._parts.world.write(self._channel(page, action), new=True)
        message = await member.say(str(action.get("content", "")), *uploads)
        return {"message": str(message.id)}

    async def _delete(self, page: Connection, action: JsonObject) -> JsonObject:
        record = self._record(page, action)
        in_server = self._parts.world.channel(record.channel_id).guild_id is not None
        if record.author != page.actor.member.user and not (page.actor.moderates and in_server):
            raise Refused("You may delete your own messages only.")
        self._discord.delete_message(self._parts.messages.snapshot(record))
        return {}

    async def _dismiss(self, page: Connection, action: JsonObject) -> JsonObject:
        record = self._record(page, action)
        if record.visible_to is None:
            raise Refused("Only messages that you alone see can be dismissed.")
        self._dismissed.add(record.id)
        message = {"id": str(record.id), "channel_id": str(record.channel_id)}
        page.put({"type": "message", "change": "delete", "message": message})
        return {}

    def is_dismissed(self, message_id: int) -> bool:
        """Whether the member has dismissed an ephemeral message."""
        return message_id in self._dismissed

    async def _invoke(self, page: Connection, action: JsonObject) -> JsonObject:
        member, command = self._member(page, action), str(action["command"])
        options = self._options(page, member, command, action.get("options", {}))
        return await _answer(await member.invoke(command, **options))

    async def _autocomplete(self, page: Connection, action: JsonObject) -> JsonObject:
        member, command = self._member(page, action), str(action["command"])
        given = {name: value for name, value in action.get("options", {}).items() if not isinstance(value, dict)}
        options = self._options(page, member, command, given)
        invocation = await member.autocomplete(command, str(action["option"]), str(action["text"]), **options)
        await _acknowledged(invocation)
        return {"choices": list(invocation.choices)}

    async def _menu(self, page: Connection, action: JsonObject) -> JsonObject:
        record = self._record(page, action)
        member = self._at(page, self._parts.world.channel(record.channel_id))
        invocation = await member.invoke_on(str(action["command"]), self._parts.messages.snapshot(record))
        return await _answer(invocation)

    async def _press(self, page: Connection, action: JsonObject) -> JsonObject:
        message = self._parts.messages.snapshot(self._record(page, action))
        return await _answer(await page.actor.member.press(message, str(action["custom_id"])))

    async def _choose(self, page: Connection, action: JsonObject) -> JsonObject:
        message = self._parts.messages.snapshot(self._record(page, action))
        values = [str(value) for value in action["values"]]
        return await _answer(await page.actor.member.choose(message, str(action["custom_id"]), *values))

    async def _submit(self, page: Connection, action: JsonObject) -> JsonObject:
        invocation = self._parts.interactions.by_id.get(int(action["interaction"]))
        if invocation is None:
            raise Refused("This form is not open.")
        fields = {name: self._field(page, value) for name, value in action["fields"].items()}
        return await _answer(await page.actor.member.submit(invocation, **fields))

    def _field(self, page: Connection, value: Any) -> Any:
        if not isinstance(value, list):
            return str(value)
        return [self._upload(page, each) if isinstance(each, dict) else str(each) for each in value]

    def _actor(self, member_id: object) -> Actor:
        actor = self._actors.get(int(str(member_id)))
        if actor is None:
            raise Refused("There is no such member.")
        return actor

    def _channel(self, page: Connection, action: JsonObject) -> Channel:
        channel = self._parts.world.channel(int(action["channel"]))
        if not is_in(channel, page.actor.member.user):
            raise Refused("You don't see this channel.")
        return channel

    def _member(self, page: Connection, action: JsonObject) -> Member:
        """The member of the page in the channel of the action."""
        return self._at(page, self._channel(page, action))

    def _at(self, page: Connection, channel: Channel) -> Member:
        place = place_of(self._parts, channel)
        if place is None:
            raise Refused("Choose a post: a forum itself has no messages.")
        return page.actor.member.at(place)

    def _record(self, page: Connection, action: JsonObject) -> Record:
        record = self._parts.messages.get(int(action["message"]))
        if not sees(self._parts, page.actor.member.user, record):
            raise Refused("You don't see this message.")
        return record

    def _upload(self, page: Connection, file: JsonObject) -> Upload:
        if "example" in file:
            example = self._examples.get(str(file["example"]))
            upload = None if example is None else Upload(example.name, example.data, "image/jpeg")
        else:
            upload = page.uploads.get(str(file["upload"]))
        if upload is None:
            raise Refused("This file is no longer there: attach it again.")
        if file.get("spoiler"):
            name = f"SPOILER_{upload.filename}"
            return Upload(name, upload.data, upload.content_type, upload.width, upload.height)
        return upload

    def _options(
        self, page: Connection, member: Member, command: str, given: Mapping[str, Any]
    ) -> dict[str, OptionValue]:
        """The values as a member gives them: files and members for what the page names."""
        known = {option.name: option.type for option in member.options(command)}
        options: dict[str, OptionValue] = {}
        for name, value in given.items():
            if known.get(name) == ATTACHMENT:
                options[name] = self._upload(page, value)
            elif known.get(name) == USER:
                options[name] = self._actor(value).member
            else:
                options[name] = value
        return options


def too_large(filename: str, limit: int) -> str:
    """The sentence about a file of more than `limit` bytes."""
    return f"{filename} is too large: {limit / (1 << 20):.3g} MB is the limit here."


async def _unknown(page: Connection, action: JsonObject) -> JsonObject:
    raise Refused(f"There is no action {action.get('type')!r}.")


async def _answer(invocation: Invocation) -> JsonObject:
    """How the bot acknowledged."""
    await _acknowledged(invocation)
    answered = invocation.acknowledged_after is not None
    return {
        "interaction": str(invocation.id),
        "modal": invocation.modal,
        "failed": None if answered else NO_RESPONSE,
    }


async def _acknowledged(invocation: Invocation) -> None:
    try:
        await invocation.acknowledged(ACKNOWLEDGE_WITHIN + 0.1)
    except TimeoutError:
        return


def _sentence(error: ApiError) -> str:
    """The message of an error, and what is wrong with each field."""
    problems = list(_problems(error.extra.get("errors")))
    return f"{error.message} ({'; '.join(problems)})" if problems else error.message


def _problems(tree: object) -> list[str]:
    if not isinstance(tree, dict):
        return []
    found = [str(each["message"]) for each in tree.get("_errors", [])]
    return found + [problem for key, inner in tree.items() if key != "_errors" for problem in _problems(inner)]
