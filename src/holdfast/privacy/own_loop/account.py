"""What a loop of your own has spent: steps taken, steps lost with a checkpoint, and a file that counts them beforehand."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from holdfast.core.claim import PrivacyClaim
from holdfast.core.errors import RunError
from holdfast.privacy.accounting import epsilon
from holdfast.privacy.events import Ledger
from holdfast.privacy.mechanism import Mechanism

FORMAT = 1


class Account:
    """Counts steps before their results can be seen.

    Args:
        mechanism: What is trained with.
        path: The ledger file; None for none.

    Raises:
        RunError: If the file is damaged or belongs to another mechanism.
    """

    def __init__(self, mechanism: Mechanism, path: Path | None) -> None:
        self._mechanism, self._path = mechanism, None if path is None else Path(path)
        self._lost = Ledger()
        self._reserved = 0
        self._resumed = False
        self._before = self._read()

    def ledger(self, taken: int) -> Ledger:
        """What was released: the steps taken, and those that count as lost."""
        return Ledger.of([*self._lost.entries, *self._mechanism.ledger(taken).entries])

    def epsilon(self, taken: int) -> float | None:
        """Epsilon of the ledger at the mechanism's delta."""
        delta = self._mechanism.delta
        return None if delta is None else epsilon(self.ledger(taken), delta)

    def claim(self, subject: str, taken: int, *, conditions: tuple[str, ...]) -> PrivacyClaim | None:
        """The promise of the weights after `taken` steps."""
        if taken == 0:
            return None
        claim = self._mechanism.claim(subject, steps=taken, conditions=conditions)
        spent = self.epsilon(taken)
        if claim is None or spent is None or not self._lost.entries:
            return claim
        note = f"{self._lost.steps} events after checkpoints that were resumed from may have been seen, and count as spent"
        return replace(claim, epsilon=spent, conditions=(*claim.conditions, note), other_accounts={})

    def reserve(self, taken: int) -> None:
        """Has the file count the next epoch of steps before the first of them is taken.

        Raises:
            RunError: If the file is of a run that was not resumed.
        """
        if self._path is None:
            return
        if self._before is not None and not self._resumed:
            raise RunError(
                f"{self._path} is the account of a run that may have spent {self._before['steps_reserved']} steps; "
                "hand its checkpoint to load_state_dict to go on, or give another file"
            )
        if taken >= self._reserved:
            stretch = max(1, round(self._mechanism.sampler.steps_per_epoch))
            self._reserved = min(self._mechanism.steps, taken + stretch)
            self._write(taken)

    def close(self, taken: int) -> None:
        """Has the file say that no more than these steps were taken."""
        if self._path is not None and self._reserved:
            self._reserved = taken
            self._write(taken)

    def state(self, taken: int) -> dict[str, Any]:
        """What a checkpoint keeps."""
        return {"format": FORMAT, "steps_taken": taken, "lost": self._lost.to_json(), "mechanism": self._plain()}

    def resume(self, state: Mapping[str, Any]) -> int:
        """Goes on from a checkpoint.

        Returns:
            The steps that it holds.

        Raises:
            RunError: If it belongs to another mechanism.
        """
        if state.get("format") != FORMAT or not {"steps_taken", "clipping"} <= state.keys():
            raise RunError("this is no state of a private loop; hand over what private.state_dict() gave")
        self._same(state, "the state")
        taken, known = int(state["steps_taken"]), state if self._before is None else self._before
        self._lost = Ledger.from_json(known["lost"])
        reserved = int(known.get("steps_reserved", taken))
        if reserved > taken:
            again = _between(self._mechanism, taken, reserved)
            self._lost = Ledger.of([*self._lost.entries, *again.entries])
            warnings.warn(
                f"up to {reserved - taken} steps after this checkpoint may have been seen; they count as spent, on top",
                stacklevel=3,
            )
        self._resumed = True
        return taken

    def _plain(self) -> Any:
        return json.loads(json.dumps(self._mechanism.describe()))

    def _same(self, content: Mapping[str, Any], what: str) -> None:
        then, now = content.get("mechanism") or {}, self._plain()
        changed = sorted(key for key in then.keys() | now.keys() if then.get(key) != now.get(key))
        if changed:
            shown = "; ".join(f"{key} was {then.get(key)!r} and is now {now.get(key)!r}" for key in changed)
            raise RunError(f"{what} belongs to another mechanism: {shown}")

    def _read(self) -> Mapping[str, Any] | None:
        if self._path is None or not self._path.exists():
            return None
        try:
            content: Mapping[str, Any] = json.loads(self._path.read_text())
            Ledger.from_json(content["lost"])
            int(content["steps_reserved"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise RunError(f"{self._path}: the ledger cannot be read ({error})") from error
        self._same(content, str(self._path))
        return content

    def _write(self, taken: int) -> None:
        assert self._path is not None
        content = {
            "format": FORMAT,
            "steps_taken": taken,
            "steps_reserved": self._reserved,
            "delta": self._mechanism.delta,
            "spent_at_most": self.ledger(self._reserved).to_json(),
            "lost": self._lost.to_json(),
            "mechanism": self._plain(),
        }
        half = self._path.with_name(self._path.name + ".part")
        half.write_text(json.dumps(content, indent=1))
        half.replace(self._path)


def _between(mechanism: Mechanism, start: int, end: int) -> Ledger:
    """The events that begin in the steps from `start` up to `end`."""
    before = dict[Any, int]()
    for event, count in mechanism.ledger(start).entries:
        before[event] = before.get(event, 0) + count
    left = []
    for event, count in mechanism.ledger(end).entries:
        old = min(count, before.get(event, 0))
        before[event] = before.get(event, 0) - old
        left.append((event, count - old))
    return Ledger.of(left)
