"""The evidence on planted secrets, put in order: one record for each secret of each run, with the searches that were made for it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from holdfast.core.evidence import Condition, Curve, Estimate
from holdfast.report.document import Document
from holdfast.report.words import listed

RANKING = ("secret_rank", "secret_exposure", "secret_p_value", "secret_epsilon")
SEARCH = ("extraction_accuracy", "extraction_hamming", "optimiser_gap", "random_search_accuracy", "random_search_hamming")
TOGETHER = "secrets_p_value"
FILLS = "fill_losses"
ATTACKS = ("canary", "inversion")
LEVEL = 0.01  # of the test whether a secret stands out, after Holm over the secrets of a run
CHANCE = 1 / math.log(2)  # mean exposure in bits where a model knows nothing of a secret that has very many fills
_IDENTITY = ("secret", "number", "length", "candidates", "repetitions")
"""The conditions that tell one secret from another; all others tell how it was looked for."""


@dataclass(frozen=True, kw_only=True)
class Search:
    """One search for a secret.

    Args:
        variant: How it went about it, such as "gumbel".
        queries: How many fills it asked the model about, or None where that is not on record.
        found: The words that it came up with, or empty.
        truth: The words that were planted, or empty.
        figures: Its estimates by name.
    """

    variant: str
    queries: int | None
    found: str
    truth: str
    figures: Mapping[str, Estimate]

    @property
    def whole(self) -> bool | None:
        """Whether it found every word at least once; None where that was not measured."""
        value = _value(self.figures.get("extraction_accuracy"))
        return None if value is None else value > 0

    @property
    def wrong(self) -> float | None:
        """The share of words that it got wrong."""
        return _value(self.figures.get("extraction_hamming"))


@dataclass(frozen=True, kw_only=True)
class Planted:
    """A secret of a run, with all that was measured of it.

    Args:
        run: Number of the run, from 0.
        identity: The conditions that tell it from the other secrets, with a number for those that are told apart by nothing else.
        figures: Its rank, exposure, p-value and bound, by name.
        searches: In the order of the evidence.
        fills: The histogram of the losses of all fills, or None.
    """

    run: int
    identity: tuple[tuple[str, Condition], ...]
    figures: Mapping[str, Estimate] = field(default_factory=dict)
    searches: tuple[Search, ...] = ()
    fills: Curve | None = None

    @property
    def conditions(self) -> dict[str, Condition]:
        """What tells it from other secrets."""
        return dict(self.identity)

    @property
    def control(self) -> bool:
        """True for a secret that was never planted."""
        return self.conditions.get("repetitions") == 0

    @property
    def rank(self) -> float | None:
        """Its rank among all fills; 1 is the likeliest."""
        return _value(self.figures.get("secret_rank"))

    @property
    def exposure(self) -> float | None:
        """Its exposure in bits."""
        return _value(self.figures.get("secret_exposure"))

    @property
    def space(self) -> float | None:
        """How many fills there are."""
        told = next((one.conditions["space"] for one in self.figures.values() if "space" in one.conditions), None)
        length, candidates = (_number(self.conditions.get(key)) for key in ("length", "candidates"))
        return candidates**length if told is None and length is not None and candidates is not None else _number(told)

    @property
    def most(self) -> float | None:
        """The largest exposure that is possible."""
        exposure = self.figures.get("secret_exposure")
        told = None if exposure is None else _number(exposure.conditions.get("most"))
        return math.log2(self.space) if told is None and self.space else told

    @property
    def expected(self) -> float:
        """The mean exposure where the model knows nothing of the secret."""
        exposure = self.figures.get("secret_exposure")
        told = None if exposure is None else _number(exposure.conditions.get("null_mean"))
        return CHANCE if told is None else told

    @property
    def cap(self) -> float | None:
        """The exposure that the promise of the run lets it exceed by `cap_chance` at most, where the evidence tells."""
        exposure = self.figures.get("secret_exposure")
        return None if exposure is None else _number(exposure.conditions.get("cap"))

    @property
    def binding(self) -> float | None:
        """The cap, where it is below what is possible: a weak promise, or one for many copies, excludes nothing."""
        return self.cap if self.cap is not None and self.most is not None and self.cap < self.most * (1 - 1e-9) else None

    @property
    def cap_chance(self) -> float | None:
        """How likely more than `cap` is at most if the promise holds."""
        exposure = self.figures.get("secret_exposure")
        level = None if exposure is None else _number(exposure.conditions.get("cap_level"))
        return None if level is None else 1 - level

    @property
    def chance(self) -> float | None:
        """How likely so good a rank is for a model that knows nothing of the secret."""
        value = _value(self.figures.get("secret_p_value"))
        if value is None and self.rank is not None and self.space is not None:
            return min(1.0, self.rank / self.space)
        return value

    @property
    def whole(self) -> bool | None:
        """Whether any search found it whole; None where there was no search."""
        tried = [search.whole for search in self.searches if search.whole is not None]
        return any(tried) if tried else None

    @property
    def name(self) -> str:
        """What to call it, such as "pin, 4 words, planted 10 times"."""
        known = self.conditions
        parts = [str(known.get("secret", "secret"))]
        if "number" in known:
            parts[0] += f" {known['number']}"
        if "length" in known:
            parts.append(f"{known['length']} word{'s' * (known['length'] != 1)}")
        if "repetitions" in known:
            parts.append(times(known["repetitions"]))
        return ", ".join(parts)


def times(repetitions: Condition) -> str:
    """How often a secret was planted, in words.

    >>> times(0), times(1), times(100)
    ('never planted', 'planted once', 'planted 100 times')
    """
    return {0: "never planted", 1: "planted once"}.get(int(repetitions), f"planted {repetitions:,} times")


def planted(document: Document) -> tuple[Planted, ...]:
    """Every secret that was ranked or searched for, run by run, in the order of the evidence."""
    found: dict[tuple[Any, ...], list[Estimate]] = {}
    seen: Counter[tuple[Any, ...]] = Counter()
    for one in (one for one in document.evidence.estimates if shown(one) and one.name != TOGETHER):
        key = (one.subject, _identity(one.conditions))
        ranked = one.name in RANKING  # once for each secret, so ranked again under the same name it is another
        found.setdefault((*key, seen[*key, one.name] if ranked else 0), []).append(one)
        seen[*key, one.name] += 1
    curves: dict[tuple[Any, ...], list[Curve]] = {}
    for curve in (curve for curve in document.evidence.curves if curve.name == FILLS and curve.x):
        curves.setdefault((curve.subject, _identity(curve.conditions)), []).append(curve)
    secrets = []
    for (subject, identity, number), own in found.items():
        drawn = curves.get((subject, identity), [])
        secrets.append(
            Planted(
                run=document.names.index(subject),
                identity=identity if number == 0 else (*identity, ("number", number + 1)),
                figures={one.name: one for one in own if one.name in RANKING},
                searches=_searches([one for one in own if one.name in SEARCH]),
                fills=drawn[number] if number < len(drawn) else None,
            )
        )
    return tuple(sorted(secrets, key=lambda secret: secret.run))


def shown(estimate: Estimate) -> bool:
    """True for an estimate that speaks of planted secrets."""
    return estimate.name in (*RANKING, *SEARCH, TOGETHER) and estimate.conditions.get("attack") in ATTACKS


def together(document: Document, name: str) -> Estimate | None:
    """What the secrets of a run say together."""
    found = (one for one in document.evidence.estimates if one.name == TOGETHER and one.subject == name and shown(one))
    return next(found, None)


def standing_out(secrets: Sequence[Planted]) -> list[Planted]:
    """Those secrets of one run that rank higher than chance explains.

    Args:
        secrets: All secrets of one run; controls and those without a p-value are no part of the test.

    Returns:
        Those that Holm's procedure rejects at `LEVEL`: if the model knew nothing of any secret, any at all would be among
        them with a probability of at most `LEVEL`.

    References:
        Holm 1979, Scandinavian Journal of Statistics 6, 65-70.
    """
    tested = [(secret.chance, secret) for secret in secrets if not secret.control and secret.chance is not None]
    tested.sort(key=lambda pair: pair[0])
    found = []
    for place, (chance, secret) in enumerate(tested):
        if chance * (len(tested) - place) > LEVEL:
            break
        found.append(secret)
    return found


def secrets_sentence(document: Document) -> str:
    """Which runs give secrets away, in one short sentence; empty where none does."""
    secrets = planted(document)
    parts = []
    for run, name in enumerate(document.names):
        own = [secret for secret in secrets if secret.run == run]
        out = standing_out(own)
        if out:
            parts.append(f"{len(out)} of {sum(not secret.control for secret in own)} on {name}")
    return f"Of secrets that were planted, {listed(parts)} rank higher among all their fills than chance explains." if parts else ""


def _searches(found: Sequence[Estimate]) -> tuple[Search, ...]:
    """The searches for one secret; a random search of no variant stands beside each of the others."""
    ways = list(dict.fromkeys(_way(one) for one in found if one.name in SEARCH[:3])) or list(dict.fromkeys(map(_way, found)))
    searches = []
    for way in ways:
        own = [one for one in found if _way(one) == way]
        beside = [one for one in found if _way(one) not in ways]
        told = {key: value for one in own for key, value in one.conditions.items()}
        searches.append(
            Search(
                variant=str(told.get("variant", "")),
                queries=int(told["queries"]) if "queries" in told else None,
                found=str(told.get("found", "")),
                truth=str(told.get("truth", "")),
                figures={one.name: one for one in (*beside, *own)},
            )
        )
    return tuple(searches)


def _way(estimate: Estimate) -> tuple[Condition | None, ...]:
    return tuple(estimate.conditions.get(key) for key in ("variant", "queries", "found"))


def _identity(conditions: Mapping[str, Condition]) -> tuple[tuple[str, Condition], ...]:
    return tuple((key, conditions[key]) for key in _IDENTITY if key in conditions)


def _value(estimate: Estimate | None) -> float | None:
    return None if estimate is None else estimate.value


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) else None
