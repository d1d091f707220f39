"""What members read of each error."""

import re
from pathlib import Path

import pytest

import bot
import engine
import engine.texts
from bot.error_messages import error_message
from bot.jobs.errors import (
    AddressUnreadable,
    AlreadyAccepted,
    AlreadyPainting,
    Blocked,
    CancelledByModerator,
    CancelledByOperator,
    Closing,
    DailyLimit,
    DeliveryDelayed,
    DownloadFailed,
    Draining,
    ExportRunning,
    ExportStartNotFound,
    FormLost,
    JobEnded,
    JobExpired,
    JobUnreadable,
    ManageServerNeeded,
    MixUnusable,
    NoStyle,
    NotBegun,
    NotFailed,
    NotInAServer,
    NotKept,
    NotManager,
    NotOperator,
    NotYourJob,
    OrderInterrupted,
    PartUnusable,
    PictureRejected,
    RecipeNotFound,
    SecretKeyUnusable,
    StillOpen,
    StyleBuiltIn,
    StyleGivenTwice,
    StyleNameTaken,
    StyleNameUnusable,
    StyleNotFound,
    StylesNotYours,
    TimelapseUnavailable,
    TooManyJobs,
    TooManyStyles,
    Unchangeable,
    Unchanged,
    UnexpectedError,
    WrongChannel,
    WrongRole,
)
from engine.errors import (
    AtelierError,
    BlobLost,
    CertificatesUnavailable,
    ClipTooLong,
    ClusterUnsafe,
    DeviceUnavailable,
    MachineTooSmall,
    NetworkUnusable,
    NotAPicture,
    NoWorkers,
    OperatorError,
    OutOfMemory,
    PaintingCancelled,
    PaintingPaused,
    PictureDamaged,
    PictureError,
    PictureTooLarge,
    PictureTooNarrow,
    PictureTooSmall,
    PictureTransparent,
    PictureTruncated,
    StorageFailed,
    StorageFull,
    StorageUnavailable,
    StorageUnsafe,
    UnknownMethod,
    VersionMismatch,
    WeightsUnavailable,
    WorkerLost,
)

ALT_TEXT_LIMIT = 1024
PICTURE_ERRORS: list[PictureError] = [
    NotAPicture(),
    PictureTooLarge("bytes", 600 * 2**20, 500 * 2**20),
    PictureTooLarge("pixels", 10**12, 500_000_000),
    PictureTooLarge("side", 10**6, 16384),
    ClipTooLong(1200, 10**12, 500_000_000),
    PictureTooSmall(1, 16384, 32),
    PictureTooNarrow(1, 16384, 20),
    PictureTruncated(0.4),
    PictureTransparent(),
    PictureDamaged("broken PNG file (chunk b'\\x00\\x00')"),
]
ERRORS: list[AtelierError] = [
    *PICTURE_ERRORS,
    *(PictureRejected(role, error) for role in ("content", "style") for error in PICTURE_ERRORS),
    PaintingCancelled(),
    PartUnusable("mask"),
    PartUnusable("use"),
    PartUnusable("style"),
    PartUnusable("part"),
    Unchangeable("part", 10.0),
    PaintingPaused(),
    StorageFull(),
    BlobLost("5f420c727cca59b4"),
    OutOfMemory(4096),
    NoWorkers(),
    NetworkUnusable("secret: no network"),
    StorageFailed("/secret/path: PermissionError"),
    VersionMismatch("atelier-2", "atelier-1"),
    UnknownMethod("strotss"),
    WorkerLost(3),
    WeightsUnavailable("/secret/path/weights.pt can't be read as PyTorch weights: <class 'EOFError'>"),
    DeviceUnavailable("There is no cuda:7: torch sees 0 CUDA devices."),
    MachineTooSmall("The limit of 20 open files is too low: raise it (ulimit -n 1024)."),
    CertificatesUnavailable("/secret/path/key.pem is not there."),
    ClusterUnsafe("10.0.0.1 can be reached from elsewhere."),
    StorageUnsafe("BLOBS_URL is a chain."),
    StorageUnavailable("BLOBS_URL is unknown."),
    SecretKeyUnusable("/secret/path/secret.key holds no key."),
    AddressUnreadable(),
    JobUnreadable(),
    OrderInterrupted(),
    AlreadyAccepted(),
    RecipeNotFound(),
    StylesNotYours(),
    TimelapseUnavailable(),
    ExportRunning(),
    ExportStartNotFound(),
    DownloadFailed("content", "ClientConnectorError(ConnectionKey(host='cdn.discordapp.com'))"),
    DownloadFailed("style", "the CDN answered 404"),
    PictureRejected("style 2", PictureTooSmall(3, 16384, 32)),
    DownloadFailed("style 3", "the CDN answered 404"),
    *(MixUnusable(styles) for styles in (1, 2, 3)),
    TooManyJobs(1),
    TooManyJobs(3),
    TooManyJobs(3, here=True),
    NotYourJob(),
    NotYourJob(moderated=True),
    CancelledByModerator(),
    CancelledByOperator(),
    NotFailed(),
    DailyLimit(1, 1_800_000_000),
    DailyLimit(1, 1_800_000_000, here=True),
    WrongChannel("1 22"),
    WrongRole("333"),
    Blocked(),
    NotOperator(),
    NotManager(),
    Draining(),
    JobEnded(),
    JobExpired(24),
    JobExpired(0.5),
    Closing(),
    NotKept(),
    StillOpen(),
    NotBegun(),
    AlreadyPainting(),
    FormLost(),
    Unchangeable("size", 768),
    Unchangeable("size here", 384),
    Unchangeable("stroke", 4),
    Unchangeable("strength", 100),
    Unchanged(),
    NoStyle(),
    StyleGivenTwice("style 2"),
    StyleNotFound(""),
    StyleNotFound("waves"),
    StyleNotFound("wave", "waves"),
    StyleNameUnusable(50),
    StyleNameTaken("waves"),
    TooManyStyles(50, "member"),
    TooManyStyles(1, "server"),
    StyleBuiltIn(),
    NotInAServer(),
    ManageServerNeeded(),
    DeliveryDelayed("ServerDisconnectedError(request_info=secret)"),
    UnexpectedError("5f420c727cca59b4"),
]
BASES = {OperatorError.__name__, PictureError.__name__}
"""Base classes, which are never raised."""


def errors_in_the_source() -> set[str]:
    """The names of all subclasses of ``AtelierError`` in the source. Imports no module."""
    bases: dict[str, str] = {}
    for package in (bot, engine):
        for path in Path(package.__path__[0]).rglob("*.py"):
            bases |= dict(re.findall(r"^class (\w+)\((\w+)\):", path.read_text(encoding="utf-8"), re.MULTILINE))
    found: set[str] = set()
    while more := {name for name, base in bases.items() if base in found | {"AtelierError"}} - found:
        found |= more
    return found


NAMES = errors_in_the_source()


def test_every_error_is_tested_here() -> None:
    assert {type(error).__name__ for error in ERRORS} == NAMES - BASES


@pytest.mark.parametrize("error", ERRORS, ids=repr)
class TestAnError:
    def test_has_a_message_of_short_sentences(self, error: AtelierError) -> None:
        text = error_message(error)
        assert text.endswith(".")
        assert re.match(r"(\*\*(Content|Style( \d)?|Mix):\*\* )?[A-Z]", text)
        assert len(text) < 200
        assert text == " ".join(text.split())

    def test_shows_no_names_of_the_code(self, error: AtelierError) -> None:
        text = error_message(error)
        names = NAMES | {"Error", "Exception", "None", "object"}
        assert not [name for name in names if name in text]
        prose = re.sub(
            r"(?<=[a-zI])'(?=[a-z])|`/[a-z ]+`|<(#|@&|t:)[0-9]+(:R)?>", "", text
        )  # apostrophes within words, mentions
        assert not re.search(r"[()<>{}\[\]'\\]|/", prose)

    def test_shows_no_details_of_the_machine(self, error: AtelierError) -> None:
        for detail in ("secret", "cdn.", "404", "cuda", "chunk"):
            assert detail not in error_message(error)

    def test_has_its_own_message(self, error: AtelierError) -> None:
        assert error_message(error) not in {str(error), engine.texts.explain(AtelierError(*error.args))}


def test_different_errors_have_different_messages() -> None:
    messages = {error_message(error) for error in ERRORS}
    by_operator = [error for error in ERRORS if isinstance(error, OperatorError)]  # all have the same message
    assert len(messages) == len(ERRORS) - len(by_operator) + 1


@pytest.mark.parametrize(
    ("error", "needed"),
    [
        (PictureRejected("style", PictureTooLarge("bytes", 2**30, 16 * 2**20)), ["Style", "16 MB"]),
        (PictureRejected("content", PictureTooSmall(20, 300, 32)), ["Content", "20 × 300", "32"]),
        (PictureRejected("content", PictureTooLarge("pixels", 10**9, 64_000_000)), ["64 megapixels"]),
        (PictureRejected("style 2", NotAPicture()), ["**Style 2:**"]),
        (MixUnusable(1), ["only one style", "`style2`"]),
        (MixUnusable(2), ["each of your 2 styles", "`60 30`"]),
        (MixUnusable(3), ["each of your 3 styles", "`60 30 10`"]),
        (TooManyJobs(1), ["1 picture "]),
        (TooManyJobs(3), ["3 pictures "]),
        (OutOfMemory(2048), ["2,048"]),
        (UnexpectedError("5f420c727cca59b4"), ["`5f420c727cca59b4`"]),
        (JobExpired(24), ["24 hours"]),
        (JobExpired(1), ["1 hour."]),
        (JobEnded(), ["`/jobs`"]),
    ],
    ids=repr,
)
def test_an_error_message_contains_the_necessary_facts(error: AtelierError, needed: list[str]) -> None:
    assert [part for part in needed if part not in error_message(error)] == []
