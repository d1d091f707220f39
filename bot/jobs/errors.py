"""What can go wrong with a job, besides what the engine raises."""

import json
from typing import get_type_hints

from pydantic import ConfigDict, TypeAdapter

from engine.errors import AtelierError, OperatorError, PictureError

Role = str
"""What a picture of an order is: ``content``, ``style``, and where there are more of them ``style 2`` and so on."""


def style_role(index: int) -> Role:
    """Of the style picture at that place, from 0."""
    return f"style {index + 1}" if index else "style"


class PictureRejected(AtelierError):
    """One of a job's pictures can't be used."""

    def __init__(self, role: Role, reason: PictureError) -> None:
        super().__init__(role, reason)
        self.role = role
        self.reason = reason


class DownloadFailed(AtelierError):
    """A picture could not be fetched from where the member put it. ``detail`` is for the log."""

    def __init__(self, role: Role, detail: str) -> None:
        super().__init__(role, detail)
        self.role = role
        self.detail = detail


class MixUnusable(AtelierError):
    """What should say how much of each of ``styles`` style pictures is taken does not."""

    def __init__(self, styles: int) -> None:
        super().__init__(styles)
        self.styles = styles


class TooManyJobs(AtelierError):
    """The member already has as many open jobs as the operator allows."""

    def __init__(self, limit: int) -> None:
        super().__init__(limit)
        self.limit = limit


class NotYourJob(AtelierError):
    """Somebody other than the job's owner tried to act on it."""


class JobEnded(AtelierError):
    """There is nothing left to act on: the job has ended, or was never here."""


class AlreadyAccepted(AtelierError):
    """The same order arrived twice, at this process or at another, and is a job."""


class JobExpired(AtelierError):
    """The job did not end within the operator's ``hours``."""

    def __init__(self, hours: float) -> None:
        super().__init__(hours)
        self.hours = hours


class Closing(AtelierError):
    """The bot is going down and takes no new jobs; what it has goes on with its next start."""


class DeliveryDelayed(AtelierError):
    """Discord could not be reached or would not take it now: deliver again later. ``detail`` is for the log."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


class AddressUnreadable(AtelierError):
    """None of the operator's keys decrypts where the job's reply is: it can't be told there how the job ended."""


class OrderInterrupted(AtelierError):
    """The process that acknowledged the order ended before it stored the order as a job."""


class JobUnreadable(AtelierError):
    """The job's row is damaged, or another version of the program wrote it."""


class SecretKeyUnusable(OperatorError):
    """The file that holds the key holds none; the message says what to do."""


class UnexpectedError(AtelierError):
    """A fault of ours: the log has the job's id and the traceback, the member gets the id."""

    def __init__(self, reference: str) -> None:
        super().__init__(reference)
        self.reference = reference


def dump(error: AtelierError) -> str:
    """As JSON: the name of its class and its fields. Raises ``TypeError`` for fields that are no plain values."""
    return json.dumps([type(error).__name__, *error.args])


def load(text: str) -> AtelierError:
    """Undo :func:`dump`. An error that this version doesn't know is an :class:`AtelierError` of the same text.

    Raises ``ValueError`` or ``TypeError`` for what :func:`dump` doesn't write.
    """
    name, *fields = TypeAdapter(list[str | int | float | None]).validate_json(text)
    classes = [AtelierError]
    for each in classes:  # grows while it is gone through: subclasses of subclasses
        classes += each.__subclasses__()
    found = {each.__name__: each for each in classes}.get(str(name), AtelierError)
    hints = [hint for parameter, hint in get_type_hints(found.__init__).items() if parameter != "return"]
    for field, hint in zip(fields, hints, strict=False):
        # A field of a wrong type would fail later, when the error is put into words.
        TypeAdapter(hint, config=ConfigDict(arbitrary_types_allowed=True)).validate_python(field, strict=True)
    return found(*fields)
