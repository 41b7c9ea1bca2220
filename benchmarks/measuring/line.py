"""The engine's end of the line: it says when it is ready, works when told "go", and at the end says what came out."""

from __future__ import annotations

import gc
import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from measuring.jobs import Job, Work


def serve(maker: Callable[[Job], Work], path: str) -> None:
    """Serves one engine until its input ends.

    All else that the engine prints goes to its log: the line takes the standard output for itself.

    Args:
        maker: Makes the work of a job, not timed.
        path: File of the job.
    """
    out = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    work, found = maker(Job.load(path)), None
    _say(out, event="ready")
    for line in sys.stdin:
        if line.strip() == "go":
            gc.collect()
            began, cpu = time.perf_counter(), time.process_time()
            found = work.run()
            _say(out, event="turn", seconds=time.perf_counter() - began, cpu_seconds=time.process_time() - cpu)
        elif line.strip() == "answer":
            values = np.asarray(work.values(found), dtype=np.float64).ravel().tolist()
            _say(out, event="answer", values=values, amount=work.amount, note=work.note)


def _say(out: Any, **said: object) -> None:
    out.write(json.dumps(said) + "\n")
