"""What the summary of planted secrets holds: cells of length, repetitions and defence, each over several trainings."""

from __future__ import annotations

import math
from dataclasses import dataclass

from holdfast.core.evidence import Estimate, Evidence

STATEMENT = (
    "After Parikh et al. 2022 (arXiv 2203.13920); their tables were not at hand, so this is no reproduction of their figures. "
    "What their paper leaves open was chosen here."
)
NULL = 1 / math.log(2)
"""Mean exposure, in bits, of a secret that a model knows nothing of."""

EXPOSURE, RANK, P_VALUE = "secret_exposure", "secret_rank", "secret_p_value"
ACCURACY, HAMMING, GAP = "extraction_accuracy", "extraction_hamming", "optimiser_gap"
RANDOM = "random_search_accuracy"
STOPPED, PROMISE = "stopped_after", "epsilon"
USEFULNESS = ("intent_accuracy", "slot_f1", "accuracy", "macro_f1")
KNOWS = "knows_nothing_p_value"
AGREEMENT, HIDDEN = "accuracy_exposure_correlation", "leaks_without_extraction"

BASE, COMBINED = "none", "all-three"
DEFENCES = {
    BASE: "No defence",
    "dropout": "Dropout",
    "early-stopping": "Early stopping",
    "characters": "Character embeddings",
    "dropout-early-stopping": "Dropout, early stopping",
    COMBINED: "All three together",
    "dp-sgd-8": "DP-SGD, ε = 8",
    "dp-sgd-1": "DP-SGD, ε = 1",
}
OTHERS = {"crf": "CRF head, no defence", "transformer": "Transformer, no defence"}
ALL, EVERYWHERE, NEVER = "all", "all cells", "never planted"
"""The secrets of all patterns together; all cells together; secrets of the same form that were not planted."""


@dataclass(frozen=True, kw_only=True)
class SecretCell:
    """The trainings with one defence, of one length and number of repetitions, or over several of these.

    Args:
        subject: What its evidence speaks of, such as "n4-r10-dropout".
        defence: As in the study file.
        length: Unknown words; None over several.
        repetitions: Copies of each secret in the training data; None over several.
        secret: The pattern, or "all" together.
        trainings: How many there are, or seeds, where several trainings share one.
    """

    subject: str
    defence: str
    length: int | None
    repetitions: int | None
    secret: str
    trainings: int

    @property
    def place(self) -> tuple[int, int]:
        """Length and repetitions."""
        return (self.length or 0, self.repetitions or 0)

    @property
    def colour(self) -> int:
        """Number of the colour and the mark of its defence."""
        return colour_of(self.defence)


def colour_of(defence: str) -> int:
    """Number of the colour and the mark of a defence; a name that is not ours comes after all of them."""
    known = [*DEFENCES, *OTHERS]
    return known.index(defence) if defence in known else len(known)


def label_of(defence: str) -> str:
    """A defence for people; a name of one's own stays as it is."""
    return (DEFENCES | OTHERS).get(defence, defence)


def is_defence(defence: str) -> bool:
    """False for no defence, and for another model without one."""
    return defence != BASE and defence not in OTHERS


def cells(evidence: Evidence, *, secret: str = ALL) -> list[SecretCell]:
    """The cells of one length and number of repetitions, in the order of these and of the defences.

    Args:
        evidence: The summary.
        secret: A pattern, or "all".
    """
    return [cell for cell in _every(evidence) if cell.length is not None and cell.secret == secret]


def defences(evidence: Evidence) -> list[SecretCell]:
    """Each defence over all its cells."""
    return [cell for cell in _every(evidence) if cell.length is None and cell.defence]


def places(evidence: Evidence) -> list[tuple[int, int]]:
    """The lengths and repetitions of the grid."""
    return list(dict.fromkeys(cell.place for cell in cells(evidence)))


def secrets(evidence: Evidence) -> list[str]:
    """The patterns of the grid."""
    return list(dict.fromkeys(cell.secret for cell in _every(evidence) if cell.secret != ALL))


def usefulness(evidence: Evidence) -> list[str]:
    """The measures of usefulness that were taken, at most two."""
    known = {estimate.name for estimate in evidence.estimates if estimate.value is not None}
    return [name for name in USEFULNESS if name in known][:2]


def estimate(evidence: Evidence, name: str, cell: SecretCell) -> Estimate | None:
    """What was found of a cell, or None."""
    return evidence.estimate(name, cell.subject)


def value(evidence: Evidence, name: str, cell: SecretCell) -> float | None:
    """The number alone, or None."""
    found = estimate(evidence, name, cell)
    return None if found is None else found.value


def leaks(found: Estimate | None) -> bool:
    """Whether the interval of a mean exposure lies above what a model that knows nothing shows."""
    return found is not None and found.interval is not None and found.interval.low > NULL


def _every(evidence: Evidence) -> list[SecretCell]:
    found = [_cell(one) for one in evidence.estimates if one.name == EXPOSURE and {"defence", "trainings"} <= one.conditions.keys()]
    return sorted(found, key=lambda cell: (*cell.place, cell.colour, cell.defence))


def _cell(found: Estimate) -> SecretCell:
    defence = str(found.conditions["defence"])
    length, repetitions = found.conditions.get("length"), found.conditions.get("repetitions")
    return SecretCell(
        subject=found.subject,
        defence=defence,
        length=None if length is None else int(length),
        repetitions=None if repetitions is None else int(repetitions),
        secret=str(found.conditions["secret"]),
        trainings=int(found.conditions["trainings"]),
    )
