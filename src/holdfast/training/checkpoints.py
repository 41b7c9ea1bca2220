"""Checkpoints: one safetensors file with tensors and a JSON header, replaced atomically, and a ledger written ahead.

A checkpoint holds everything that the next step depends on. The ledger beside it counts the steps up to the *next*
checkpoint before they are taken, so a run that is killed between the two has never spent more than its ledger says.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn

from holdfast.core.errors import RunError
from holdfast.core.randomness import Streams
from holdfast.privacy import Ledger, Mechanism
from holdfast.privacy.clipping import ClippingState
from holdfast.runs import atomic_write

FORMAT = 1
CHECKPOINT, LEDGER, KEY = "checkpoint.safetensors", "ledger.json", "randomness.key"


@dataclass
class TrainingState:
    """Where a training stands.

    Args:
        step: Steps taken.
        epoch_seconds: Seconds that the steps of each finished epoch took.
        validation: Pairs of epoch and mean loss on the validation set.
        spent: Seconds of the steps of the current epoch so far.
        clipping: What the clipper carries from step to step.
        kept: Place among `validation` of the evaluation whose weights were kept; None for the last weights. Set at the end.
    """

    step: int = 0
    epoch_seconds: list[float] = field(default_factory=list)
    validation: list[tuple[float, float]] = field(default_factory=list)
    spent: float = 0.0
    clipping: ClippingState = field(default_factory=ClippingState)
    kept: int | None = None

    @property
    def best(self) -> int | None:
        """Place among `validation` of the least finite loss, the first of equal ones; None where there is none."""
        finite = [(loss, place) for place, (_, loss) in enumerate(self.validation) if math.isfinite(loss)]
        return min(finite)[1] if finite else None

    @property
    def in_vain(self) -> int:
        """How many evaluations came after the best one."""
        return len(self.validation) - 1 - (-1 if self.best is None else self.best)


def write_checkpoint(
    folder: Path,
    *,
    state: TrainingState,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    average: Mapping[str, Tensor],
    best: Mapping[str, Tensor],
    fingerprint: Mapping[str, Any],
    ledger: Ledger,
) -> None:
    """Writes the checkpoint, replacing the one before only when the new one is whole.

    Raises:
        TrainingStopped: If the disk is full; the checkpoint before stays.
    """
    tensors = {f"model/{name}": value for name, value in model.state_dict().items()}
    tensors |= {f"average/{name}": value for name, value in average.items()}
    tensors |= {f"best/{name}": value for name, value in best.items()}
    for position, entries in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer/{position}/{key}": torch.as_tensor(value) for key, value in entries.items()}
    header = {"format": FORMAT, "state": asdict(state), "fingerprint": dict(fingerprint), "ledger": ledger.to_json()}
    content = save({name: value.detach().contiguous().clone() for name, value in tensors.items()}, {"holdfast": json.dumps(header)})
    atomic_write(folder / CHECKPOINT, content)


def restore(
    content: bytes,
    path: Path,
    *,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    average: dict[str, Tensor],
    best: dict[str, Tensor],
    fingerprint: Mapping[str, Any],
) -> TrainingState:
    """Puts model, optimiser, average and best weights back to where a checkpoint left them.

    Args:
        content: What `write_checkpoint` wrote.
        path: Where it stands, for messages.
        model: Gets its weights.
        optimizer: Gets its state.
        average: Is filled.
        best: Is filled.
        fingerprint: Must be that of the checkpoint.

    Raises:
        RunError: If the content is damaged, or belongs to other settings, data or seed.
    """
    try:
        tensors = load(content)
        header = json.loads(json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])["__metadata__"]["holdfast"])
    except (SafetensorError, ValueError, KeyError, TypeError) as error:
        raise RunError(f"{path}: the checkpoint cannot be read ({error}); start the run again in another folder") from error
    _check(path, header, fingerprint)
    model.load_state_dict(_under(tensors, "model/"))
    devices = {name: value.device for name, value in model.state_dict().items()}
    for prefix, weights in (("average/", average), ("best/", best)):
        weights.update({name: value.to(devices[name]) for name, value in _under(tensors, prefix).items()})
    groups = optimizer.state_dict()
    for name, value in _under(tensors, "optimizer/").items():
        position, key = name.split("/")
        groups["state"].setdefault(int(position), {})[key] = value
    optimizer.load_state_dict(groups)
    values = header["state"]
    validation = [tuple(pair) for pair in values["validation"]]
    return TrainingState(values["step"], values["epoch_seconds"], validation, values["spent"], ClippingState(**values["clipping"]))


def _under(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def _check(path: Path, header: Mapping[str, Any], fingerprint: Mapping[str, Any]) -> None:
    if header.get("format") != FORMAT:
        raise RunError(f"{path}: checkpoint format {header.get('format')}, this holdfast reads {FORMAT}; use the version that wrote it")
    written, now = header["fingerprint"], json.loads(json.dumps(dict(fingerprint)))
    changed = sorted(key for key in written.keys() | now.keys() if written.get(key) != now.get(key))
    if changed:
        shown = "; ".join(f"{key} was {written.get(key)!r} and is now {now.get(key)!r}" for key in changed)
        raise RunError(f"{path}: the run was started differently: {shown}. Resume with the same settings, or start in another folder")


def write_ledger(folder: Path, mechanism: Mechanism, *, taken: int, reserved: int) -> None:
    """Records, before they are taken, the steps up to the next checkpoint.

    Args:
        folder: Of the checkpoints.
        mechanism: What is trained with.
        taken: Steps whose result stands in the checkpoint.
        reserved: Steps that may have been taken by the time anybody reads this, or that are charged as if they were.
    """
    content = {
        "format": FORMAT,
        "steps_taken": taken,
        "steps_reserved": reserved,
        "delta": mechanism.delta,
        "spent_at_most": mechanism.ledger(reserved).to_json(),
    }
    atomic_write(folder / LEDGER, json.dumps(content, indent=1))


def read_ledger(folder: Path) -> tuple[Ledger, float] | None:
    """What a run may have spent by now, finished or not, and the delta of its promise; None for a run without noise.

    Args:
        folder: Of the checkpoints.

    Raises:
        RunError: If the ledger is damaged.
    """
    path = folder / LEDGER
    if not path.exists():
        return None
    try:
        content = json.loads(path.read_text())
        delta, entries = content["delta"], content["spent_at_most"]
    except (OSError, ValueError, KeyError) as error:
        raise RunError(f"{path}: the privacy ledger cannot be read ({error})") from error
    return None if delta is None else (Ledger.from_json(entries), float(delta))


def keep_key(folder: Path, streams: Streams) -> Streams:
    """Keeps secret randomness until the run is finished, so that a resumed run replays its steps instead of redrawing them.

    Args:
        folder: Of the checkpoints.
        streams: The run's randomness; only secret ones are written, readable by the owner alone.

    Returns:
        The streams that the run began with.
    """
    path = folder / KEY
    if not streams.secret:
        return streams
    if path.exists():
        return Streams(int(path.read_text()), secret=True)
    half = path.with_suffix(".part")
    half.unlink(missing_ok=True)
    half.touch(mode=0o600)
    half.write_text(str(streams.key))
    half.replace(path)
    return streams


def forget_key(folder: Path) -> None:
    """Deletes the secret randomness of a finished run: whoever had it could take the noise off again."""
    (folder / KEY).unlink(missing_ok=True)
