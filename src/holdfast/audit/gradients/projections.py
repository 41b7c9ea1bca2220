"""Which layers of a model read its words one by one, and what they would read of every candidate at every place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor, nn

from holdfast.audit.gradients.candidates import Candidates
from holdfast.audit.gradients.watching import CHUNK, features_of, seen_by, seen_by_all
from holdfast.core.access import OpenModel

PIECES = "the model cuts words into pieces; the attack is written for models that read whole words"
NONE = "no trained layer reads the words one by one"
WEIGHTS = {nn.Linear: "weight", nn.LSTM: "weight_ih_l0"}
"""Layers that multiply each place of (B, T, D) by one matrix, and the name of that matrix."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Readers:
    """The first layer that reads words one by one, the next one like it, and all that the first could read.

    Args:
        model: The model that the server sent.
        candidates: The attacker's dictionary.
        first: Names of the matrices that read the words, each (outputs, D); those of a BERT are query, key and value.
        owner: The module of the first of them.
        second: Names of as many matrices one layer further, which read what the first layer made of a sentence; or none.
        second_owner: The module of the first of them.
        inputs_VPD: What the first layer reads where candidate v stands at place p; one place where it makes no difference.
        capacity: How many dimensions those inputs span; a gradient of that rank tells nothing.
        reason: Why there are none; empty where there are.
    """

    model: OpenModel
    candidates: Candidates
    first: tuple[str, ...] = ()
    owner: str = ""
    second: tuple[str, ...] = ()
    second_owner: str = ""
    inputs_VPD: Tensor
    capacity: int = 0
    reason: str = ""

    @classmethod
    def of(cls, model: OpenModel, candidates: Candidates, *, positions: int = 32) -> Self:
        """Finds the layers by watching what goes into them, and lets the model read every candidate at every place.

        Args:
            model: The model.
            candidates: The attacker's dictionary.
            positions: Longest sentence that the attacker reckons with, in words.
        """
        nothing = torch.zeros(len(candidates.words), 0, 0)
        probe = features_of(model, _probes(model, candidates))
        if probe.ids_BT.shape[1] != PROBE_LENGTH or probe.words_BW is not None:
            return cls(model=model, candidates=candidates, inputs_VPD=nothing, reason=PIECES)
        groups = _groups(model, probe)
        start = next((place for place, group in enumerate(groups) if _word_by_word(group.value_BTD)), None)
        if start is None:
            return cls(model=model, candidates=candidates, inputs_VPD=nothing, reason=NONE)
        group = groups[start]
        alike = [g for g in groups[start + 1 :] if len(g.weights) == len(group.weights) and not _word_by_word(g.value_BTD)]
        following = next((g for g in alike if len(g.weights) > 1), None)  # a head of its own reads too few directions
        inputs_VPD = _inputs(model, candidates, group.owner, positions)
        return cls(
            model=model,
            candidates=candidates,
            first=group.weights,
            owner=group.owner,
            second=() if following is None else following.weights,
            second_owner="" if following is None else following.owner,
            inputs_VPD=inputs_VPD,
            capacity=_dimensions(inputs_VPD),
        )

    @property
    def knows_places(self) -> bool:
        """Whether a word is read differently at different places."""
        return self.inputs_VPD.shape[1] > 1


PROBE_LENGTH = 3


@dataclass(frozen=True, eq=False)
class _Group:
    """Trained matrices that read the very same tensor."""

    owner: str
    weights: tuple[str, ...]
    value_BTD: Tensor


def _probes(model: OpenModel, candidates: Candidates) -> list[list[str]]:
    """Two sentences that differ by the word in the middle alone."""
    first, *others = candidates.words
    ids = features_of(model, [[word] for word in candidates.words[:CHUNK]]).ids_BT[:, 0].tolist()
    other = next((word for word, its in zip(others, ids[1:], strict=False) if its != ids[0]), others[0])
    return [[first, first, first], [first, other, first]]


def _groups(model: OpenModel, features: object) -> list[_Group]:
    """The trained matrices of the model by what they read, in the order of the calls."""
    groups: list[_Group] = []
    for owner, value in seen_by_all(model, features, tuple(WEIGHTS)):
        part = model.module.get_submodule(owner)
        weight = next(name for kind, name in WEIGHTS.items() if isinstance(part, kind))
        if value.ndim != 3 or not getattr(part, weight).requires_grad:
            continue
        if groups and groups[-1].value_BTD is value:
            groups[-1] = _Group(groups[-1].owner, (*groups[-1].weights, f"{owner}.{weight}"), value)
        else:
            groups.append(_Group(owner, (f"{owner}.{weight}",), value))
    return groups


def _word_by_word(value_BTD: Tensor) -> bool:
    """Whether only the place of the word that differs sees the difference between the two probes."""
    if value_BTD.shape[:2] != (2, PROBE_LENGTH):
        return False
    differs = [not torch.equal(value_BTD[0, place], value_BTD[1, place]) for place in range(PROBE_LENGTH)]
    return differs == [False, True, False]


def _inputs(model: OpenModel, candidates: Candidates, owner: str, positions: int) -> Tensor:
    word = candidates.words[0]
    first_TD = seen_by(model, features_of(model, [[word] * max(2, positions)]), owner)[0]
    places = positions if not torch.equal(first_TD[0], first_TD[1]) else 1
    parts = [
        seen_by(model, features_of(model, [[word] * places for word in candidates.words[start : start + CHUNK]]), owner)
        for start in range(0, len(candidates.words), CHUNK)
    ]
    return torch.cat(parts)


def _dimensions(inputs_VPD: Tensor) -> int:
    """The rank of all inputs together, by the eigenvalues of their second moments."""
    flat_ND = inputs_VPD.flatten(0, 1).double()
    values = torch.linalg.eigvalsh(flat_ND.mT @ flat_ND)
    return int((values > values[-1] * 1e-10).sum())


def second_inputs(readers: Readers, sentences: Sequence[Sequence[str]]) -> Tensor:
    """What the second layer would read of some sentences of equal length, (sentences, T, D)."""
    parts = [
        seen_by(readers.model, features_of(readers.model, sentences[start : start + CHUNK]), readers.second_owner)
        for start in range(0, len(sentences), CHUNK)
    ]
    return torch.cat(parts)
