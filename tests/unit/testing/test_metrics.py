"""Planted faults in metrics of fairness: the check must find each of them, and pass the same metric without."""

import random
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from tests.unit.fairness import world

from holdfast.core.errors import InputError
from holdfast.core.evidence import Estimate, Evidence
from holdfast.core.randomness import Streams
from holdfast.fairness import Groups, Inference, Measured, MetricCard, Predictions, Units
from holdfast.fairness.association import WEAT
from holdfast.fairness.generation import GenderPolarityUnigram
from holdfast.fairness.generation.texts import Asked, Texts
from holdfast.fairness.inference import max_gap, max_t_band, ratio_replicates
from holdfast.testing import check_metric

CARD = MetricCard(
    name="hit-rate",
    title="Hit rate by group",
    notion="equal opportunity",
    groups="any",
    source_text="the test set",
    level="decision",
    kind="extrinsic",
    unit="share",
    ideal=0.0,
    direction="lower is better",
    criticism=("It counts.",),
    harms="Those who are not hit.",
    reference="here",
)


@dataclass(frozen=True, kw_only=True)
class HitRate:
    """The share of right decisions of each group, and the largest difference; each part can be spoilt by a subclass."""

    card: ClassVar[Any] = CARD
    needs: ClassVar[Any] = "predictions"

    def measure(self, given: Predictions, *, subject: str, inference: Inference) -> Evidence:
        members = given.groups.members
        right = (given.y_true == given.y_pred)[:, None] & members
        with np.errstate(invalid="ignore"):
            values = right.sum(0) / members.sum(0)
        drawn = ratio_replicates(right, members, given.units, replicates=inference.replicates, generator=self.generator(inference))
        found = given, values, drawn, subject, inference
        return Evidence(estimates=(*self.rows(*found), self.gap(*found)))

    def generator(self, inference: Inference) -> np.random.Generator:
        return inference.streams(self.card.name).generator("bootstrap")

    def rows(self, given, values, drawn, subject, inference) -> list[Estimate]:
        band = max_t_band(values, drawn, level=inference.level, bounds=(0.0, 1.0))
        found = []
        for group, name in enumerate(given.groups.names):
            value = None if np.isnan(values[group]) else float(values[group])
            low, high = (None, None) if value is None else (float(band.low[group]), float(band.high[group]))
            told = Measured(value=value, low=low, high=high, interval="bootstrap", missing=f"nobody is {name}")
            found.append(self.told("hit_rate", told, subject, inference, groups=given.groups.attribute, group=name))
        return found

    def gap(self, given, values, drawn, subject, inference) -> Estimate:
        if np.isnan(values).any():
            told = Measured(value=None, missing="a group has no rate")
        else:
            gap = max_gap(values, drawn, level=inference.level)
            told = Measured(value=gap.value, low=gap.low, high=gap.high, interval=f"bootstrap, {gap.method}")
        return self.told("hit_rate_difference", told, subject, inference, groups=given.groups.attribute, statistic="difference")

    def told(self, name: str, measured: Measured, subject: str, inference: Inference, **conditions: Any) -> Estimate:
        return measured.estimate(
            name,
            subject=subject,
            metric=self.card.name,
            unit="share",
            direction="lower is better",
            level=inference.level,
            method="counted",
            conditions=conditions,
        )


class DropsTheEmpty(HitRate):
    def rows(self, given, values, drawn, subject, inference):
        return [one for one in super().rows(given, values, drawn, subject, inference) if one.value is not None]


class HidesNaN(HitRate):
    def rows(self, given, values, drawn, subject, inference):
        return super().rows(given, np.nan_to_num(values), np.nan_to_num(drawn), subject, inference)


class HidesNaNOfTheGap(HitRate):
    """A difference over those groups that have a rate, as if the others were not there."""

    def gap(self, given, values, drawn, subject, inference):
        kept = np.isfinite(values)
        return super().gap(given, values[kept], drawn[:, kept], subject, inference)


class MovesOthers(HitRate):
    """Shrinks towards the mean over all groups, empty ones among them."""

    def rows(self, given, values, drawn, subject, inference):
        return super().rows(given, values - 0.01 * len(values), drawn - 0.01 * len(values), subject, inference)


class RefusesWithoutAName(HitRate):
    def rows(self, given, values, drawn, subject, inference):
        if np.isnan(values).any():
            raise InputError("a group is empty")
        return super().rows(given, values, drawn, subject, inference)


class Elsewhere(HitRate):
    """Its interval is of something else than its value."""

    def rows(self, given, values, drawn, subject, inference):
        moved = super().rows(given, values - 0.5, drawn - 0.5, subject, inference)
        return [replace(one, value=one.value if one.value is None else one.value + 0.5) for one in moved]


class NumpyGlobal(HitRate):
    def generator(self, inference):
        return np.random.default_rng(np.random.randint(2**31))  # noqa: NPY002  # the fault


class PythonGlobal(HitRate):
    def generator(self, inference):
        return np.random.default_rng(random.getrandbits(31))


class TorchGlobal(HitRate):
    def generator(self, inference):
        return np.random.default_rng(int(torch.randint(2**31, ())))


class SeedsTheGlobal(HitRate):
    """Reproducible, and everybody else's draws are gone."""

    def generator(self, inference):
        np.random.seed(inference.seed)  # noqa: NPY002  # the fault
        return np.random.default_rng(np.random.randint(2**31))  # noqa: NPY002  # the fault


class Unseeded(HitRate):
    def generator(self, inference):
        return np.random.default_rng()


class IgnoresTheSeed(HitRate):
    def generator(self, inference):
        return Streams.from_seed(0).generator("bootstrap")


class DrawsItsValue(HitRate):
    """The mean of replicates in the place of the rate."""

    def rows(self, given, values, drawn, subject, inference):
        return super().rows(given, drawn.mean(0), drawn, subject, inference)


class IgnoresTheLevel(HitRate):
    """Intervals at .9, whatever was asked for, under the name of what was asked for."""

    def measure(self, given, *, subject, inference):
        found = super().measure(given, subject=subject, inference=replace(inference, level=0.9))
        named = [replace(one, interval=one.interval and replace(one.interval, level=inference.level)) for one in found.estimates]
        return Evidence(estimates=tuple(named))


class SaysAnotherLevel(HitRate):
    def told(self, name, measured, subject, inference, **conditions):
        return super().told(name, measured, subject, replace(inference, level=0.9), **conditions)


class WiderBelow(HitRate):
    def told(self, name, measured, subject, inference, **conditions):
        turned = super().told(name, measured, subject, inference, **conditions)
        if turned.interval is None or inference.level != 0.5:
            return turned
        return replace(turned, interval=replace(turned.interval, low=-1.0, high=2.0))


class FirstRowDecides(HitRate):
    """The first group that comes up is taken from the second: the sign hangs on the order of rows."""

    def gap(self, given, values, drawn, subject, inference):
        if np.isnan(values).any():
            return super().gap(given, values, drawn, subject, inference)
        first = int(given.groups.members[0].argmax())
        signed = values[first] - values[1 - first]
        told = Measured(value=float(signed), low=-1.0, high=1.0, interval="any")
        return self.told("hit_rate_difference", told, subject, inference, groups="gender", statistic="difference")


class LeavesOutItsName(HitRate):
    def told(self, name, measured, subject, inference, **conditions):
        one = super().told(name, measured, subject, inference, **conditions)
        return replace(one, conditions={key: value for key, value in one.conditions.items() if key != "metric"})


class SaysAnotherName(HitRate):
    def told(self, name, measured, subject, inference, **conditions):
        return super().told(name, measured, subject, inference, **{**conditions, "metric": "hits"})


class AlwaysTheSameSubject(HitRate):
    def told(self, name, measured, subject, inference, **conditions):
        return super().told(name, measured, "mine", inference, **conditions)


class SubjectOfTheCheck(HitRate):
    def told(self, name, measured, subject, inference, **conditions):
        return super().told(name, measured, "the run under check", inference, **conditions)


class NoReason(HitRate):
    def gap(self, given, values, drawn, subject, inference):
        one = super().gap(given, values, drawn, subject, inference)
        return replace(one, interval=None)


class BlankReason(HitRate):
    def gap(self, given, values, drawn, subject, inference):
        one = super().gap(given, values, drawn, subject, inference)
        return replace(one, interval=None, value=None, missing=" ")


class LooksAlike(HitRate):
    def gap(self, given, values, drawn, subject, inference):
        return replace(self.rows(given, values, drawn, subject, inference)[0])


class Capital(HitRate):
    def told(self, name, measured, subject, inference, **conditions):
        return super().told(name.title(), measured, subject, inference, **conditions)


class CertainP(HitRate):
    def told(self, name, measured, subject, inference, **conditions):
        return super().told(name, replace(measured, p_value=0.0, test="none"), subject, inference, **conditions)


class UntoldTest(HitRate):
    def told(self, name, measured, subject, inference, **conditions):
        return super().told(name, replace(measured, p_value=0.5), subject, inference, **conditions)


class JudgesWithoutAMargin(HitRate):
    def told(self, name, measured, subject, inference, **conditions):
        return super().told(name, replace(measured, verdict="unfair"), subject, inference, **conditions)


class SaysFair(HitRate):
    def told(self, name, measured, subject, inference, **conditions):
        return super().told(name, replace(measured, verdict="fair"), subject, inference, **conditions)


class FairOfNothing(HitRate):
    """Says fair where it could not look."""

    def gap(self, given, values, drawn, subject, inference):
        told = Measured(value=None, missing="few rows", verdict="fair within the margin")
        return self.told("hit_rate_difference", told, subject, inference, groups="gender", statistic="difference")


class SortsWhatItWasGiven(HitRate):
    def measure(self, given, *, subject, inference):
        found = super().measure(given, subject=subject, inference=inference)
        given.y_pred.sort()
        return found


class Silent(HitRate):
    def measure(self, given, *, subject, inference):
        return Evidence()


class GivesNumbers(HitRate):
    def measure(self, given, *, subject, inference):
        return 0.5


class NotJSON(HitRate):
    def told(self, name, measured, subject, inference, **conditions):
        return replace(super().told(name, measured, subject, inference, **conditions), n=np.array([3, 4]))


class Changeable:
    card, needs = CARD, "predictions"
    measure = HitRate.measure


def carded(**changed: Any) -> type[HitRate]:
    return type("Carded", (HitRate,), {"card": replace(CARD, **changed)})


def needing(needs: Any) -> type[HitRate]:
    return type("Needing", (HitRate,), {"needs": needs})


GIVEN = world.predictions(120)


def test_the_metric_without_a_fault_keeps_its_contract():
    check_metric(HitRate(), GIVEN)
    check_metric(HitRate(), world.predictions(90, users=None, groups=("a", "b", "c")))
    check_metric(HitRate(), GIVEN, subject="dp-sgd", inference=Inference(replicates=150, level=0.9, seed=5))


@pytest.mark.parametrize(
    ("kind", "clause"),
    [
        (DropsTheEmpty, "no row of .*nobody at all.*: it was dropped"),
        (HidesNaN, "the group without a member has hit_rate = 0.0"),
        (HidesNaNOfTheGap, "hit_rate_difference .* passes over a group without a member in silence"),
        (MovesOthers, "a group without a member moves hit_rate"),
        (RefusesWithoutAName, "is refused without its name: a group is empty"),
        (Elsewhere, "outside its interval"),
        (NumpyGlobal, r"draws from the global generator of numpy\.random"),
        (PythonGlobal, "draws from the global generator of random"),
        (TorchGlobal, "draws from the global generator of torch"),
        (SeedsTheGlobal, r"draws from the global generator of numpy\.random"),
        (Unseeded, "measured again with the same seed, intervals, tests or notes change"),
        (IgnoresTheSeed, "nobody asked for the seed: it is ignored"),
        (DrawsItsValue, "with another seed hit_rate .* goes from"),
        (IgnoresTheLevel, "the level is ignored"),
        (SaysAnotherLevel, r"level 0\.95 was asked for, the interval has 0\.9"),
        (WiderBelow, r"wider at level 0\.5 than at 0\.95"),
        (FirstRowDecides, "the order of what was given decides: hit_rate_difference"),
        (LeavesOutItsName, "has the condition metric = None; it is 'hit-rate'"),
        (SaysAnotherName, "has the condition metric = 'hits'"),
        (AlwaysTheSameSubject, "speaks of 'mine', and 'the run under check' was measured"),
        (SubjectOfTheCheck, "speaks of 'the run under check', and 'another run' was measured"),
        (NoReason, "has neither an interval nor, in its method, 'no interval'"),
        (BlankReason, "has no value and no reason"),
        (LooksAlike, "two numbers are hit_rate .*group women"),
        (Capital, "a name is in snake_case"),
        (CertainP, r"p_value is 0\.0; it lies in \(0, 1\]"),
        (UntoldTest, "does not say of which test"),
        (JudgesWithoutAMargin, "verdict 'unfair' without a margin"),
        (SaysFair, "the verdict is 'fair', none of"),
        (SortsWhatItWasGiven, "measure changes what it was given"),
        (Silent, "no number came of it"),
        (GivesNumbers, "measure gives float; it gives Evidence"),
        (NotJSON, "the evidence is no JSON"),
        (Changeable, "Changeable is no frozen dataclass"),
        (carded(name="Hit Rate"), "the card's name is 'Hit Rate'"),
        (carded(harms=" "), "the card says nothing of harms"),
        (carded(criticism=()), "there is no metric without"),
        (carded(criticism=("",)), "there is no metric without"),
        (carded(level="sentence"), "the card's level is 'sentence'"),
        (carded(kind="inner"), "the card's kind is 'inner'"),
        (carded(direction="up"), "the card's direction is 'up'"),
        (carded(ideal=float("nan")), "the card's ideal is nan"),
        (type("Cardless", (HitRate,), {"card": "hit-rate"}), "card is 'hit-rate'; it is a MetricCard"),
        (needing("words"), "needs is 'words'"),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else "",
)
def test_planted_faults_are_found(kind: type, clause: str):
    with pytest.raises(AssertionError, match=clause):
        check_metric(kind(), GIVEN)


def test_a_verdict_on_nothing_is_found():
    with pytest.raises(AssertionError, match="has no value, and the verdict 'fair within the margin'"):
        check_metric(FairOfNothing(), GIVEN, inference=Inference(replicates=150, margin=0.1))


def states() -> tuple:
    """Of the generators that belong to nobody."""
    return random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()  # noqa: NPY002  # nothing is drawn


def test_the_generators_of_others_are_as_they_were_after_a_fault():
    before = states()
    for kind in (NumpyGlobal, PythonGlobal, TorchGlobal):
        with pytest.raises(AssertionError):
            check_metric(kind(), GIVEN)
    assert states() == before


def test_a_value_that_is_drawn_must_be_named():
    check_metric(DrawsItsValue(), GIVEN, draws=("hit_rate",))
    with pytest.raises(AssertionError, match="with another seed hit_rate"):
        check_metric(DrawsItsValue(), GIVEN, draws=("hit_rate_difference",))


def test_a_refusal_of_the_empty_group_by_name_is_no_fault():
    @dataclass(frozen=True, kw_only=True)
    class Refuses(HitRate):
        def measure(self, given, *, subject, inference):
            if not given.groups.sizes.all():
                raise InputError(f"{given.groups.names[int(given.groups.sizes.argmin())]!r} has no row; leave it out")
            return super().measure(given, subject=subject, inference=inference)

    check_metric(Refuses(), GIVEN)


class Front(WEAT):
    """Leaves out the word that stands first in the file of vectors, as if it were a heading."""

    def measure(self, given, *, subject, inference):
        return super().measure(replace(given, words=given.words[1:], matrix=given.matrix[1:]), subject=subject, inference=inference)


def test_the_order_of_vectors_may_decide_nothing(tmp_path):
    sets = world.stimuli(tmp_path / "sets.json")
    check_metric(WEAT(stimuli=sets), world.Vectors().table)
    with pytest.raises(AssertionError, match="the order of what was given decides: weat_effect_size"):
        check_metric(Front(stimuli=sets), world.Vectors().table)


class Newest(GenderPolarityUnigram):
    """Rates the texts of the first half of the prompts only."""

    def measure(self, given, *, subject, inference):
        half = len(given.asked) // 2
        kept = replace(given, asked=given.asked[:half], written=given.written[:half])
        return super().measure(kept, subject=subject, inference=inference)


class Forgets(GenderPolarityUnigram):
    """Looks at the groups that have a prompt, and at no other."""

    def measure(self, given, *, subject, inference):
        names = {one.group for one in given.asked}
        return super().measure(given.named([name for name in given.names if name in names]), subject=subject, inference=inference)


def test_texts_have_an_order_and_groups_too():
    draw = np.random.default_rng(3)
    asked = tuple(Asked(text=f"{group} {row}", group=group) for group in ("nurses", "smiths") for row in range(12))
    written = tuple(tuple(world.TAILS[at] for at in draw.integers(0, 5, 2)) for _ in asked)
    texts = Texts("trade", ("nurses", "smiths"), asked, written, "model", "a test", {"samples": 2})
    check_metric(GenderPolarityUnigram(), texts)
    with pytest.raises(AssertionError, match="the order of what was given decides"):
        check_metric(Newest(), texts)
    with pytest.raises(AssertionError, match="the group without a member has no row of"):
        check_metric(Forgets(), texts)


def test_overlapping_groups_are_checked_too():
    from holdfast.fairness.groups import ErrorRateEquality

    members = np.random.default_rng(2).random((120, 3)) < 0.5
    shared = replace(GIVEN, groups=Groups("community", ("a", "b", "c"), members), units=Units.rows(120))
    check_metric(ErrorRateEquality(), shared)
