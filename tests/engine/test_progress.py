"""The token that stops a painting."""

import signal
import threading

import pytest

from engine.errors import PaintingCancelled
from engine.progress import StopToken


def test_a_fresh_token_lets_everything_go_on() -> None:
    stop = StopToken()
    stop.check()
    assert not stop.finishing


def test_a_cancelled_token_raises_from_then_on() -> None:
    stop = StopToken()
    stop.cancel()
    for _ in range(2):
        with pytest.raises(PaintingCancelled):
            stop.check()


def test_the_end_of_a_painting_that_is_kept_is_no_cancellation() -> None:
    stop = StopToken()
    stop.finish()
    stop.check()
    assert stop.finishing


def test_whoever_else_decides_is_asked_each_time() -> None:
    answers = [False, False, True]
    stop = StopToken(lambda: answers.pop(0))
    stop.check()
    stop.check()
    with pytest.raises(PaintingCancelled):
        stop.check()
    assert not answers


def test_another_thread_can_cancel() -> None:
    stop = StopToken()
    thread = threading.Thread(target=stop.cancel)
    thread.start()
    thread.join()
    with pytest.raises(PaintingCancelled):
        stop.check()


def test_a_signal_handler_can_cancel() -> None:
    stop = StopToken()
    before = signal.signal(signal.SIGUSR1, lambda *_: stop.cancel())
    try:
        signal.raise_signal(signal.SIGUSR1)
    finally:
        signal.signal(signal.SIGUSR1, before)
    with pytest.raises(PaintingCancelled):
        stop.check()


def test_a_pause_is_no_cancellation() -> None:
    stop = StopToken()
    stop.pause()
    stop.check()
    assert (stop.pausing, stop.finishing) == (True, False)
    assert not StopToken().pausing
