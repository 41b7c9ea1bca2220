"""Membership figures by group: who is exposed, by how much more than the rest, and how large the gap is for certain."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from itertools import chain

import numpy as np

from holdfast.audit.intervals import Area, Floats, Integers, tpr_band
from holdfast.audit.leakage.areas import difference_interval, gap_at_parity, gap_interval
from holdfast.audit.scores import FPRS, Scores
from holdfast.core.errors import InputError
from holdfast.core.evidence import Condition, Estimate, Evidence, Interval

FEWEST_ROWS = 20
"""Members, and as many non-members, that a group needs: with fewer the interval of its area would say next to nothing."""

NOTES = (
    "Figures by group speak of groups, not of persons. That no difference between groups was found does not show that there is none: "
    "intervals of small groups are wide.",
    "Intervals by group hold for one run and one attribute at a time. Where a page has several runs and attributes, some miss by chance, "
    "and runs on the same data miss together.",
    "Whether members and non-members can be told apart without the model was not checked for each group by itself.",
)
"""What figures by group cannot show."""

Measure = Callable[[str], Estimate]


@dataclass(frozen=True, kw_only=True, eq=False)
class GroupedScores:
    """Scores of an attack with the group of each row.

    Each figure gives one estimate for each group, in alphabetical order; that of a group with too few rows is missing and says
    why. The intervals of one figure hold for all groups at once: the chance of error is shared out among the groups with enough
    rows (Bonferroni), which asks nothing of how groups depend on each other. All take a `subject`, the run that is spoken of,
    and a `level`, the confidence that all intervals of the figure hold.

    Args:
        scores: Of all rows.
        attribute: What the rows are grouped by, such as "dialect".
        members: The group of each member, (n1,), in the order of the scores; None where it is not known.
        nonmembers: The group of each non-member, (n0,).

    Raises:
        InputError: For labels that are not as many as the scores, or a label that is neither a name nor None.

    >>> scores = Scores(members=[2.0, 3.0], nonmembers=[0.0, 1.0], attack="toy", access="none", reference="none")
    >>> grouped = GroupedScores(scores=scores, attribute="age", members=["old", "young"], nonmembers=["old", None])
    >>> grouped.auc()[1].missing
    "too few rows: 1 member and 0 non-members are of group 'young'; 20 of each are needed"
    """

    scores: Scores
    attribute: str
    members: Sequence[str | None]
    nonmembers: Sequence[str | None]

    def __post_init__(self) -> None:
        object.__setattr__(self, "members", _checked(self.members, self.scores.members.size, "members"))
        object.__setattr__(self, "nonmembers", _checked(self.nonmembers, self.scores.nonmembers.size, "non-members"))

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Every group that some row is of, in alphabetical order."""
        return tuple(sorted({name for name in chain(self.members, self.nonmembers) if name is not None}))

    @cached_property
    def tested(self) -> tuple[str, ...]:
        """The groups with at least `FEWEST_ROWS` members and as many non-members."""
        return tuple(name for name in self.names if min(side.size for side in self._rows(name)) >= FEWEST_ROWS)

    def auc(self, *, subject: str = "", level: float = 0.95) -> tuple[Estimate, ...]:
        """`group_auc`: the chance that a random member of the group scores above a random non-member of it."""

        def measured(name: str) -> Estimate:
            return replace(self._part(name).auc(), interval=self._area(name).interval(level=self._each(level)))

        return self._by_group(replace(self.scores.auc(), name="group_auc", unit="area"), measured, subject, level)

    def differences(self, *, subject: str = "", level: float = 0.95) -> tuple[Estimate, ...]:
        """`group_auc_difference`: the AUC of the group minus that of the rows of all other groups, which share no row with it.

        Rows of no known group belong to neither side.
        """
        method = "AUC of the group minus AUC of the rows of all other groups; Mann-Whitney"
        whole = replace(self.scores.auc(), name="group_auc_difference", unit="area", direction="neither", method=method)

        def measured(name: str) -> Estimate:
            members, nonmembers = self._rows(name, others=True)
            if min(members.size, nonmembers.size) < FEWEST_ROWS:
                few = f"nothing to compare with: {_counted(members, nonmembers)} of other groups; {FEWEST_ROWS} of each are needed"
                return replace(whole, value=None, interval=None, missing=few)
            own, rest = self._area(name), Area.between(members, nonmembers)
            interval = difference_interval(own, rest, level=self._each(level))
            return replace(whole, value=own.value - rest.value, interval=interval, n=own.rows + rest.rows)

        return self._by_group(whole, measured, subject, level)

    def gap(self, *, subject: str = "", level: float = 0.95) -> Estimate:
        """`group_auc_gap`: the largest AUC of a group minus the smallest, with an interval that is valid at parity.

        The largest of several minus the smallest is above 0 even where all are equal, so the value is biased upwards; the
        condition `null_mean` says how large it would be on average then. Where the interval begins at 0, no two groups were
        found to differ. See `gap_interval`.
        """
        method = "largest minus smallest AUC of a group: biased upwards; Mann-Whitney"
        whole = replace(self.scores.auc(), name="group_auc_gap", subject=subject, unit="area", method=method)
        areas = {name: self._area(name) for name in self.tested}
        conditions = self._shared(whole) | {"groups_left_out": len(self.names) - len(areas)}
        if len(areas) < 2:
            few = f"{len(areas)} of {len(self.names)} groups have {FEWEST_ROWS} members and as many non-members; two are needed"
            return replace(whole, value=None, interval=None, missing=few, conditions=conditions)
        values = {name: area.value for name, area in areas.items()}
        most, least = max(values, key=values.__getitem__), min(values, key=values.__getitem__)
        used = tuple(areas.values())
        conditions |= {"largest": most, "smallest": least, "null_mean": gap_at_parity(used)}
        conditions |= {"members": sum(area.members for area in used), "nonmembers": sum(area.nonmembers for area in used)}
        interval, n = gap_interval(used, level=level), sum(area.rows for area in used)
        return replace(whole, value=values[most] - values[least], interval=interval, n=n, conditions=conditions)

    def at_one_threshold(self, fpr: float, *, subject: str = "", level: float = 0.95) -> tuple[Estimate, ...]:
        """`group_tpr_one_threshold`, then `group_fpr_one_threshold`: who is found, and who is wrongly accused, by one attack.

        The threshold is that of all non-members, of a known group or not, as in `Scores.tpr_at_fpr`: one attacker who does not
        look at groups. A group on which the model does well, for members and non-members alike, has a high rate of both.

        Args:
            fpr: False positive rate over all non-members, in (0, 1).
            subject: The run.
            level: Confidence that all intervals of one of the two figures hold. They cover the place of the threshold too.

        Returns:
            Both for each group; missing where the rate is not resolvable on all non-members.
        """
        method = f"share of the group above one threshold for all, which is at rate {fpr:g} of all non-members"
        whole = replace(self.scores.tpr_at_fpr(fpr), method=method)
        outside = self.scores.nonmembers
        threshold = np.sort(outside)[::-1][int(fpr * outside.size + 1e-9)]  # as in `Scores.tpr_at_fpr`

        def measured(name: str, side: int) -> Estimate:
            if whole.value is None:
                return whole
            own = self._rows(name)[side]
            band = tpr_band(own, outside, np.array([fpr]), level=self._each(level))
            how = "binomial interval for the threshold joined with Clopper-Pearson for the group"
            interval = Interval(low=float(band.low[0]), high=float(band.high[0]), level=level, method=how)
            return replace(whole, value=float(np.mean(own > threshold)), interval=interval, n=own.size)

        tprs = self._by_group(replace(whole, name="group_tpr_one_threshold"), partial(measured, side=0), subject, level)
        return tprs + self._by_group(replace(whole, name="group_fpr_one_threshold"), partial(measured, side=1), subject, level)

    def at_own_thresholds(self, fpr: float, *, subject: str = "", level: float = 0.95) -> tuple[Estimate, ...]:
        """`group_tpr_own_threshold`: the share of the group's members found at the threshold of the group's own non-members.

        This is an attacker who knows the groups. Each must resolve the false positive rate `fpr` with its own non-members.
        """
        method = "threshold at that rate on the non-members of the group"
        whole = replace(self.scores.tpr_at_fpr(fpr), name="group_tpr_own_threshold", method=method)
        return self._by_group(whole, lambda name: self._part(name).tpr_at_fpr(fpr, level=self._each(level)), subject, level)

    def advantages(self, *, subject: str = "", level: float = 0.95) -> tuple[Estimate, ...]:
        """`group_advantage`: the largest TPR - FPR over all thresholds, for each group by itself.

        A small group has a larger one by chance: hold it against its `null_mean`. Its `p_value` is for that group alone.
        """
        whole = replace(self.scores.advantage(), name="group_advantage")
        return self._by_group(whole, lambda name: self._part(name).advantage(level=self._each(level)), subject, level)

    def evidence(self, *, subject: str, level: float = 0.95, fprs: Sequence[float] = FPRS) -> Evidence:
        """All figures by group of one run: areas, differences, gap, rates at each of `fprs`, advantages, and notes."""
        estimates = [*self.auc(subject=subject, level=level), *self.differences(subject=subject, level=level)]
        estimates.append(self.gap(subject=subject, level=level))
        for fpr in fprs:
            estimates += self.at_one_threshold(fpr, subject=subject, level=level)
            estimates += self.at_own_thresholds(fpr, subject=subject, level=level)
        estimates += self.advantages(subject=subject, level=level)
        nameless = [sum(name is None for name in side) for side in (self.members, self.nonmembers)]
        note = f"{nameless[0]:,} members and {nameless[1]:,} non-members are of no known {self.attribute}; they count in no group."
        return Evidence(estimates=tuple(estimates), notes=(*NOTES, note) if any(nameless) else NOTES)

    def _by_group(self, whole: Estimate, measured: Measure, subject: str, level: float) -> tuple[Estimate, ...]:
        """Measures each group with enough rows; name, method and unit are those of `whole`."""
        found = []
        for name in self.names:
            members, nonmembers = self._rows(name)
            if name in self.tested:
                own = measured(name)
            else:
                few = f"too few rows: {_counted(members, nonmembers)} of group {name!r}; {FEWEST_ROWS} of each are needed"
                lacking = replace(whole, value=None, interval=None, missing=few, n=members.size + nonmembers.size)
                own = replace(lacking, conditions=self._shared(whole))
            sizes: dict[str, Condition] = {"group": name, "members": members.size, "nonmembers": nonmembers.size}
            named = replace(own, name=whole.name, subject=subject, unit=whole.unit, method=whole.method)
            named = replace(named, conditions={**own.conditions, **self._shared(whole), **sizes})
            if named.interval is not None:
                how = f"{named.interval.method}; for all {len(self.tested)} groups at once (Bonferroni)"
                named = replace(named, interval=replace(named.interval, level=level, method=how))
            found.append(named)
        return tuple(found)

    def _shared(self, whole: Estimate) -> dict[str, Condition]:
        """The conditions that hold for all groups alike."""
        kept = {key: value for key, value in whole.conditions.items() if key in ("attack", "training_runs", "fpr")}
        return {**kept, "attribute": self.attribute, "groups": len(self.tested)}

    def _each(self, level: float) -> float:
        """The level of each interval, so that all hold together at `level`."""
        return 1 - (1 - level) / len(self.tested)

    @cached_property
    def _codes(self) -> tuple[Integers, Integers]:
        """For each member and each non-member the place of its group among the names, -1 where it has none."""
        places: dict[str | None, int] = {name: place for place, name in enumerate(self.names)}
        inside, outside = (np.array([places.get(label, -1) for label in side]) for side in (self.members, self.nonmembers))
        return inside, outside

    def _rows(self, name: str, *, others: bool = False) -> tuple[Floats, Floats]:
        """Scores of the members and of the non-members of a group, or of all other groups."""
        place = self.names.index(name)
        inside, outside = ((side >= 0) & (side != place) if others else side == place for side in self._codes)
        return self.scores.members[inside], self.scores.nonmembers[outside]

    def _part(self, name: str) -> Scores:
        members, nonmembers = self._rows(name)
        return replace(self.scores, members=members, nonmembers=nonmembers, game=None)

    def _area(self, name: str) -> Area:
        return Area.between(*self._rows(name))


def _counted(members: Floats, nonmembers: Floats) -> str:
    one = "" if members.size == 1 else "s", "" if nonmembers.size == 1 else "s"
    return f"{members.size:,} member{one[0]} and {nonmembers.size:,} non-member{one[1]} are"


def _checked(labels: Sequence[str | None], count: int, side: str) -> tuple[str | None, ...]:
    """The labels of one side as a tuple."""
    if isinstance(labels, str) or len(labels) != count:
        raise InputError(
            f"{len(labels)} group labels for {count} {side}; give one for each, in the order of the scores, None where unknown"
        )
    broken = next((label for label in labels if label is not None and (not isinstance(label, str) or not label)), None)
    if broken is not None:
        raise InputError(f"group label {broken!r} of the {side} is no name; give a text, or None where the group is not known")
    return tuple(labels)
