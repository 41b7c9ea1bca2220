"""The records at most risk, by hash and never by text, and how the scores of members and of non-members are spread."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import stats

from holdfast.audit.intervals import Floats, rate_at_least, rate_at_most
from holdfast.audit.scores import Scores
from holdfast.core.errors import InputError
from holdfast.core.evidence import Condition, Curve, Estimate, Evidence, Interval
from holdfast.data.records import hashed_id

NOTES = (
    "The records at most risk are those that this attack scores highest. Some record always is: hold its rate against the rate that is "
    "expected of its rank where nothing leaks. Another attack may find others.",
    "Records are named by a hash, which is no anonymity: whoever has a list of possible ids can find out which are named. The list is "
    "for whoever holds the data; leave it out of a report that leaves the house.",
)
"""What a list of records cannot show, and how to handle it."""

CENTRAL = 0.99
"""Share of all scores over which the bins of a histogram are laid; the bins at both ends hold the rest too."""


def records_at_risk(
    scores: Scores, ids: Sequence[str], *, salt: str, count: int = 10, subject: str = "", level: float = 0.95
) -> tuple[Estimate, ...]:
    """The members with the highest scores, each with the false positive rate at which the attack finds it.

    Args:
        scores: Of all rows.
        ids: Names the record of each member, (n1,): an id of the record or of its user, or the number of its row. Not its
            text, because whoever guesses a text can check the guess against the hash.
        salt: Goes into the hash: the name of the data set, as for user ids in `holdfast.data`.
        count: How many records, at least 1; all where there are fewer members. Of equal scores the earlier row comes first.
        subject: The run that was attacked.
        level: Confidence that all upper bounds of the list hold.

    Returns:
        Estimates `record_fpr`, the most exposed first: the share of non-members that score at least as high. The conditions
        hold `rank`, `score`, `record` (the hash), `as_high` (how many non-members), `null_mean` (the rate expected of that
        rank where nothing leaks), `p_value` (the chance that a member of that rank stands as high then) and, where the rows
        are known, `alone` (no other row has its words, label and tags).

    Raises:
        InputError: For ids that are not as many as the members, or a count below 1.

    Guarantee:
        The upper ends are exact at every n (Clopper-Pearson, one-sided) and hold together (Bonferroni): the list is chosen by
        the scores of members alone, so the non-members are fresh trials. No rate is 0 for certain: for none of n it is
        about ``log(count / (1 - level)) / n`` at most. The p-value of a rank is valid where members and non-members are drawn
        alike; ties make it larger.

    References:
        Carlini et al. 2022, "The privacy onion effect", arXiv 2206.10469, on leakage of single records.
    """
    if len(ids) != scores.members.size or isinstance(ids, str):
        raise InputError(f"{len(ids)} ids for {scores.members.size} members; give one for each, in the order of the scores")
    if count < 1:
        raise InputError(f"a list of {count} records; give a count of at least 1")
    chosen = np.argsort(-scores.members, kind="stable")[:count]
    hashes = record_hashes([ids[row] for row in chosen], salt=salt)
    as_high = scores.nonmembers.size - np.searchsorted(np.sort(scores.nonmembers), scores.members[chosen], "left")
    ceilings = rate_at_most(as_high, scores.nonmembers.size, alpha=(1 - level) / chosen.size)
    how = f"one-sided Clopper-Pearson; for all {chosen.size} records at once (Bonferroni)"
    return tuple(
        Estimate(
            name="record_fpr",
            subject=subject,
            value=float(high / scores.nonmembers.size),
            unit="share",
            direction="higher is better",
            interval=Interval(low=0.0, high=float(ceiling), level=level, method=how),
            n=scores.nonmembers.size,
            conditions={"record": name, "rank": rank, "as_high": int(high), **_of_rank(scores, int(row), rank, int(high))},
            method="share of non-members that score at least as high as this member",
            reference=f"attack: {scores.reference}; figure: Carlini et al. 2022, arXiv 2206.10469",
            access=scores.access,
        )
        for rank, (row, name, high, ceiling) in enumerate(zip(chosen, hashes, as_high, ceilings, strict=True), start=1)
    )


def record_hashes(ids: Sequence[str], *, salt: str) -> list[str]:
    """The names under which records stand in evidence: the hash that `holdfast.data` gives to user ids.

    Whoever holds the data finds a record again by hashing the ids that they have.

    Args:
        ids: Of records.
        salt: The name of the data set.

    >>> record_hashes(["17"], salt="snips") == record_hashes(["17"], salt="atis")
    False
    """
    return [hashed_id(name, salt=salt) for name in ids]


def score_histograms(scores: Scores, *, bins: int = 30, subject: str = "", level: float = 0.95) -> tuple[Curve, Curve]:
    """How the scores of members and of non-members are spread, on common bins.

    Args:
        scores: Of all rows.
        bins: How many, at least 2.
        subject: The run that was attacked.
        level: Confidence of the band at each bin by itself (Clopper-Pearson).

    Returns:
        Curves `score_histogram_members` and `score_histogram_nonmembers`: x the left edge of each bin, y the share of that
        side in it. The condition `bin_width` closes the last bin.

    Raises:
        InputError: For fewer than two bins.

    Edge cases:
        Where all central scores are equal, the bins are laid over one unit around them. A score on an edge belongs to the bin
        to its right. The bins at both ends are open: they also hold what lies beyond, so that a few extreme scores do not
        squeeze all others into one bin, and the shares add up to 1.
    """
    if bins < 2:
        raise InputError(f"{bins} bins; a histogram needs at least 2")
    tails = (1 - CENTRAL) / 2, (1 + CENTRAL) / 2
    low, high = np.quantile(np.concatenate([scores.members, scores.nonmembers]), tails)
    if not high > low:
        low, high = low - 0.5, high + 0.5
    edges = np.linspace(low, high, bins + 1)
    inside = _histogram("members", scores.members, edges, scores, subject, level)
    return inside, _histogram("nonmembers", scores.nonmembers, edges, scores, subject, level)


def risk_evidence(scores: Scores, ids: Sequence[str], *, salt: str, subject: str, count: int = 10, level: float = 0.95) -> Evidence:
    """The records at most risk and both histograms, with notes; arguments as in `records_at_risk`.

    Args:
        scores: Of all rows.
        ids: Names the record of each member, (n1,).
        salt: The name of the data set.
        subject: The run that was attacked.
        count: How many records.
        level: Confidence.
    """
    estimates = records_at_risk(scores, ids, salt=salt, count=count, subject=subject, level=level)
    return Evidence(estimates=estimates, curves=score_histograms(scores, subject=subject, level=level), notes=NOTES)


def _of_rank(scores: Scores, row: int, rank: int, as_high: int) -> dict[str, Condition]:
    """What else is known of the member of this rank, and what its rank would mean if nothing leaked."""
    n1, n0 = scores.members.size, scores.nonmembers.size
    above = float(stats.hypergeom.sf(rank - 1, n1 + n0, n1, min(rank + as_high, n1 + n0)))  # at least `rank` members on top
    found: dict[str, Condition] = {"score": float(scores.members[row]), "null_mean": rank / (n1 + 1), "p_value": above}
    found |= {"attack": scores.attack, "members": n1, "nonmembers": n0, "training_runs": 1}
    return found if scores.game is None else found | {"alone": bool(scores.game.members_alone[row])}


def _histogram(side: str, values: Floats, edges: Floats, scores: Scores, subject: str, level: float) -> Curve:
    counts = np.bincount(np.clip(np.searchsorted(edges, values, "right") - 1, 0, edges.size - 2), minlength=edges.size - 1)
    tail = (1 - level) / 2
    return Curve(
        name=f"score_histogram_{side}",
        subject=subject,
        x=tuple(edges[:-1]),
        y=tuple(counts / values.size),
        x_label=f"score ({scores.attack})",
        y_label=f"share of {side.replace('nonmembers', 'non-members')}",
        low=tuple(rate_at_least(counts, values.size, alpha=tail)),
        high=tuple(rate_at_most(counts, values.size, alpha=tail)),
        conditions={"attack": scores.attack, "n": values.size, "bin_width": float(edges[1] - edges[0]), "level": level, "training_runs": 1},
        method=f"{edges.size - 1} equal bins over the central {CENTRAL:.0%} of all scores, the ends open; pointwise Clopper-Pearson band",
    )
