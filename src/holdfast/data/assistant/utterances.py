"""Spells utterances from intents: which template, which words, which tags; all of them at once, as arrays."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from holdfast.core.randomness import Streams
from holdfast.data.assistant.compiled import Floats, Ints, compiled

_BLOCK = 131_072  # utterances spelt at a time, to bound memory; part of what a seed means, so never change it


@dataclass(frozen=True)
class Utterances:
    """Words and tags of n utterances, laid end to end.

    Args:
        counts: Tokens of each utterance, (n,).
        words: Index of each token in the compiled grammar's words, (tokens,).
        tags: Index of each tag, (tokens,).
    """

    counts: NDArray[np.int32]
    words: NDArray[np.int32]
    tags: NDArray[np.int32]


def spell(intents: Ints, rare: NDArray[np.bool_], speakers: Ints, *, slot_noise: float, streams: Streams) -> Utterances:
    """Spells one utterance for each row.

    Args:
        intents: Index of the intent, (n,).
        rare: Whether a rare wording is used, (n,).
        speakers: Who speaks, (n,): a user's own contacts, numbers, addresses and PINs come again.
        slot_noise: Rate at which a slot is left untagged.
        streams: Randomness.
    """
    secret, blocks = np.uint64(streams.integer("belongings")), []
    for number, start in enumerate(range(0, len(intents), _BLOCK)):
        rows = slice(start, start + _BLOCK)
        rng = streams.generator("spelling", number)
        blocks.append(_spell(intents[rows], rare[rows], speakers[rows], slot_noise=slot_noise, secret=secret, rng=rng))
    return Utterances(*(np.concatenate([getattr(block, name) for block in blocks]) for name in ("counts", "words", "tags")))


def _spell(
    intents: Ints, rare: NDArray[np.bool_], speakers: Ints, *, slot_noise: float, secret: np.uint64, rng: np.random.Generator
) -> Utterances:
    grammar = compiled()
    n = len(intents)
    template = grammar.templates.draw(2 * intents + rare, rng.random(n))

    row, _, index = grammar.holes.expand(template)
    hole = grammar.holes.values[index]
    owned = _belongings(hole, speakers[row], secret, rng)
    pattern = grammar.patterns.draw(hole, _uniform(owned, 0, rng))
    untagged = rng.random(len(hole)) < slot_noise

    filled, position, index = grammar.cells.expand(pattern)
    spelling = grammar.spellings.draw(grammar.cells.values[index], _uniform(owned[filled], position + 1, rng))
    return Utterances(
        counts=np.bincount(row[filled], minlength=n).astype(np.int32),
        words=grammar.spelling_words[spelling].astype(np.int32),
        tags=np.where(untagged[filled], 0, grammar.cell_tags[index]).astype(np.int32),
    )


def _belongings(hole: Ints, speakers: Ints, secret: np.uint64, rng: np.random.Generator) -> NDArray[np.uint64]:
    """A number that names a thing of one user's own, such as the second of his or her addresses; 0 where a hole is filled afresh."""
    grammar = compiled()
    own = rng.random(len(hole)) < grammar.belonging_rates[hole]
    which = (rng.random(len(hole)) * grammar.belongings[hole]).astype(np.int64)
    name = ((speakers * len(grammar.belongings) + hole) * (1 + grammar.belongings.max()) + which).astype(np.uint64)
    return np.where(own, _scramble(name ^ secret) | np.uint64(1), np.uint64(0))


def _uniform(owned: NDArray[np.uint64], position: Ints | int, rng: np.random.Generator) -> Floats:
    """A number in [0, 1) for each draw: fresh, or for a belonging always the same one for the same thing and position."""
    fresh = rng.random(len(owned))
    fixed = _scramble(owned + np.asarray(position).astype(np.uint64)) >> np.uint64(11)
    return np.where(owned > 0, fixed * 2.0**-53, fresh)


def _scramble(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The finaliser of SplitMix64 (Steele, Lea, Flood 2014): turns counters into numbers that look random."""
    z = values + np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))
