"""Errors of jobs. They extend the hierarchy in :mod:`engine.errors`."""

import json
from typing import Any, Final, Literal, get_type_hints

from pydantic import ConfigDict, TypeAdapter

from engine.errors import AtelierError, OperatorError, PaintingCancelled, PictureError
from engine.recipe import Inputs

Role = str
"""The role of a picture in an order: ``content``, ``style``, ``style 2`` … or ``mask``."""
MASK: Final[Role] = "mask"


def style_role(index: int) -> Role:
    """The role of the style picture with this index, from 0."""
    return f"style {index + 1}" if index else "style"


def role_of(index: int) -> Role:
    """The role of the picture with this index in an order: 0 is the content, then come the styles."""
    return style_role(index - 1) if index else "content"


def roles_of(inputs: Inputs[Any]) -> list[Role]:
    """The roles of an order's pictures, in their order."""
    return [*(role_of(index) for index in range(1 + len(inputs.styles))), *([MASK] if inputs.mask is not None else [])]


class PictureRejected(AtelierError):
    """One of a job's pictures can't be used."""

    def __init__(self, role: Role, reason: PictureError) -> None:
        super().__init__(role, reason)
        self.role = role
        self.reason = reason


class DownloadFailed(AtelierError):
    """A picture could not be downloaded. ``detail`` is for the log."""

    def __init__(self, role: Role, detail: str) -> None:
        super().__init__(role, detail)
        self.role = role
        self.detail = detail


class MixUnusable(AtelierError):
    """The member's mix does not give a share for each of ``styles`` style pictures."""

    def __init__(self, styles: int) -> None:
        super().__init__(styles)
        self.styles = styles


class PartUnusable(AtelierError):
    """The part to paint lacks something.

    ``lack``: ``mask`` is its mask picture, ``use`` a part that uses the given one, ``style`` a second style for the
    rest, and ``part`` a part that leaves a rest.
    """

    def __init__(self, lack: Literal["mask", "use", "style", "part"]) -> None:
        super().__init__(lack)
        self.lack = lack


class NoStyle(AtelierError):
    """The order has neither a style picture nor a saved style."""


class StyleGivenTwice(AtelierError):
    """The order has a picture and a saved style in the place of one style."""

    def __init__(self, role: Role) -> None:
        super().__init__(role)
        self.role = role


class StyleNotFound(AtelierError):
    """The member has no access to a style of this name, or a chosen style was removed. Then the name is empty.

    ``similar`` is the name of a style that they may mean, or empty.
    """

    def __init__(self, name: str, similar: str = "") -> None:
        super().__init__(name, similar)
        self.name = name
        self.similar = similar


class StyleNameUnusable(AtelierError):
    """The name of a style is empty or has more than ``limit`` characters."""

    def __init__(self, limit: int) -> None:
        super().__init__(limit)
        self.limit = limit


class StyleNameTaken(AtelierError):
    """The library has another style of this name."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


class TooManyStyles(AtelierError):
    """The library has the maximum number of styles. Its kind is ``member`` or ``server``."""

    def __init__(self, limit: int, kind: str) -> None:
        super().__init__(limit, kind)
        self.limit = limit
        self.kind = kind


class StyleBuiltIn(AtelierError):
    """A built-in style can't be renamed or removed."""


class NotInAServer(AtelierError):
    """The member asked for the server's styles in a direct message."""


class ManageServerNeeded(AtelierError):
    """The member lacks the permission Manage Server."""


class TooManyJobs(AtelierError):
    """The member has the maximum number of open jobs. ``here``: it is the limit of the server."""

    def __init__(self, limit: int, here: bool = False) -> None:
        super().__init__(limit, here)
        self.limit = limit
        self.here = here


class DailyLimit(AtelierError):
    """The member has ordered ``limit`` jobs in 24 hours. ``free_at`` is the Unix time when they may order the next.

    ``here``: it is the limit of the server.
    """

    def __init__(self, limit: int, free_at: int, here: bool = False) -> None:
        super().__init__(limit, free_at, here)
        self.limit = limit
        self.free_at = free_at
        self.here = here


class WrongChannel(AtelierError):
    """The server's moderators allow orders in other channels. ``channels`` are their ids, separated by spaces."""

    def __init__(self, channels: str) -> None:
        super().__init__(channels)
        self.channels = channels


class WrongRole(AtelierError):
    """The server's moderators allow orders of other roles. ``roles`` are their ids, separated by spaces."""

    def __init__(self, roles: str) -> None:
        super().__init__(roles)
        self.roles = roles


class Blocked(AtelierError):
    """The operators blocked the member."""


class NotOperator(AtelierError):
    """A member other than the operators tried to use a command of theirs."""


class NotManager(AtelierError):
    """A member who may not manage the server tried to change its settings."""


class Draining(AtelierError):
    """The operators let the bot accept no new jobs."""


class NotYourJob(AtelierError):
    """A member who is not the job's owner tried to act on it. ``moderated``: its server's moderators may do so, too."""

    def __init__(self, moderated: bool = False) -> None:
        super().__init__(moderated)
        self.moderated = moderated


class CancelledByModerator(PaintingCancelled):
    """A moderator of the server cancelled the member's job."""


class CancelledByOperator(PaintingCancelled):
    """An operator of the bot cancelled the member's job."""


class NotFailed(AtelierError):
    """The job can't be painted again, because it did not fail."""


class JobEnded(AtelierError):
    """The job has ended, or does not exist."""


class StillOpen(AtelierError):
    """The job has not ended yet."""


class NotBegun(AtelierError):
    """The job still waits in the queue."""


class AlreadyPainting(AtelierError):
    """The member chose the same for the same result, and that is not delivered yet."""


class Unchangeable(AtelierError):
    """An option of a result is at its limit. ``name``: ``strength``, ``size``, ``size here``, ``stroke`` or ``part``.

    ``size here`` is a limit of the server, in pixels.
    """

    def __init__(self, name: str, value: float) -> None:
        super().__init__(name, value)
        self.name = name
        self.value = value


class Unchanged(AtelierError):
    """The member asked for the same picture as the result."""


class FormLost(AtelierError):
    """The member submitted a modal that no process remembers."""


class NotKept(AtelierError):
    """The job is no longer stored, or some of its pictures are not."""


class RecipeNotFound(AtelierError):
    """No job that the member may know of has this recipe or this id."""


class StylesNotYours(AtelierError):
    """The recipe is of another member's job, whose style pictures belong to that member."""


class ExportStartNotFound(AtelierError):
    """The member has no job with the id after which an export should continue."""


class ExportRunning(AtelierError):
    """The member's data is being sent already."""


class TimelapseUnavailable(AtelierError):
    """Too few previews of the painting are kept."""


class AlreadyAccepted(AtelierError):
    """The order is a job already: it arrived twice, at one process or at two."""


class JobExpired(AtelierError):
    """The job did not end within ``hours``, the operator's limit."""

    def __init__(self, hours: float) -> None:
        super().__init__(hours)
        self.hours = hours


class Closing(AtelierError):
    """The bot is shutting down. It accepts no new jobs, and its next start continues the open ones."""


class DeliveryDelayed(AtelierError):
    """Discord is unreachable or rejects the delivery for now. Retry later. ``detail`` is for the log."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


class AddressUnreadable(AtelierError):
    """None of the operator's keys decrypts the address of the job's reply."""


class OrderInterrupted(AtelierError):
    """The process that acknowledged the order died before it stored the order as a job."""


class JobUnreadable(AtelierError):
    """The job's row is damaged, or was written by another version of the program."""


class SecretKeyUnusable(OperatorError):
    """The key file holds no key. The message says what to do."""


class UnexpectedError(AtelierError):
    """A bug. The log has the traceback with the job's id, which is the member's ``reference``."""

    def __init__(self, reference: str) -> None:
        super().__init__(reference)
        self.reference = reference


def dump(error: AtelierError) -> str:
    """Encode an error as JSON: the name of its class and its fields.

    Raises ``TypeError`` if a field is not a string or a number.
    """
    return json.dumps([type(error).__name__, *error.args])


def load(text: str) -> AtelierError:
    """Decode the JSON of :func:`dump`. An unknown class becomes :class:`AtelierError` with the same fields.

    Raises ``ValueError`` or ``TypeError`` for other text.
    """
    name, *fields = TypeAdapter(list[str | int | float | None]).validate_json(text)
    classes = [AtelierError]
    for each in classes:  # the list grows during the loop, by subclasses of subclasses
        classes += each.__subclasses__()
    found = {each.__name__: each for each in classes}.get(str(name), AtelierError)
    hints = [hint for parameter, hint in get_type_hints(found.__init__).items() if parameter != "return"]
    for field, hint in zip(fields, hints, strict=False):
        # A field of a wrong type would fail later, in the error's text.
        TypeAdapter(hint, config=ConfigDict(arbitrary_types_allowed=True)).validate_python(field, strict=True)
    return found(*fields)
