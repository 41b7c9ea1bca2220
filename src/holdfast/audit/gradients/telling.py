"""The figures of the gradient audit: estimates for each setting and method, with what they mean."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np

from holdfast.audit.gradients.candidates import Method, Recovered
from holdfast.audit.gradients.measuring import Measured, difference_interval, measured, share_interval
from holdfast.core.evidence import Condition, Estimate

METHODS: tuple[Method, ...] = ("embedding-rows", "subspace", "prior")
PHRASE = {
    "embedding-rows": "rows of the embedding table that moved",
    "subspace": "words whose vectors lie in the row space of the first layer's gradient",
    "prior": "the commonest words of public text, as many as there are",
}
REFERENCE = {
    "embedding-rows": "Melis et al. 2019, section 4.1",
    "subspace": "after Petrov et al. 2024, arXiv 2405.15586",
    "prior": "",
}
ACCESS = "one round: the model that was sent and the sum that came back; public text"

NOTES = (
    "Gradient leakage: the words of one client, found by whoever sees the sum of a round. A word counts as found if an attack names it; "
    "precision is the share of named words that the client used, recall the share of the client's words that were named.",
    "In a larger cohort an attack names the words of all clients together. Against one client precision falls because nobody tells whose "
    'a word is, not because the words are hidden; the condition "target" says against whom a figure was measured.',
    "Where an attack is not exact it is told how many distinct words the sum holds, which a real attacker is not. `token_f1_gain` is "
    "what the round told beyond public text, on the same trials.",
    "`sentences_recovered` counts whole utterances that were proved by the gradients, in order; a guess does not count. "
    "`gradient_rank` is the dimension of what the first layer's gradient spans: sentences can be told while it is below the layer's width.",
    "A figure near that of the prior bounds these attacks, not all attacks; only a promise for users bounds all.",
)


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What a round is made with.

    Args:
        batch_size: Examples of each client.
        cohort: Clients in the sum.
        clip_norm: Of one client's gradient; None for none.
        noise_multiplier: Noise on the sum, over the clip norm.
    """

    batch_size: int
    cohort: int
    clip_norm: float | None
    noise_multiplier: float

    def conditions(self, method: Method) -> dict[str, Condition]:
        """The conditions of an estimate."""
        plain: dict[str, Condition] = {"attack": "gradient", "method": method, "batch_size": self.batch_size, "cohort": self.cohort}
        clipped: dict[str, Condition] = {} if self.clip_norm is None else {"clip_norm": self.clip_norm}
        return plain | clipped | {"noise_multiplier": self.noise_multiplier}


@dataclass(frozen=True, eq=False)
class Trial:
    """What all attacks made of one round.

    Args:
        found: What each says, by method.
        of_client: Held against the target's words.
        of_cohort: Held against the words of all clients.
        missing: Why a method cannot be used on this model, by method; empty where it can.
    """

    found: Mapping[Method, Recovered]
    of_client: Mapping[Method, Measured]
    of_cohort: Mapping[Method, Measured]
    missing: Mapping[Method, str]

    @classmethod
    def of(cls, attacks: Sequence[Recovered], text: Sequence[Sequence[str]], *, target: int, missing: Mapping[Method, str]) -> Self:
        """Measures attacks on a round.

        Args:
            attacks: One for each method.
            text: The words of each utterance of the cohort, those of the target first.
            target: How many of them are the target's, at least 1.
            missing: As in the class.
        """
        return cls(
            found={found.method: found for found in attacks},
            of_client={found.method: measured(found, text[:target]) for found in attacks},
            of_cohort={found.method: measured(found, text) for found in attacks},
            missing=missing,
        )


def told(setting: Setting, trials: Sequence[Trial], *, subject: str) -> Iterator[Estimate]:
    """The estimates of one setting.

    Args:
        setting: What the rounds were made with.
        trials: At least two.
        subject: The run that they speak of.
    """
    targets = ("client",) if setting.cohort == 1 else ("client", "cohort")
    for method in METHODS:
        exact = sum(trial.found[method].basis == "exact" for trial in trials)
        note = "" if method == "prior" else f"; exact in {exact} of {len(trials)} trials"
        fields: dict[str, Any] = {
            "subject": subject,
            "unit": "share",
            "direction": "lower is better",
            "reference": REFERENCE[method],
            "access": ACCESS if method != "prior" else "public text",
            "method": PHRASE[method] + note,
        }
        for target in targets:
            fields["conditions"] = setting.conditions(method) | {"target": target}
            yield from _of_target(method, target, trials, fields)
        fields["conditions"] = setting.conditions(method) | {"target": "client"}
        if method == "subspace":
            yield _rank(trials, fields)


def _of_target(method: Method, target: str, trials: Sequence[Trial], fields: dict[str, Any]) -> Iterator[Estimate]:
    names = ["token_precision", "token_recall", "token_f1"]
    names += ["token_f1_gain"] if method != "prior" else []
    names += ["sentences_recovered"] if method == "subspace" and target == "client" else []
    reason = trials[0].missing.get(method)
    if reason:
        yield from (Estimate(name=name, value=None, missing=reason, **fields) for name in names)
        return
    sides = [trial.of_client if target == "client" else trial.of_cohort for trial in trials]
    gains = [side[method].f1 - side["prior"].f1 for side in sides]
    values = {
        "token_precision": [side[method].precision for side in sides],
        "token_recall": [side[method].recall for side in sides],
        "token_f1": [side[method].f1 for side in sides],
        "sentences_recovered": [side[method].sentences for side in sides],
    }
    for name in names:
        each = gains if name == "token_f1_gain" else values[name]
        interval = difference_interval(each) if name == "token_f1_gain" else share_interval(each)
        yield Estimate(name=name, value=float(np.mean(each)), interval=interval, n=len(each), **fields)


def _rank(trials: Sequence[Trial], fields: dict[str, Any]) -> Estimate:
    ranks = [found.rank for found in (trial.found["subspace"] for trial in trials) if found.rank is not None]
    fields = fields | {"name": "gradient_rank", "unit": "rank", "direction": "neither"}
    if not ranks:
        return Estimate(value=None, missing=trials[0].found["subspace"].reason, **fields)
    interval = difference_interval(ranks) if len(set(ranks)) > 1 else None
    if interval is not None:
        interval = replace(interval, low=max(0.0, interval.low))
    return Estimate(value=float(np.mean(ranks)), n=len(ranks), interval=interval, **fields)
