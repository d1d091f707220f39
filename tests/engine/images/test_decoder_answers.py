"""What this process makes of invalid answers of the decoder, and of a decoder that can't start."""

import socket
import subprocess
import sys
from collections.abc import Callable

import pytest

from engine.errors import (
    NotAPicture,
    PictureDamaged,
)
from engine.images import decoder as decoder_module
from engine.images.decoder import Decoder
from engine.images.decoder_process import (
    ANSWER,
    DAMAGED,
    LONGEST_DETAIL,
    NOT_A_PICTURE,
    OPAQUE,
    READY,
    REQUEST,
    TOO_LARGE,
    TRANSPARENT,
    Confinement,
)
from tests.engine.images import corpus

SCENE = corpus.saved(corpus.scene(), "PNG")
INVALID_ANSWERS: dict[str, tuple[bytes, str]] = {
    "more pixels than asked for": (ANSWER.pack(OPAQUE, 65, 64, -1), "65 x 64"),
    "no pixels": (ANSWER.pack(TRANSPARENT, 0, 64, -1), "0 x 64"),
    "absurd pixels": (ANSWER.pack(OPAQUE, 2**63, 2**63, -1), "x"),
    "an unknown kind": (ANSWER.pack(99, 1, 2, -1), "kind 99"),
    "an unknown kind of file": (ANSWER.pack(NOT_A_PICTURE, 99, 0, -1), "kind 2"),
    "an unknown measure": (ANSWER.pack(TOO_LARGE, 3, 2, -1), "kind 3"),
    "an endless detail": (ANSWER.pack(DAMAGED, LONGEST_DETAIL + 1, 0, -1), "kind 6"),
    "half a picture": (ANSWER.pack(OPAQUE, 64, 64, -1) + bytes(64 * 64), "ended with status 0"),
    "half an answer": (ANSWER.pack(OPAQUE, 64, 64, -1)[:9], "ended with status 0"),
    "control characters": (ANSWER.pack(DAMAGED, 9, 0, -1) + b"\x1b[2J\n\r\0\xff!", r"^\?\[2J\?\?\?.!$"),
}


def answering(answer: bytes) -> Callable[[Confinement, socket.socket], "subprocess.Popen[bytes]"]:
    """Returns a function that starts a process, which reads one request and sends a fixed answer."""
    asked = REQUEST.size + len(SCENE)
    program = f"""
import os
os.write(0, {READY!r})
heard = 0
while heard < {asked}:
    heard += len(os.read(0, {asked}))
os.write(0, {answer!r})
"""

    def start(_: Confinement, channel: socket.socket) -> "subprocess.Popen[bytes]":
        command = [sys.executable, "-c", program]
        return subprocess.Popen(command, stdin=channel.fileno(), stderr=subprocess.PIPE, process_group=0)

    return start


@pytest.mark.parametrize("name", INVALID_ANSWERS)
def test_invalid_answers_of_the_decoder_are_rejected(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    answer, message = INVALID_ANSWERS[name]
    monkeypatch.setattr(decoder_module, "_started", answering(answer))
    with Decoder() as decoder, pytest.raises(PictureDamaged, match=message):
        decoder.decode(SCENE, longer_side=64)


def test_an_unrequested_answer_is_not_used_for_the_next_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    with Decoder() as decoder:
        with monkeypatch.context() as patched:
            patched.setattr(decoder_module, "_started", answering(ANSWER.pack(NOT_A_PICTURE, 0, 0, -1) * 2))
            with pytest.raises(NotAPicture):
                decoder.decode(SCENE)
        assert decoder.decode(SCENE).width == 96


def test_the_error_for_a_decoder_that_cannot_start_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with Decoder() as decoder, pytest.raises(RuntimeError, match="/nowhere/python"):
        decoder.decode(SCENE)


@pytest.mark.skipif(sys.platform != "linux", reason="limits of processes are read from /proc")
def test_the_error_for_a_decoder_that_dies_at_its_start_says_why() -> None:
    with (
        Decoder(memory=2**80) as decoder,
        pytest.raises(RuntimeError, match=r"ended with status 1 at its start: .*Error"),
    ):
        decoder.warm_up()
