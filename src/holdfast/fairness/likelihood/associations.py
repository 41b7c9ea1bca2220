"""Log-probability of a target word with and without an attribute word in sight, over templates."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from holdfast.core.errors import InputError, nearest
from holdfast.fairness.language.access import CausalAccess, MaskedAccess, Pieces
from holdfast.fairness.likelihood import asking
from holdfast.fairness.likelihood.reading import Places, Reading, joined, read
from holdfast.fairness.likelihood.word_lists import ATTRIBUTE, TARGET

Floats = NDArray[np.float64]
Span = tuple[int, int]
SeveralPieces = Literal["joint", "refuse", "skip"]

_SLOT = re.compile(rf"\b(?P<article>[Aa]n?)(?=\s+(?P<next>{TARGET}|{ATTRIBUTE})\b)|\b(?P<slot>{TARGET}|{ATTRIBUTE})\b")


@dataclass(frozen=True)
class Filled:
    """A template with both words in it.

    Args:
        text: The sentence.
        target: Where the target word stands, in characters.
        attribute: Where the attribute word stands.
    """

    text: str
    target: Span
    attribute: Span


def fill(template: str, *, target: str, attribute: str) -> Filled:
    """Puts words in the slots of a template; "a" before a slot becomes "an" before a vowel letter.

    Args:
        template: Holds TARGET once and ATTRIBUTE once.
        target: One word or several.
        attribute: One word or several.

    Raises:
        InputError: For a template that has not each slot once.

    >>> fill("The TARGET is a ATTRIBUTE.", target="woman", attribute="engineer").text
    'The woman is an engineer.'
    """
    words = {TARGET: target, ATTRIBUTE: attribute}
    slots = [found["slot"] for found in _SLOT.finditer(template) if found["slot"]]
    if sorted(slots) != [ATTRIBUTE, TARGET]:
        raise InputError(f"template {template!r}: give {TARGET} once and {ATTRIBUTE} once")
    text, last, spans = "", 0, dict[str, Span]()
    for found in _SLOT.finditer(template):
        text += template[last : found.start()]
        last = found.end()
        if found["slot"]:
            start = len(text)
            text += words[found["slot"]]
            spans[found["slot"]] = (start, len(text))
        else:
            text += found["article"][0] + ("n" if words[found["next"]][:1].lower() in "aeiou" else "")
    return Filled(text + template[last:], spans[TARGET], spans[ATTRIBUTE])


@dataclass(frozen=True, eq=False)
class Associations:
    """How much likelier each attribute word makes each target word.

    Args:
        scores_MTA: log p(target | attribute) - log p(target), (M templates, T target words, A attribute words), in nats, finite.
        targets: The T words that were scored.
        attributes: The A words that were scored.
        unknown: Words that the model does not know.
        several: Words of several pieces that were skipped.
        jointly: Words of several pieces that were scored jointly.
        reading: How the model read the filled templates.
        variant: How words were scored, in words.
    """

    scores_MTA: Floats
    targets: tuple[str, ...]
    attributes: tuple[str, ...]
    unknown: tuple[str, ...]
    several: tuple[str, ...]
    jointly: tuple[str, ...]
    reading: Reading
    variant: str


def associations(
    access: MaskedAccess | CausalAccess,
    templates: Sequence[str],
    targets: Sequence[str],
    attributes: Sequence[str],
    *,
    several_pieces: SeveralPieces = "joint",
    neutral: str = "person",
) -> Associations:
    """Scores each target word with each attribute word in each template.

    Args:
        access: For a masked model the prior hides the attribute word too. For a causal one, whose templates must have the attribute
            word first, it has a neutral word in its place.
        templates: Hold TARGET and ATTRIBUTE once each.
        targets: The target words.
        attributes: The attribute words.
        several_pieces: What becomes of a word that the model cuts into several pieces: "joint" hides all of them at once and sums their
            log-probabilities, "refuse" is an error, "skip" leaves the word out.
        neutral: The neutral word of causal models.

    Raises:
        InputError: For a bad template or option, words of several pieces where they are refused, or no word that can be scored.

    Edge cases:
        The number of hidden places tells the model how many pieces the word has, in both terms of the difference alike.

    References:
        Kurita et al. 2019, "Measuring bias in contextualized word representations", section 3.
    """
    if several_pieces not in get_args(SeveralPieces):
        raise InputError(f"log-probability-bias: several_pieces is {several_pieces!r}; {nearest(several_pieces, get_args(SeveralPieces))}")
    filled = [[[fill(m, target=t, attribute=a) for a in attributes] for t in targets] for m in templates]
    flat = [one for by_target in filled for by_attribute in by_target for one in by_attribute]
    if not flat:
        raise InputError("log-probability-bias: give at least one template, target word and attribute word")
    shape = (len(templates), len(targets), len(attributes))
    reading = read(access, [one.text for one in flat])
    words = _Words.of(reading, flat, shape)
    kept_t, kept_a = words.usable(1, targets, several_pieces), words.usable(2, attributes, several_pieces)
    if isinstance(access, CausalAccess):
        _attribute_first(templates)
        prior = read(access, [fill(m, target=t, attribute=neutral).text for m in templates for t in targets])
        spans = [fill(m, target=t, attribute=neutral).target for m in templates for t in targets]
        scores, reading = _causal(access, words, prior, spans, shape), joined(reading, prior)
        variant = f"causal prefix, prior with {neutral!r}"
    else:
        scores, variant = _masked(access, words, shape), "masked, prior with the attribute word hidden"
    finite = np.isfinite(scores)
    kept_t &= finite[:, :, kept_a].all(axis=(0, 2)) if kept_a.any() else kept_t
    chosen = scores[:, kept_t][:, :, kept_a]
    names = (tuple(np.array(targets, dtype=object)[kept_t]), tuple(np.array(attributes, dtype=object)[kept_a]))
    every = (*words.named(words.unknown, targets, attributes),)
    cut = words.named(words.several, targets, attributes)
    skipped = cut if several_pieces == "skip" else ()
    jointly = tuple(word for word in cut if word in (*names[0], *names[1]))
    return Associations(chosen, *names, every, skipped, jointly, reading, variant)


def _attribute_first(templates: Sequence[str]) -> None:
    wrong = next((template for template in templates if template.index(ATTRIBUTE) > template.index(TARGET)), None)
    if wrong is not None:
        raise InputError(f"template {wrong!r}: a causal model sees what comes before only; put {ATTRIBUTE} before {TARGET}")


@dataclass(frozen=True, eq=False)
class _Words:
    """Where the words are in the filled templates, and which are unknown or cut, (M, T, A) each for (target, attribute)."""

    pieces: tuple[Pieces, ...]
    targets: list[Places]
    attributes: list[Places]
    unknown: tuple[NDArray[np.bool_], NDArray[np.bool_]]
    several: tuple[NDArray[np.bool_], NDArray[np.bool_]]

    @classmethod
    def of(cls, reading: Reading, flat: Sequence[Filled], shape: tuple[int, int, int]) -> _Words:
        both = list(zip(reading.pieces, flat, strict=True))
        places = [pieces.within(*one.target) for pieces, one in both], [pieces.within(*one.attribute) for pieces, one in both]
        unknown = [
            np.array([not len(at) or not pieces.known[at].all() for (pieces, _), at in zip(both, side, strict=True)]).reshape(shape)
            for side in places
        ]
        several = [np.array([len(at) > 1 for at in side]).reshape(shape) for side in places]
        return cls(reading.pieces, *places, (unknown[0], unknown[1]), (several[0], several[1]))

    def usable(self, axis: int, words: Sequence[str], several_pieces: SeveralPieces) -> NDArray[np.bool_]:
        """Which words can be scored, (T,) for axis 1 and (A,) for axis 2."""
        others = tuple(one for one in range(3) if one != axis)
        cut = np.asarray(self.several[axis - 1].any(axis=others))
        unknown = np.asarray(self.unknown[axis - 1].any(axis=others))
        if several_pieces == "refuse" and cut.any():
            named = ", ".join(word for word, one in zip(words, cut, strict=True) if one)
            raise InputError(f"log-probability-bias: {named}: cut into several pieces; take other words, or several_pieces = 'joint'")
        usable: NDArray[np.bool_] = ~unknown & ~(cut & (several_pieces == "skip"))
        if not usable.any():
            raise InputError(
                f"log-probability-bias: the model knows none of {', '.join(words[:5])}, or cuts all to pieces; give words of its language"
            )
        return usable

    def named(
        self, found: tuple[NDArray[np.bool_], NDArray[np.bool_]], targets: Sequence[str], attributes: Sequence[str]
    ) -> tuple[str, ...]:
        flags = [*np.any(found[0], axis=(0, 2)).tolist(), *np.any(found[1], axis=(0, 1)).tolist()]
        return tuple(dict.fromkeys(word for word, one in zip((*targets, *attributes), flags, strict=True) if one))


def _masked(access: MaskedAccess, words: _Words, shape: tuple[int, int, int]) -> Floats:
    nothing = np.zeros(0, dtype=np.int64)
    seen = [(pieces, at, nothing) for pieces, at in zip(words.pieces, words.targets, strict=True)]
    hidden = list(zip(words.pieces, words.targets, words.attributes, strict=True))
    found = np.array([asking.total(values) for values in asking.together(access, seen + hidden)]).reshape(2, *shape)
    return np.asarray(found[0] - found[1])


def _causal(access: CausalAccess, words: _Words, prior: Reading, spans: Sequence[Span], shape: tuple[int, int, int]) -> Floats:
    rows = list(zip(words.pieces, words.targets, strict=True))
    rows += [(pieces, pieces.within(*span)) for pieces, span in zip(prior.pieces, spans, strict=True)]
    found = np.array([asking.total(values) for values in asking.causal(access, rows)])
    count = len(words.pieces)
    return np.asarray(found[:count].reshape(shape) - found[count:].reshape(*shape[:2], 1))
