"""Exposure beyond what a sample can show: a skew-normal law is fitted to the references, but only where they fit it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from holdfast.audit.canaries.exposure import MOST_SPACE
from holdfast.audit.canaries.skew_normal import SkewNormal, fit_skew_normal
from holdfast.audit.intervals import Floats
from holdfast.core.errors import InputError
from holdfast.core.evidence import Interval
from holdfast.core.randomness import Streams

FEWEST = 200
"""References that a fit needs: with fewer, a lower tail that does not fit is not noticed."""

FEWEST_DRAWS = 99
"""Bootstrap draws that the gate and the interval need."""


@dataclass(frozen=True, kw_only=True)
class Misfit:
    """How far values lie from a law fitted to them.

    Args:
        whole: The Anderson-Darling statistic: the distance over all of the law, the tails weighing more.
        tail: The mean of ``ln F(x_m) - ln F(x_i)`` over the m = ceil(sqrt n) lowest of n values, with x_m the next. About 1 under the
            right law; below 1 the true lower tail is lighter than the fitted one, above 1 heavier, and minus log2 F is wrong
            out there by about this factor.
    """

    whole: float
    tail: float

    @classmethod
    def between(cls, values: Floats, law: SkewNormal) -> Misfit:
        """Measures values (n,) against a law."""
        ordered = np.sort(values)
        n, m = ordered.size, math.ceil(math.sqrt(ordered.size))
        log_below, log_above = law.log_cdf(ordered), law.log_sf(ordered[::-1])
        weights = (2 * np.arange(1, n + 1) - 1) / n
        return cls(whole=float(-n - weights @ (log_below + log_above)), tail=float(log_below[m] - log_below[:m].mean()))


@dataclass(frozen=True, kw_only=True)
class Gate:
    """Whether the references may come from the law fitted to them.

    The parameters were estimated from the same references, which makes them fit better than a law fixed beforehand. So both
    p-values come from a parametric bootstrap: values drawn from the fitted law are fitted and measured again.

    Args:
        whole: p-value of `Misfit.whole`.
        tail: p-value of `Misfit.tail`, on both sides.
        level: Chance in (0, 1) of refusing references that do follow a skew-normal law.

    References:
        Stute, Gonzalez Manteiga, Presedo Quindimil 1993, "Bootstrap based goodness-of-fit tests", Metrika 40, 243-256. Lilliefors
        1967, Journal of the American Statistical Association 62, 399-402, for the normal law.
    """

    whole: float
    tail: float
    level: float

    @property
    def passed(self) -> bool:
        """Whether neither of the two tests rejects at half the level."""
        return min(self.whole, self.tail) > self.level / 2


@dataclass(frozen=True, kw_only=True)
class Extrapolation:
    """Exposure by extrapolation, or the reason why there is none.

    Args:
        bits: ``-log2 F(truth)`` under the fitted law, held to ``log2 |R|``; None where the references do not fit it.
        interval: From the parametric bootstrap.
        law: The fitted law; None where nothing could be fitted.
        gate: How well the references fit it.
        missing: Why there is no number.
        references: N.
        draws: Of the bootstrap.
    """

    bits: float | None
    interval: Interval | None
    law: SkewNormal | None
    gate: Gate | None
    missing: str | None
    references: int
    draws: int

    @property
    def method(self) -> str:
        """How it was found, in one phrase."""
        return f"skew-normal law fitted to {self.references:,} references, goodness of fit by {self.draws} bootstrap draws"


def extrapolated_exposure(
    truth: float,
    references: ArrayLike,
    *,
    space: int,
    streams: Streams,
    level: float = 0.95,
    gate_level: float = 0.05,
    draws: int = 199,
) -> Extrapolation:
    """Exposure from a skew-normal law fitted to the losses of references, for a space too large to enumerate.

    Never needed where the space can be enumerated: then `exact_exposure` tells the truth. It gives no p-value and proves
    nothing about epsilon, for both would rest on the law far from any reference; take `sampled_exposure` for them.

    Args:
        truth: The loss of the truth, in nats, finite.
        references: The losses of N fills (N,) drawn uniformly, finite, at least `FEWEST`. Many equal fills among them, because the space
            is hardly larger than N, make the gate refuse.
        space: |R|, above 0.
        streams: Of the bootstrap.
        level: Coverage of the interval.
        gate_level: Chance of refusing references that do follow a skew-normal law.
        draws: Of the bootstrap, at least `FEWEST_DRAWS`, and enough for the gate to be able to reject.

    Returns:
        The number with its interval, or the reason why it is missing.

    Raises:
        InputError: For a value outside its range.

    Guarantee:
        None beyond simulations. Of 1,000 or 10,000 skew-normal references of shape 0, -3 and 2 the gate refused 3 to 5 % at a
        level of .05, and the interval of a truth five standard deviations down covered in .90 to .97 of cases at a level of
        .95. What the gate lets pass may still differ from the law further out than any reference, where nothing can be tested:
        a number above log2 N bits rests on the law.

    Edge cases:
        References that are all equal give no number. A truth within the references is treated alike.

    References:
        Carlini, Liu, Erlingsson, Kos, Song 2019, "The secret sharer", arXiv 1802.08232, exposure by extrapolation. There a
        Kolmogorov-Smirnov test does not reject the fit; it is not made a condition, and looks little at the tail.
    """
    values = _checked(truth, references, space)
    fewest = max(FEWEST_DRAWS, math.ceil(4 / gate_level) if 0 < gate_level < 1 else 0)
    if not 0 < gate_level < 1 or not 0 < level < 1 or draws < fewest:
        raise InputError(
            f"level is {level}, gate_level {gate_level}, draws {draws}; both levels lie in (0, 1), draws are at least {fewest}"
        )
    if np.ptp(values) == 0:
        missing = f"all {values.size:,} reference losses are equal: the model does not tell the fills apart"
        return Extrapolation(bits=None, interval=None, law=None, gate=None, missing=missing, references=values.size, draws=draws)
    law = fit_skew_normal(values)
    misfits, bits = _bootstrap(law, values.size, truth, streams, draws)
    gate = _gate(Misfit.between(values, law), misfits, gate_level)
    if not gate.passed:
        missing = (
            f"the reference losses do not follow a skew-normal law (p {gate.whole:.3g} for all of it, {gate.tail:.3g} for its "
            "lower tail), so nothing may be read off it beyond them"
        )
        return Extrapolation(bits=None, interval=None, law=law, gate=gate, missing=missing, references=values.size, draws=draws)
    return Extrapolation(
        bits=_held(_bits(law, truth), space),
        interval=_interval(_bits(law, truth), bits, space, level),
        law=law,
        gate=gate,
        missing=None,
        references=values.size,
        draws=draws,
    )


def _bootstrap(law: SkewNormal, count: int, truth: float, streams: Streams, draws: int) -> tuple[list[Misfit], Floats]:
    """Fits values drawn from the law: how far they lie from their own fits, and what these say of the truth, (draws,)."""
    misfits, bits = [], np.empty(draws)
    for number in range(draws):
        values = law.draw(streams.generator("skew-normal references", number), count)
        again = fit_skew_normal(values)
        misfits.append(Misfit.between(values, again))
        bits[number] = _bits(again, truth)
    return misfits, bits


def _gate(seen: Misfit, drawn: list[Misfit], level: float) -> Gate:
    def at_least(value: float, others: list[float]) -> float:
        return (1 + sum(other >= value for other in others)) / (len(others) + 1)

    tails = [misfit.tail for misfit in drawn]
    heavier, lighter = at_least(seen.tail, tails), at_least(-seen.tail, [-tail for tail in tails])
    whole = at_least(seen.whole, [misfit.whole for misfit in drawn])
    return Gate(whole=whole, tail=min(1.0, 2 * min(heavier, lighter)), level=level)


def _interval(bits: float, drawn: Floats, space: int, level: float) -> Interval:
    tail = (1 - level) / 2
    low, high = (float(end) for end in np.quantile(drawn, [tail, 1 - tail]))
    return Interval(
        low=_held(min(low, bits), space),
        high=_held(max(high, bits), space),
        level=level,
        method=f"parametric bootstrap, {drawn.size} draws",
    )


def _bits(law: SkewNormal, truth: float) -> float:
    return max(0.0, -float(law.log_cdf(truth)) / math.log(2))


def _held(bits: float, space: int) -> float:
    return min(bits, math.log2(space))


def _checked(truth: float, references: ArrayLike, space: int) -> Floats:
    values = np.asarray(references, dtype=np.float64)
    if values.ndim != 1 or values.size < FEWEST or not np.isfinite(values).all() or not math.isfinite(truth):
        raise InputError(
            f"the truth has loss {truth} and the references shape {values.shape}; give finite losses, and at least {FEWEST} references (N,)"
        )
    if not 1 <= space <= MOST_SPACE:
        raise InputError(f"the space has {space} fills; give at least 1 and at most 10^300")
    return values
