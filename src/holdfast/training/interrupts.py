"""Ctrl-C and SIGTERM as requests: long work stops where it can be resumed."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def stop_requests(*, once: bool) -> Iterator[threading.Event]:
    """Turns Ctrl-C or SIGTERM into a request to stop after the step.

    Args:
        once: The second one works as ever; else, where torchrun passes on what the terminal has sent already, it says nothing new.
    """
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return

    def ask(number: int, frame: FrameType | None) -> None:
        stop.set()
        if once:
            signal.signal(number, before[signal.Signals(number)])

    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number in before:
        signal.signal(number, ask)
    try:
        yield stop
    finally:
        for number, handler in before.items():
            if signal.getsignal(number) is ask:  # a process that winds up ignores them for good
                signal.signal(number, handler)
