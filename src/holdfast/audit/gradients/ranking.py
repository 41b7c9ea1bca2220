"""Words ranked by odds where an update does not tell them outright: by its energy, joined with how common they are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from holdfast.audit.gradients.candidates import Basis, Candidates
from holdfast.audit.gradients.rounds import Mode, Round, observe
from holdfast.core.access import OpenModel
from holdfast.core.randomness import Streams
from holdfast.data import Dataset

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Rehearsal:
    """A round that the attacker made of public text, to learn what words look like in such a round.

    Args:
        round: Made with the cohort, the clipping and the noise of the rounds that are to be attacked.
        words: The words of it.
    """

    round: Round
    words: frozenset[str]


def rehearse(
    model: OpenModel,
    cohorts: Sequence[Sequence[Dataset]],
    *,
    streams: Streams,
    clip_norm: float | None = None,
    noise_multiplier: float = 0.0,
    mode: Mode = "evaluation",
) -> tuple[Rehearsal, ...]:
    """Makes rehearsals of cohorts of public examples, which need labels.

    Args:
        model: The model that the server sent.
        cohorts: For each rehearsal the examples of each client.
        streams: For noise and dropout.
        clip_norm: As in `observe`.
        noise_multiplier: As there.
        mode: As there.
    """
    return tuple(
        Rehearsal(
            round=observe(
                model, cohort, streams=streams.child("rehearsal", k), clip_norm=clip_norm, noise_multiplier=noise_multiplier, mode=mode
            ),
            words=frozenset(word for client in cohort for row in client.tokens() for word in row),
        )
        for k, cohort in enumerate(cohorts)
    )


@dataclass(frozen=True, eq=False)
class Ranked:
    """Scores of words.

    Args:
        scores: One for each candidate, (V,), in nats where they are log-odds.
        basis: Whether the update had a say.
    """

    scores: Floats
    basis: Basis


def ranked(
    candidates: Candidates,
    round_: Round,
    *,
    energy_of: Callable[[Round], Floats],
    dimensions: int | None,
    most: int,
    rehearsals: Sequence[Rehearsal],
) -> Ranked:
    """Scores each word by what of the update would be its own, joined with how common the word is.

    With rehearsals, a logistic regression learns from them what the logarithm of the energy and that of the word's share of public
    text say of its presence. Without, and where the energy is a sum of squares with noise of known size, each word gets its prior
    log-odds and the logarithm of the generalised likelihood ratio of its energy: Gaussian numbers of some larger variance against
    noise alone. Without either the prior decides.

    Args:
        candidates: The attacker's dictionary.
        round_: The round.
        energy_of: Gives a number for each word in a round, (V,), > 0 and higher where the word is likelier there.
        dimensions: How many numbers of the update are squared and summed in it; None where it is something else.
        most: Distinct words of the sum: the generous adversary is told.
        rehearsals: Rounds of public text.
    """
    if rehearsals:
        known = [(energy_of(r.round) * r.round.divisor**2, r.words) for r in rehearsals]
        return Ranked(_learned(candidates, energy_of(round_) * round_.divisor**2, known), "scores")
    if round_.noise_std > 0 and dimensions is not None:
        over = np.maximum(energy_of(round_) / round_.noise_std**2, dimensions)  # what is below noise alone says nothing
        ratio = (over - dimensions) / 2 - dimensions / 2 * np.log(over / dimensions)
        return Ranked(candidates.log_odds(most) + ratio, "scores")
    return Ranked(candidates.log_shares, "prior")


def _learned(candidates: Candidates, energies: Floats, rehearsed: Sequence[tuple[Floats, frozenset[str]]]) -> Floats:
    """Log-odds of each word by logistic regression, up to a constant; the prior alone where a rehearsal holds all words or none."""
    present = np.concatenate([np.array([word in words for word in candidates.words]) for _, words in rehearsed])
    if present.all() or not present.any():
        return candidates.log_shares
    floor = max(float(np.max(energies)), *(float(np.max(energy)) for energy, _ in rehearsed)) * 1e-12 + np.finfo(np.float64).tiny
    known = np.log(np.concatenate([energy for energy, _ in rehearsed]) + floor)
    middle, spread = known.mean(), known.std() + 1e-12
    columns = [np.column_stack([(known - middle) / spread, np.tile(candidates.log_shares, len(rehearsed))])]
    columns.append(np.column_stack([(np.log(energies + floor) - middle) / spread, candidates.log_shares]))
    fitted = LogisticRegression(C=100.0, max_iter=1000).fit(columns[0], present)
    return np.asarray(fitted.decision_function(columns[1]), dtype=np.float64)
