"""Work on several parts of an ensemble at a time, each in a thread that has its own arithmetic to itself."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch
from torch import nn

from holdfast.core.randomness import Streams

Given = TypeVar("Given")
Found = TypeVar("Found")


def in_threads(work: Callable[[Given], Found], parts: Sequence[Given], *, threads: int, stop: threading.Event | None = None) -> list[Found]:
    """Does the work on each part, `threads` of them at a time, and gives what it finds in the order of the parts.

    On small matrices two threads with one part each are faster than one part with two threads, which wait for each other
    after every operation.

    Args:
        work: Releases the interpreter most of the time, as torch does.
        parts: What to work on.
        threads: At least 1; with 1, or a single part, torch shares each operation out as ever.
        stop: Set when a part fails or the caller is interrupted.
    """
    if threads == 1 or len(parts) == 1:
        return [work(part) for part in parts]
    with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        try:
            return list(pool.map(work, parts))
        except BaseException:
            if stop is not None:
                stop.set()
            raise
        finally:
            torch.set_num_threads(threads)


def one_at_a_time(make: Callable[[Streams], nn.Module]) -> Callable[[Streams], nn.Module]:
    """The same for several threads: first weights are drawn from torch's own generator, which all threads share."""
    lock = threading.Lock()

    def made(streams: Streams) -> nn.Module:
        with lock:
            return make(streams)

    return made
