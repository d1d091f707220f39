"""The token that stops a painting."""

import signal
import threading

import pytest

from engine.errors import PaintingCancelled
from engine.progress import StopToken


def test_a_new_token_stops_nothing() -> None:
    stop = StopToken()
    stop.check()
    assert not stop.finishing


def test_a_cancelled_token_raises_at_each_check() -> None:
    stop = StopToken()
    stop.cancel()
    for _ in range(2):
        with pytest.raises(PaintingCancelled):
            stop.check()


def test_finishing_early_is_not_a_cancellation() -> None:
    stop = StopToken()
    stop.finish()
    stop.check()
    assert stop.finishing


def test_each_check_calls_the_function_that_decides() -> None:
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


def test_a_pause_is_not_a_cancellation() -> None:
    stop = StopToken()
    stop.pause()
    stop.check()
    assert (stop.pausing, stop.finishing) == (True, False)
    assert not StopToken().pausing
