"""The subspace attack, after DAGER: words whose vectors lie in the span of what a layer read, and sentences put together of them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import product

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from holdfast.audit.gradients.candidates import Recovered
from holdfast.audit.gradients.projections import Readers, second_inputs
from holdfast.audit.gradients.ranking import Rehearsal, ranked
from holdfast.audit.gradients.rounds import Round
from holdfast.audit.gradients.spans import Span

SWEEPS = 4
"""How often each place of a sentence is changed in turn before the search starts elsewhere."""

GAP = 3.0
"""How many times farther outside the nearest word that does not pass must lie than the farthest that does."""

UNEXPLAINED = "are of no candidate that was found: of words that the attacker did not think of, or that rounding hides"

Places = tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Tolerances:
    """When numbers count as nothing, and how long to search.

    Args:
        rank: Singular values count from this share of the largest one on, in (0, 1).
        word: A word lies in the span if at most this share of its vector is outside, in (0, 1).
        sentence: A sentence does, if at most this share of the vector at each of its places is outside, in (0, 1).
        tests: Sentences that are put to the test at most, over all lengths, >= 0.
        stop_at: Search no longer once so many sentences are found: the number in the round, if the attacker knows it.
    """

    rank: float = 2e-7
    word: float = 0.02
    sentence: float = 5e-4
    tests: int = 20_000
    stop_at: int | None = None


def subspace(
    readers: Readers,
    round_: Round,
    *,
    most: int,
    rehearsals: Sequence[Rehearsal] = (),
    tolerances: Tolerances | None = None,
) -> Recovered:
    """The words of a round, and its sentences, from the row space of the gradient of the layer that reads them.

    The gradient of a linear layer is a sum over places of (gradient of its output) times (its input): its rows span what it read.
    The inputs of the first layer are a known function of word and place, so each pair is put to the test. A sentence is put
    together of words that pass at its places, and counts as found only if what the first layer makes of it lies in the span of
    what the second one read.

    Args:
        readers: The layers of the model that the server sent.
        round_: What was seen.
        most: True number of distinct words in the sum, told to a generous adversary; only looked at where the answer is not exact.
        rehearsals: Rounds of public text, from which the attacker learns what noise leaves of a word.
        tolerances: When numbers count as nothing, and how long to search.

    Returns:
        Exact where the span tells words apart: its rank is below what the candidates span, no more words lie in it than it has
        dimensions, and those that do lie far nearer than any other (`GAP`). Otherwise the `most` likeliest words, no sentences, and
        the rank in `reason`.

    Raises:
        InputError: If the round lacks the layer, or for a tolerance out of its bounds.

    Guarantee:
        No guess is passed for a finding, up to words that the model cannot tell apart (`alike`): words pass by the span alone,
        sentences by the span of the second layer, or, where each place has one word and there is no second layer, because there is
        no other sentence of that length. It is one of numbers, not a proof: tolerances decide what lies in a span.

    Edge cases:
        A word is named only if its vector lies in the span; one may be missed near the full width, where rounding hides the smallest
        directions. Then, for words that are no candidates, and for places behind the last one that the readers know, `unnamed` counts
        the dimensions that are left over.
        In a freshly drawn BERT a vector is nearly the sum of a word's and a place's, so word and place of different sentences may
        pass together: the sets of single places are too large, the set of words is still exact. A sentence that is the
        beginning of another is found only by the second layer. Dropout in the clients' models hides the inputs.

    References:
        Petrov, Dimitrov, Baader, Müller, Vechev 2024, "DAGER: exact gradient inversion for large language models", arXiv
        2405.15586, sections 4 and 5; after it, because they search encoders by another heuristic.
    """
    limits = tolerances or Tolerances()
    candidates = readers.candidates
    if not readers.first:
        return Recovered(method="subspace", words=candidates.best(candidates.counts, most), basis="prior", reason=readers.reason)
    span = Span.of(round_, readers.first, rank_tolerance=limits.rank)
    distances_VP = span.distances(readers.inputs_VPD).cpu().numpy()
    reason = _why_not_exact(readers, round_, span, distances_VP.min(1), limits)
    if reason:
        return _by_odds(readers, round_, span, reason, most, rehearsals, limits)
    return _exact(readers, round_, span, distances_VP <= limits.word, limits)


def _why_not_exact(readers: Readers, round_: Round, span: Span, nearest_V: NDArray[np.float64], limits: Tolerances) -> str:
    """Why the span does not tell words apart; empty where it does."""
    full = f"the gradient has rank {span.rank}, and the candidates span {readers.capacity} dimensions"
    if round_.noise_std > 0:
        return f"noise: {span.rank} directions stand out from it, of {readers.capacity} that the candidates span"
    passing, others = nearest_V[nearest_V <= limits.word], nearest_V[nearest_V > limits.word]
    if not passing.size:
        return f"{full}, but no word lies in it: the clients dropped numbers, or used words that the attacker did not think of"
    # A word adds at least one dimension to what a layer reads, so a span that holds more words than dimensions holds words by chance.
    distinct = len({readers.inputs_VPD[v, 0].cpu().numpy().tobytes() for v in np.flatnonzero(nearest_V <= limits.word)})
    if span.rank >= readers.capacity or distinct > span.rank:
        return f"words at too many places: {full}, so every word lies in it or near it"
    if others.size and others.min() < GAP * passing.max():
        return f"{full}, and words inside cannot be told from words nearby ({passing.max():.2g} against {others.min():.2g} outside)"
    return ""


def _by_odds(
    readers: Readers, round_: Round, span: Span, reason: str, most: int, rehearsals: Sequence[Rehearsal], limits: Tolerances
) -> Recovered:
    def nearness_of(seen: Round) -> NDArray[np.float64]:
        outside_V = Span.of(seen, readers.first, rank_tolerance=limits.rank).distances(readers.inputs_VPD).amin(1)
        return np.asarray(outside_V.clamp(min=1e-9).pow(-2).cpu().numpy())

    found = ranked(readers.candidates, round_, energy_of=nearness_of, dimensions=None, most=most, rehearsals=rehearsals)
    return Recovered(method="subspace", words=readers.candidates.best(found.scores, most), basis=found.basis, rank=span.rank, reason=reason)


def _exact(readers: Readers, round_: Round, span: Span, inside_VP: NDArray[np.bool_], limits: Tolerances) -> Recovered:
    candidates = readers.candidates
    places = [_one_of_each(readers, np.flatnonzero(inside_VP[:, p]), p) for p in range(inside_VP.shape[1])]
    named = sorted({group[0] for groups in places for group in groups})
    words = candidates.best(candidates.counts, len(named), among=named)
    alike = {tuple(candidates.words[v] for v in group): None for groups in places for group in groups if len(group) > 1}
    unnamed = span.rank - span.explained_by(readers.inputs_VPD[torch.from_numpy(inside_VP)])
    search = _Search(readers, limits)
    if unnamed > 0:
        search.gaps.append(f"{unnamed} of {span.rank} dimensions {UNEXPLAINED}")
    if readers.knows_places:
        length = next((p for p, groups in enumerate(places) if not groups), len(places))
        sets = [[group[0] for group in groups] for groups in places[:length]]
        search.run(sets, None if not readers.second else Span.of(round_, readers.second, rank_tolerance=limits.rank))
    else:
        search.gaps.append("the layer does not know places, so it tells the words and not their order")
    return Recovered(
        method="subspace",
        words=words,
        basis="exact",
        alike=tuple(group for group in alike if len({word.casefold() for word in group}) > 1),
        unnamed=max(0, unnamed),
        sentences=tuple(tuple(candidates.words[v] for v in sentence) for sentence in search.found),
        rank=span.rank,
        reason="; ".join(search.gaps),
    )


def _one_of_each(readers: Readers, words: NDArray[np.int64], place: int) -> list[list[int]]:
    """The candidates grouped by what the layer reads of them at a place, the commonest of a group first."""
    groups: dict[bytes, list[int]] = {}
    for word in words.tolist():
        groups.setdefault(readers.inputs_VPD[word, place].cpu().numpy().tobytes(), []).append(word)
    return list(groups.values())


@dataclass(eq=False)
class _Search:
    """Puts sentences together of the words that pass at each place, and to the test of the second layer.

    Args:
        readers: The layers.
        limits: How long to search.
        found: Sentences that passed, as places of candidates, in the order in which they were found.
        gaps: Why there may be more.
    """

    readers: Readers
    limits: Tolerances
    found: dict[Places, None] = field(default_factory=dict)
    gaps: list[str] = field(default_factory=list)
    tested: int = 0

    @property
    def done(self) -> bool:
        """Whether all sentences of the round are found."""
        return self.limits.stop_at is not None and len(self.found) >= self.limits.stop_at

    def run(self, sets: list[list[int]], span: Span | None) -> None:
        """Searches all lengths, the longest first."""
        if span is None:
            self._without_second(sets)
            return
        if span.rank >= span.basis_RD.shape[1] - 1:
            self.gaps.append(f"the second layer's gradient has rank {span.rank}, so sentences could not be told")
            return
        cut = []
        for length in range(len(sets), 0, -1):
            if self.done:
                return
            share = (self.limits.tests - self.tested) // length
            if math.prod(map(len, sets[:length])) <= share:
                for chunk in _chunks(product(*sets[:length])):
                    self._test(chunk, span)
            else:
                cut.append(length)
                self._climb(sets[:length], span, self.tested + share)
        if cut and not self.done:
            self.gaps.append(f"too many sentences of {min(cut)} to {max(cut)} words to try all: some may be missing")

    def _without_second(self, sets: list[list[int]]) -> None:
        if sets and all(len(words) == 1 for words in sets):
            self.found[tuple(words[0] for words in sets)] = None
        elif sets:
            self.gaps.append("there is no second layer to put several sentences together by")

    def _climb(self, sets: list[list[int]], span: Span, until: int) -> None:
        """Changes one place after the other to what brings the sentence nearest the span, from many starts."""
        start = 0
        while self.tested < until and start < until and not self.done:
            now = tuple(words[(start + start // len(words) * place) % len(words)] for place, words in enumerate(sets))
            for _ in range(SWEEPS):
                before = now
                for place, words in enumerate(sets):
                    tries = [(*now[:place], word, *now[place + 1 :]) for word in words]
                    now = tries[int(self._test(tries, span).argmin())]
                if now == before or self.tested >= until:
                    break
            start += 1

    def _test(self, sentences: list[Places], span: Span) -> Tensor:
        """Keeps the sentences that lie in the span, and says how far each is from it, (sentences,)."""
        words = self.readers.candidates.words
        self.tested += len(sentences)
        distances_NT = span.distances(second_inputs(self.readers, [[words[v] for v in sentence] for sentence in sentences]))
        for row in torch.nonzero(distances_NT.amax(1) <= self.limits.sentence)[:, 0].tolist():
            self.found[sentences[row]] = None
        return distances_NT.square().sum(1)


def _chunks(sentences: Iterator[Places], size: int = 2048) -> Iterator[list[Places]]:
    chunk: list[Places] = []
    for sentence in sentences:
        chunk.append(sentence)
        if len(chunk) == size:
            yield chunk
            chunk = []
    if chunk:
        yield chunk
