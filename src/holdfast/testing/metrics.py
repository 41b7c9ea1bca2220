"""Holding a metric of fairness to its contract: what every number says of itself, what may move it, and what must not vanish."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields, is_dataclass, replace
from importlib import import_module
from typing import Any, Self, get_args

import numpy as np
import torch

from holdfast.core.errors import InputError
from holdfast.core.evidence import Direction, Estimate, Evidence
from holdfast.core.randomness import Streams
from holdfast.fairness.association.vectors import WordVectors
from holdfast.fairness.cards import Kind, Level, MetricCard
from holdfast.fairness.generation.texts import Texts
from holdfast.fairness.inference import Fairness, Inference, Units
from holdfast.fairness.metric import Metric, Needs
from holdfast.fairness.predictions import Groups, Predictions

QUICK = Inference(replicates=200, permutations=200)
"""Enough to see whether a contract is kept; far too little to publish."""
CLOSE = 1e-9
"""How far two values may be apart, relative to 1 + the larger one, where only the order of sums differs."""
NOBODY = "nobody at all"
"""A group without a member, which must stay in sight."""
ANOTHER = "another run"
WIDE, NARROW = 0.95, 0.5
CROSSING = 1.2
"""How much wider an interval may be at the lower level: quantiles of few replicates cross a little."""
FEW = 10
"""Units below which an interval may go from end to end of the scale at any level."""
DRAWN = re.compile(r"bootstrap|resampl|replicate|random|permut|drawn", re.IGNORECASE)
_RESULTS = ("test", "effect", "verdict", "worst", "worst class", "best", "adjustment", "resampled")
"""Conditions that tell what was found, so that they do not say which of several numbers one is."""


class _Noting(Inference):
    """The same settings, which note whether anybody asked for the seed or for what it gives."""

    @classmethod
    def of(cls, inference: Inference) -> Self:
        """Notes nothing yet; looking at its own bounds does not count."""
        made = cls(**vars(inference))
        vars(made).pop("asked")
        return made

    def __getattribute__(self, name: str) -> Any:
        if name in ("seed", "streams"):
            object.__setattr__(self, "asked", True)
        return object.__getattribute__(self, name)


def check_metric(
    metric: Metric,
    given: Any,
    *,
    subject: str = "the run under check",
    inference: Inference = QUICK,
    draws: Collection[str] = (),
) -> None:
    """Holds a metric to its contract, by measuring the same thing a few times over.

    Looked at: the card is whole; every number has the condition "metric", the subject that was given, and an interval that holds it
    and says the level asked for, or "no interval" and the reason in its method; no two numbers go by the same name and conditions; the
    evidence reads back from its JSON unchanged. One seed gives the same numbers, another one the same values, and is not ignored; a
    level below gives no wider interval. The generators of `random`, numpy and torch that belong to nobody are left alone, and so is
    what was given. The order of rows, words or prompts moves no value. A group without a member has a row without a value and moves no
    other row, and a difference or ratio over groups does not pass over it in silence.

    Args:
        metric: Yours.
        given: What it looks at. Order is tried on `Predictions`, `WordVectors` and `Texts`, groups on the first and the last; a
            language model is taken as it is.
        subject: The run that the numbers speak of.
        inference: How intervals and tests are made; the quicker, the quicker the check.
        draws: Names of numbers whose values themselves are drawn by the seed, such as "ceat_effect_size"; another seed may move them.

    Raises:
        AssertionError: Naming the first clause that does not hold.

    Guarantee:
        A metric that breaks a clause on what was given is found, but for a seed that is asked for and then not used. One that passes
        may break a clause on other data, and nothing is said of whether an interval covers the truth: hold that to a simulation.

    >>> from holdfast import fairness
    >>> given = fairness.predictions_of([1, 0, 1, 1] * 9, [1, 0, 0, 1] * 9, sensitive_features=["old", "old", "young", "young"] * 9)
    >>> check_metric(fairness.groups.AccuracyParity(), given)
    """
    _check_card(metric)

    def measured(what: Any = given, who: str = subject, rules: Inference = inference) -> Evidence:
        return _measured(metric, what, who, rules)

    noting = _Noting.of(inference)
    found = measured(rules=noting)
    _holds(bool(found.estimates), "no number came of it: one that is undefined stands with its reason")
    for one in found.estimates:
        _check_estimate(one, metric.card.name, subject, inference)
    _check_apart(found)
    _check_json(found)
    again = _difference(found, measured())
    _holds(again is None, f"measured again with the same seed, {again}")
    _check_seed(found, measured(who=ANOTHER, rules=replace(inference, seed=inference.seed + 1)), draws, asked=hasattr(noting, "asked"))
    _check_level(measured(rules=replace(inference, level=NARROW)), measured(rules=replace(inference, level=WIDE)))
    shuffled = _shuffled(given)
    if shuffled is not None:
        moved = _moved(found, measured(shuffled), draws)
        _holds(moved is None, f"the order of what was given decides: {moved}")
    if isinstance(given, Predictions | Texts):
        _check_nobody(found, lambda: measured(_with_nobody(given)), draws)


def _measured(metric: Metric, given: Any, subject: str, inference: Inference) -> Evidence:
    before = _fingerprint(given)
    with _globals_watched():
        found = metric.measure(given, subject=subject, inference=inference)
    _holds(isinstance(found, Evidence), f"measure gives {type(found).__name__}; it gives Evidence")
    _holds(_same(_fingerprint(given), before), "measure changes what it was given")
    return found


def _check_card(metric: Metric) -> None:
    frozen = is_dataclass(metric) and type(metric).__dataclass_params__.frozen
    _holds(frozen, f"{type(metric).__name__} is no frozen dataclass; its fields are its options, and nobody changes them later")
    card, needs = getattr(metric, "card", None), getattr(metric, "needs", None)
    _holds(isinstance(card, MetricCard), f"card is {card!r}; it is a MetricCard")
    assert isinstance(card, MetricCard)
    _holds(needs in get_args(Needs), f"needs is {needs!r}; it is one of {', '.join(get_args(Needs))}")
    _holds(bool(re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", card.name)), f"the card's name is {card.name!r}; it is of the form my-metric")
    empty = [f.name for f in fields(card) if isinstance(getattr(card, f.name), str) and not getattr(card, f.name).strip()]
    _holds(not empty, f"the card says nothing of {', '.join(empty)}")
    criticism = isinstance(card.criticism, tuple) and all(isinstance(one, str) and one.strip() for one in card.criticism)
    _holds(criticism and bool(card.criticism), "the card has no criticism; there is no metric without")
    for name, valid in (("level", get_args(Level)), ("kind", get_args(Kind)), ("direction", get_args(Direction))):
        _holds(getattr(card, name) in valid, f"the card's {name} is {getattr(card, name)!r}; it is one of {', '.join(valid)}")
    _holds(card.ideal is None or math.isfinite(card.ideal), f"the card's ideal is {card.ideal}; it is a finite number or None")


def _check_estimate(one: Estimate, name: str, subject: str, inference: Inference) -> None:
    what = _called(one)
    told = one.conditions.get("metric")
    _holds(told == name, f"{what} has the condition metric = {told!r}; it is {name!r}, so that a report knows whose number it is")
    _holds(one.subject == subject, f"{what} speaks of {one.subject!r}, and {subject!r} was measured")
    _holds(bool(re.fullmatch(r"[a-z][a-z0-9_]*", one.name)), f"{what}: a name is in snake_case")
    _holds(bool(one.unit) and bool(one.method), f"{what} has no unit or no method")
    p_value, verdict = one.conditions.get("p_value"), one.conditions.get("verdict")
    for key in ("p_value", "p_adjusted"):
        p = one.conditions.get(key, 1.0)
        _holds(isinstance(p, int | float) and 0 < p <= 1, f"{what}: {key} is {p!r}; it lies in (0, 1]")
    _holds(p_value is None or bool(one.conditions.get("test")), f"{what} has a p-value and does not say of which test")
    _holds(verdict is None or verdict in get_args(Fairness), f"{what}: the verdict is {verdict!r}, none of {get_args(Fairness)}")
    _holds(verdict is None or inference.margin is not None, f"{what}: verdict {verdict!r} without a margin")
    if one.value is None:
        _holds(bool(one.missing and one.missing.strip()), f"{what} has no value and no reason")
        _holds(one.interval is None, f"{what} has an interval and no value")
        _holds(verdict in (None, "not enough data"), f"{what} has no value, and the verdict {verdict!r}")
    elif one.interval is None:
        _holds("no interval" in one.method, f"{what} has neither an interval nor, in its method, 'no interval' and the reason")
    else:
        low, high, reach = one.interval.low, one.interval.high, CLOSE * (1 + abs(one.value))
        _holds(low - reach <= one.value <= high + reach, f"{what} is {one.value:.6g}, outside its interval [{low:.6g}, {high:.6g}]")
        _holds(
            one.interval.level == inference.level, f"{what}: level {inference.level} was asked for, the interval has {one.interval.level}"
        )
        _holds(bool(one.interval.method), f"{what} does not say how its interval was made")


def _check_apart(found: Evidence) -> None:
    seen: set[str] = set()
    for one in found.estimates:
        key = json.dumps(_identity(one), sort_keys=True, default=str)
        _holds(key not in seen, f"two numbers are {_called(one)}; a condition must tell them apart")
        seen.add(key)


def _check_json(found: Evidence) -> None:
    try:
        again = Evidence.from_json(json.loads(json.dumps(found.to_json(), allow_nan=False)))
    except (TypeError, ValueError, InputError) as error:
        raise AssertionError(f"the evidence is no JSON: {error}") from error
    _holds(again == found, "the evidence reads back from its JSON as something else")


def _check_seed(found: Evidence, other: Evidence, draws: Collection[str], *, asked: bool) -> None:
    for one in other.estimates:
        _holds(one.subject == ANOTHER, f"{_called(one)} speaks of {one.subject!r}, and {ANOTHER!r} was measured")
    moved = _moved(found, other, draws)
    _holds(moved is None, f"with another seed {moved}; a seed moves intervals and p-values, and values only where `draws` names them")
    drawn = [_called(one) for one in found.estimates if one.interval is not None and DRAWN.search(one.interval.method)]
    _holds(asked or not drawn, f"{drawn and drawn[0]} says that its interval was drawn, and nobody asked for the seed: it is ignored")


def _check_level(narrow: Evidence, wide: Evidence) -> None:
    moved = _moved(narrow, wide, ())
    _holds(moved is None, f"from level {NARROW} to level {WIDE} {moved}; a level moves intervals and verdicts only")
    total = [0.0, 0.0]
    for one, other in zip(narrow.estimates, wide.estimates, strict=True):
        if one.interval is None or other.interval is None:
            continue
        for level, interval in ((NARROW, one.interval), (WIDE, other.interval)):
            _holds(interval.level == level, f"{_called(one)}: level {level} was asked for, the interval has {interval.level}")
        lengths = [interval.high - interval.low for interval in (one.interval, other.interval)]
        _holds(lengths[0] <= CROSSING * lengths[1] + CLOSE, f"{_called(one)}: wider at level {NARROW} than at {WIDE}")
        if one.n is None or one.n >= FEW:
            total = [summed + length for summed, length in zip(total, lengths, strict=True)]
    _holds(not total[1] or total[0] < total[1], f"intervals at level {NARROW} are as wide as at {WIDE}: the level is ignored")


def _check_nobody(found: Evidence, measured: Callable[[], Evidence], draws: Collection[str]) -> None:
    """Looks at what becomes of a group that has no member; to refuse it by name is as good as to show it."""
    try:
        other = measured()
    except InputError as error:
        _holds(NOBODY in str(error), f"a group without a member is refused without its name: {error}")
        return
    rows = {_key(one): one for one in other.estimates}
    by_group = {_key(one, group=NOBODY) for one in found.estimates if "group" in one.conditions}
    for key in sorted(by_group):
        _holds(key in rows, f"the group without a member has no row of {key}: it was dropped")
        value = rows[key].value
        _holds(value is None, f"the group without a member has {rows[key].name} = {value}; what is undefined has no value, and a reason")
    for one in found.estimates:
        same = rows.get(_key(one))
        if "group" in one.conditions and same is not None and one.name not in draws:
            _holds(_near(one.value, same.value), f"a group without a member moves {_called(one)} from {one.value} to {same.value}")
    silent = [one for one in other.estimates if _over_groups(one) and not _tells_of_nobody(one)]
    _holds(not silent, f"{silent and _called(silent[0])} passes over a group without a member in silence")


def _over_groups(one: Estimate) -> bool:
    return "groups" in one.conditions and "group" not in one.conditions and one.conditions.get("statistic") in ("difference", "ratio")


def _tells_of_nobody(one: Estimate) -> bool:
    counted = one.conditions.get("undefined", 0)
    return one.value is None or bool(counted) or any(NOBODY in str(value) for value in one.conditions.values())


def _difference(found: Evidence, other: Evidence) -> str | None:
    """What differs between two measurements that should be one, in words."""
    if found.to_json() == other.to_json():
        return None
    return _moved(found, other, ()) or "intervals, tests or notes change"


def _moved(found: Evidence, other: Evidence, draws: Collection[str]) -> str | None:
    """Which value differs, up to the order of sums; those that are drawn may."""
    if len(found.estimates) != len(other.estimates):
        return f"there are {len(other.estimates)} numbers in the place of {len(found.estimates)}"
    for one, same in zip(found.estimates, other.estimates, strict=True):
        if _key(one) != _key(same):
            return f"{_called(same)} stands where {_called(one)} stood"
        if one.name not in draws and not _near(one.value, same.value):
            return f"{_called(one)} goes from {one.value} to {same.value}"
    return None


def _near(one: float | None, other: float | None) -> bool:
    if one is None or other is None:
        return one is other
    return abs(one - other) <= CLOSE * (1 + max(abs(one), abs(other)))


def _identity(one: Estimate, **changed: str) -> dict[str, Any]:
    """The name and those conditions that say which of several numbers one is."""
    told = {key: value for key, value in one.conditions.items() if key not in _RESULTS and isinstance(value, str)}
    return {"": one.name, **told, **changed}


def _key(one: Estimate, **changed: str) -> str:
    return ", ".join(f"{key} {value}".strip() for key, value in sorted(_identity(one, **changed).items()))


def _called(one: Estimate) -> str:
    told = ", ".join(
        f"{key} {one.conditions[key]}" for key in ("groups", "group", "class", "category", "statistic", "of") if key in one.conditions
    )
    return f"{one.name} ({told})" if told else one.name


def _shuffled(given: Any) -> Any:
    """The same in another order; None where nothing has one."""
    order = Streams(0).generator("order of a check")
    if isinstance(given, Predictions):
        rows = order.permutation(len(given))
        groups = Groups(given.groups.attribute, given.groups.names, given.groups.members[rows])
        units = Units(given.units.of[rows], given.units.count, given.units.what)
        scores = None if given.scores is None else given.scores[rows]
        return replace(given, y_true=given.y_true[rows], y_pred=given.y_pred[rows], groups=groups, units=units, scores=scores)
    if isinstance(given, WordVectors) and len({word.casefold() for word in given.words}) == len(given.words):
        places = order.permutation(len(given))
        return replace(given, words=tuple(given.words[place] for place in places), matrix=given.matrix[places])
    if isinstance(given, Texts):
        places = order.permutation(len(given.asked))
        return replace(given, asked=tuple(given.asked[place] for place in places), written=tuple(given.written[place] for place in places))
    return None


def _with_nobody(given: Predictions | Texts) -> Predictions | Texts:
    if isinstance(given, Texts):
        return given.named((*given.names, NOBODY))
    groups = given.groups
    members = np.concatenate([groups.members, np.zeros((len(given), 1), dtype=bool)], axis=1)
    return replace(given, groups=Groups(groups.attribute, (*groups.names, NOBODY), members))


@contextmanager
def _globals_watched() -> Iterator[None]:
    """Looks at the generators that belong to nobody, and puts them back; nothing is drawn from them here."""
    plain, numpy = import_module("random"), import_module("numpy.random")
    before = (plain.getstate(), numpy.get_state(), torch.get_rng_state())
    try:
        yield
        after = (plain.getstate(), numpy.get_state(), torch.get_rng_state())
    finally:
        plain.setstate(before[0])
        numpy.set_state(before[1])
        torch.set_rng_state(before[2])
    for name, one, other in zip(("random", "numpy.random", "torch"), before, after, strict=True):
        _holds(_same(one, other), f"measure draws from the global generator of {name}; draw from inference.streams(card.name)")


def _fingerprint(given: Any) -> Any:
    """What a change of the given would show in."""
    if isinstance(given, np.ndarray):
        return given.copy()
    if is_dataclass(given) and not isinstance(given, type):
        return {f.name: _fingerprint(getattr(given, f.name)) for f in fields(given)}
    if isinstance(given, Mapping):
        return {key: _fingerprint(value) for key, value in given.items()}
    if isinstance(given, list | tuple):
        return [_fingerprint(value) for value in given]
    return given if isinstance(given, str | int | float | bool | None) else type(given)


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, np.ndarray | torch.Tensor):
        return bool(np.array_equal(np.asarray(one), np.asarray(other), equal_nan=np.asarray(one).dtype.kind == "f"))
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(_same(value, other[key]) for key, value in one.items())
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(_same, one, other))
    return bool(one == other)


def _holds(clause: bool, otherwise: str) -> None:
    if not clause:
        raise AssertionError(otherwise)
