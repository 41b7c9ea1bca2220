"""Calibration by group: whether a score of 0.7 means the same for everybody."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy import special

from holdfast.core.errors import InputError
from holdfast.core.evidence import Condition, Estimate, Evidence
from holdfast.fairness.cards import MetricCard
from holdfast.fairness.groups.gaps import Gap, Gaps, norm_interval, sized
from holdfast.fairness.groups.rates import View, demand_disjoint, demand_probabilities, demand_rows, views
from holdfast.fairness.groups.telling import NOTES, OF_ONE_GROUP, Teller
from holdfast.fairness.inference import Inference, Measured, Units, gap_measured, max_t_band, ratio_replicates
from holdfast.fairness.metric import Needs
from holdfast.fairness.predictions import Predictions

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]
Places = NDArray[np.int64]

FEWEST = 10
"""Rows of a bin, where a group is small: it gets fewer bins then."""


@dataclass(frozen=True, eq=False)
class BinnedCalibration:
    """Scores against outcomes, in bins of equal mass.

    Args:
        bin_of: The bin of each row, (n,).
        counts_B: Rows of each bin.
        gaps_B: Mean score minus share of positive rows, in each bin.
        plug_in: Expected calibration error: the mean of absolute gaps, each bin by its rows.
        corrected: The same less what noise alone adds; never below 0.
    """

    bin_of: Places
    counts_B: Places
    gaps_B: Floats
    plug_in: float
    corrected: float


def binned_calibration(scores_n: Floats, positive_n: Bools, *, bins: int) -> BinnedCalibration:
    """Measures the expected calibration error.

    Args:
        scores_n: Probabilities of the positive side, at least one.
        positive_n: Who is truly positive.
        bins: Bins of equal mass, at least 1; fewer are used where scores tie or rows are few. Rows of one score share a bin.

    References:
        Naeini, Cooper and Hauskrecht 2015 (the error); Kumar, Liang and Ma 2019, section 5 and appendix (the correction: each absolute
        gap is seen through normal noise, whose mean effect at the seen gap is taken away).
    """
    ranks = np.searchsorted(np.sort(scores_n), scores_n, "left")
    _, bin_of = np.unique(ranks * bins // len(scores_n), return_inverse=True)
    counts = np.bincount(bin_of)
    rates = np.bincount(bin_of, weights=positive_n) / counts
    gaps = np.bincount(bin_of, weights=scores_n) / counts - rates
    noise = np.sqrt(rates * (1 - rates) / np.maximum(counts - 1, 1))
    share = counts / counts.sum()
    plug_in = float(share @ np.abs(gaps))
    excess = float(share @ (_folded_mean(gaps, noise) - np.abs(gaps)))
    return BinnedCalibration(bin_of.astype(np.int64), counts.astype(np.int64), gaps, plug_in, max(0.0, plug_in - excess))


def _folded_mean(centre: Floats, deviation: Floats) -> Floats:
    """The mean of the absolute value of a normal variable."""
    safe = np.maximum(deviation, 1e-300)
    standard = np.clip(centre / safe, -1e8, 1e8)
    density = np.exp(-0.5 * np.minimum(standard**2, 1400.0)) / math.sqrt(2 * math.pi)
    return np.where(deviation > 0, 2 * deviation * density + centre * (2 * special.ndtr(standard) - 1), np.abs(centre))


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """Expected calibration error and calibration in the large of every group.

    Args:
        bins: Bins of equal mass within each group, at least 1; a group gets fewer where it has under ten rows for each.

    Raises:
        InputError: For fewer than one bin.
    """

    bins: int = 10

    needs: ClassVar[Needs] = "predictions"
    groups_apart: ClassVar[bool] = True
    card: ClassVar[MetricCard] = MetricCard(
        name="calibration",
        title="Calibration by group (expected calibration error, calibration in the large)",
        notion="sufficiency: a score means the same in every group",
        groups="any attribute whose groups share no member",
        source_text="the data that were predicted",
        level="decision",
        kind="extrinsic",
        unit="share",
        ideal=0.0,
        direction="lower is better",
        criticism=(
            "Where base rates differ, calibration in every group and equal error rates cannot both hold, save in special cases "
            "(Kleinberg, Mullainathan and Raghavan 2017; Pleiss, Raghavan, Wu, Kleinberg and Weinberger 2017).",
            "The error hangs on how many bins there are, and noise makes it positive (Kumar, Liang and Ma 2019; Roelofs et al. 2022).",
            "Calibration, though desirable, does not guarantee equitable decisions (Corbett-Davies and Goel 2018).",
            "What holds for groups need not hold for their subgroups (Hebert-Johnson, Kim, Reingold and Rothblum 2018).",
        ),
        harms="Where scores of a group are too high or too low, every decision that rests on them errs against it in one direction.",
        reference="Naeini, Cooper and Hauskrecht 2015; Kumar, Liang and Ma 2019; Pleiss et al. 2017",
    )

    def __post_init__(self) -> None:
        if not isinstance(self.bins, int) or self.bins < 1:
            raise InputError(f"calibration: bins {self.bins!r}; give a whole number of at least 1, 10 or 15 are usual")

    def measure(self, given: Predictions, *, subject: str, inference: Inference) -> Evidence:
        """Measures both errors of every group, the worst group and the largest difference in the large.

        Raises:
            InputError: For predictions without scores, or groups that share a member.
        """
        demand_rows(given, self.card.name)
        demand_probabilities(given, self.card.name)
        demand_disjoint(given.groups, self.card.name)
        teller = Teller.of(self.card, subject, inference=inference, predictions=given)
        looked_at = [_Looked(view, given, place, self.bins, teller) for place, view in enumerate(views(given))]
        large = _in_the_large(looked_at, teller)
        rows: list[Estimate] = []
        worst: list[Estimate] = []
        for variant in ("plug-in", "bias-corrected"):
            errors = [looked.errors(variant) for looked in looked_at]
            rows += [e for looked, measured in zip(looked_at, errors, strict=True) for e in looked.told(variant, measured)]
            gaps = [_worst(looked, measured) for looked, measured in zip(looked_at, errors, strict=True)]
            every, partial = tuple(gap for gap, _ in gaps), tuple(gap for _, gap in gaps)
            missing = any(gap.alone.value is None for gap in every)
            summed = Gaps(every=every, partial=partial if missing else (), kind="difference")
            method = "expected calibration error of the group that has the largest"
            why, worst_group = OF_ONE_GROUP, "worst group"
            worst += teller.gaps("calibration_error", summed, method=method, statistic=worst_group, variant=variant, unjudged=why)
        return Evidence(estimates=(*large.summary, *worst, *rows, *large.rows), notes=NOTES)


class _Looked:
    """One positive side with bins of every group."""

    def __init__(self, view: View, given: Predictions, place: int, bins: int, teller: Teller) -> None:
        self.view, self.given, self.place, self.teller = view, given, place, teller
        self.score = np.asarray(view.score)
        self.rows = [np.flatnonzero(given.groups.members[:, group]) for group in range(len(given.groups.names))]
        self.binned = [
            binned_calibration(self.score[rows], view.y_true[rows], bins=max(1, min(bins, len(rows) // FEWEST))) if len(rows) else None
            for rows in self.rows
        ]
        self.replicates = [self._drawn(group) for group in range(len(self.rows))]

    def _drawn(self, group: int) -> Floats | None:
        """Replicates of the gaps of all bins of a group, (R, B)."""
        binned, rows = self.binned[group], self.rows[group]
        if binned is None or len(rows) < 2:
            return None
        inside = binned.bin_of[:, None] == np.arange(len(binned.counts_B))
        away = inside * (self.score[rows] - self.view.y_true[rows])[:, None]
        found, of = np.unique(self.given.units.of[rows], return_inverse=True)
        units, inference = Units(of.astype(np.int64), len(found), self.given.units.what), self.teller.inference
        generator = inference.streams(self.teller.card.name).generator("bins", self.place, group)
        return ratio_replicates(away, inside.astype(np.float64), units, replicates=inference.replicates, generator=generator)

    def errors(self, variant: str) -> list[Measured]:
        """The error of every group; intervals of all groups hold at once."""
        share = 1 - (1 - self.teller.inference.level) / max(len(self.rows), 1)
        return [self._error(group, variant, share) for group in range(len(self.rows))]

    def _error(self, group: int, variant: str, level: float) -> Measured:
        binned, drawn, name = self.binned[group], self.replicates[group], self.given.groups.names[group]
        about = Measured(
            value=None,
            missing=f"no row belongs to group {name!r}",
            units=len(np.unique(self.given.units.of[self.rows[group]])),
            resampled=self.given.units.what,
            sizes={name: len(self.rows[group])},
        )
        if binned is None:
            return about
        value = binned.plug_in if variant == "plug-in" else binned.corrected
        weights = binned.counts_B / binned.counts_B.sum()
        norm = None if drawn is None else norm_interval(binned.gaps_B, drawn, weights_P=weights, level=level)
        if norm is not None:  # the interval is of the true error in these bins, and may not leave a variant outside
            low, high = min(norm.low, value), max(min(norm.high, 1.0), value)
            norm = replace(norm, value=value, low=low, high=high, method=f"{norm.method}; {len(self.rows)} groups at once (Bonferroni)")
        return sized(norm, value, about, test="calibrated in every bin, length of the error")

    def told(self, variant: str, errors: list[Measured]) -> list[Estimate]:
        """A row for each group."""
        rows = []
        for group, measured in enumerate(errors):
            binned = self.binned[group]
            bins = 0 if binned is None else len(binned.counts_B)
            about: dict[str, Condition | None] = {"group": self.given.groups.names[group], "class": self.view.label, "variant": variant}
            method = "mean absolute gap between mean score and share of positive rows, in bins of equal mass within the group"
            rows.append(self.teller.tell("calibration_error", measured, method=method, conditions={**about, "bins": bins}))
        return rows


def _worst(looked: _Looked, errors: list[Measured]) -> tuple[Gap, Gap]:
    """The largest error among groups: missing where one has none, and that of the others."""
    names, label = looked.given.groups.names, looked.view.label
    known = [place for place, error in enumerate(errors) if error.value is not None]
    left_out = tuple(str(error.missing) for error in errors if error.value is None)
    missing = Measured(value=None, missing="; ".join(left_out) or "there is no group", resampled=looked.given.units.what)
    absent = Gap(alone=missing, shared=missing, label=label, left_out=left_out)
    if not known:
        return absent, absent
    values = [errors[place].value or 0.0 for place in known]
    most = known[int(np.argmax(values))]
    lows, highs = ([getattr(errors[place], end) for place in known] for end in ("low", "high"))
    sure = None not in lows and None not in highs
    ends = {"low": max(lows), "high": max(highs)} if sure else {"low": None, "high": None, "interval": "the spread cannot be told"}
    measured = replace(errors[most], **ends, p_value=None, test="")
    found = Gap(alone=measured, shared=measured, label=label, worst=names[most], left_out=left_out)
    return (absent if left_out else found), found


@dataclass(frozen=True)
class _Large:
    summary: list[Estimate]
    rows: list[Estimate]


def _in_the_large(looked_at: list[_Looked], teller: Teller) -> _Large:
    """Mean score minus base rate of every group, and the largest difference between groups."""
    given, inference = teller.predictions, teller.inference
    members = given.groups.members
    excess = np.stack([looked.score - looked.view.y_true for looked in looked_at], axis=1)
    sizes = given.groups.sizes
    values = np.divide(excess.T @ members, sizes, out=np.full((len(looked_at), len(sizes)), np.nan), where=sizes > 0)
    above = (excess[:, :, None] * members[:, None, :]).reshape(len(given), values.size)
    below = np.broadcast_to(members[:, None, :], (len(given), *values.shape)).reshape(len(given), values.size).astype(np.float64)
    generator = inference.streams(teller.card.name).generator("in the large")
    drawn = ratio_replicates(above, below, given.units, replicates=inference.replicates, generator=generator)
    band = max_t_band(values.ravel(), drawn, level=inference.level, bounds=(-1.0, 1.0))
    cube, ends = drawn.reshape(len(drawn), *values.shape), (band.low.reshape(values.shape), band.high.reshape(values.shape))
    rows = [
        _large_row(teller, looked, (values[column, group], ends[0][column, group], ends[1][column, group]), group, values.size)
        for column, looked in enumerate(looked_at)
        for group in range(len(sizes))
    ]
    strict = replace(inference, level=1 - (1 - inference.level) / len(looked_at))
    pairs = [_large_gaps(looked, values[column], cube[:, column], (inference, strict)) for column, looked in enumerate(looked_at)]
    missing = any(gap.alone.value is None for gap, _ in pairs)
    gaps = Gaps(every=tuple(gap for gap, _ in pairs), partial=tuple(gap for _, gap in pairs) if missing else (), kind="difference")
    method = "mean score minus base rate, highest minus lowest group"
    return _Large(teller.gaps("calibration_in_the_large_difference", gaps, method=method), rows)


def _large_row(teller: Teller, looked: _Looked, found: tuple[float, float, float], group: int, count: int) -> Estimate:
    name, rows = teller.predictions.groups.names[group], looked.rows[group]
    value, low, high = map(float, found)
    sure = math.isfinite(low) and math.isfinite(high)
    measured = Measured(
        value=None if math.isnan(value) else value,
        low=low if sure else None,
        high=high if sure else None,
        interval=teller.simultaneous(count) if sure else "the spread cannot be told",
        units=len(np.unique(teller.predictions.units.of[rows])),
        resampled=teller.predictions.units.what,
        sizes={name: len(rows)},
        missing=f"no row belongs to group {name!r}",
    )
    about: dict[str, Condition | None] = {"group": name, "class": looked.view.label}
    return teller.tell("calibration_in_the_large", measured, method="mean score minus base rate", direction="neither", conditions=about)


def _large_gaps(looked: _Looked, values_G: Floats, drawn_RG: Floats, rules: tuple[Inference, Inference]) -> tuple[Gap, Gap]:
    """The difference between all groups, and between those that have rows."""
    names, sizes = looked.given.groups.names, looked.given.groups.sizes
    known = np.flatnonzero(np.isfinite(values_G))
    left_out = tuple(f"no row belongs to group {name!r}" for name, size in zip(names, sizes, strict=True) if not size)
    found = []
    for kept in (np.arange(len(names)), known):
        alone, shared = (
            gap_measured(
                values_G[kept],
                drawn_RG[:, kept],
                names=[names[group] for group in kept],
                sizes=[int(sizes[group]) for group in kept],
                inference=rule,
                units=looked.given.units.count,
                resampled=looked.given.units.what,
                higher_is_better=False,
            )
            for rule in rules
        )
        worst = names[int(kept[int(np.argmax(values_G[kept]))])] if alone.value is not None else ""
        found.append(Gap(alone=alone, shared=shared, label=looked.view.label, worst=worst, left_out=left_out if kept is known else ()))
    return found[0], found[1]
