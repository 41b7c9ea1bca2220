"""Text drawn from a model piece by piece: a stream for each prompt and sample, rows that go on together, and no padding."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from holdfast.core.errors import InputError
from holdfast.core.randomness import Streams
from holdfast.fairness.language.access import Floats
from holdfast.fairness.language.scoring import Ids
from holdfast.models import checks
from holdfast.training.evaluation import evaluating

ROWS = 64
"""Texts that are written together."""
EVERY = 8
"""Steps after which it is looked whether the texts have their words."""

Feed = Callable[[Tensor], Tensor]
"""Takes the next pieces of each row, (B, n), and gives the scores of the piece behind them, (B, S)."""


@dataclass(frozen=True, eq=False)
class Voice:
    """A model that goes on with a text.

    Args:
        module: Put in evaluation mode for the time of a call.
        begin: Makes what takes the pieces of some rows from the first on.
        lead: What is read before a prompt.
        ends: Pieces that end a text.
        never: Pieces that are not drawn.
        pieces_a_word: Pieces that are drawn at most for each word that is asked for.
        text: The text of some drawn pieces.
        longest: Pieces that a row may have, the prompt included; None for no bound.
        device: Where the model is.
    """

    module: nn.Module
    begin: Callable[[], Feed]
    lead: Callable[[Ids], Ids]
    ends: Collection[int]
    never: Collection[int]
    pieces_a_word: int
    text: Callable[[Sequence[int]], str]
    longest: int | None
    device: torch.device


def generate(
    voice: Voice, prompts: Sequence[Ids], *, samples: int, most_words: int, top_p: float, temperature: float, streams: Streams
) -> list[list[str]]:
    """Draws texts that go on from each prompt.

    Args:
        voice: The model.
        prompts: Their pieces.
        samples: Texts for each, >= 1.
        most_words: Words of a text at most, >= 1; a text ends there, at an end marker, or where the model has no more places.
        top_p: Each piece is drawn from the likeliest ones that make up this much, in (0, 1]; 1 for all.
        temperature: Scores are divided by it, > 0.
        streams: Sample j of prompt i draws from the stream ("generation", i, j).

    Returns:
        `samples` texts for each prompt, in its order.

    Raises:
        InputError: For a value out of its bounds, or a prompt that leaves the model no place.

    Guarantee:
        A text depends on its prompt, its place and number, and the streams; on which texts are written beside it only by rounding.

    References:
        Holtzman et al. 2020, "The curious case of neural text degeneration", section 3.1 (top-p).
    """
    checks.integer("generate", least=1, samples=samples, most_words=most_words)
    checks.number("generate", least=0, top_p=top_p, temperature=temperature)
    if not 0 < top_p <= 1 or temperature <= 0:
        raise InputError(f"generate: top_p is {top_p} and temperature is {temperature}; give a top_p in (0, 1] and a temperature above 0")
    read = [voice.lead(prompt) for prompt in prompts]
    _check(voice, read)
    found = [[""] * samples for _ in prompts]
    order = sorted(range(len(prompts)), key=lambda place: len(read[place]))
    rows = [(place, sample) for place in order for sample in range(samples)]
    steps = most_words * voice.pieces_a_word
    with evaluating(voice.module):
        for start in range(0, len(rows), ROWS):
            part = rows[start : start + ROWS]
            draws = np.stack([streams.generator("generation", *row).random(steps) for row in part])
            texts = _written(voice, [read[place] for place, _ in part], draws, most_words, top_p, temperature)
            for (place, sample), text in zip(part, texts, strict=True):
                found[place][sample] = text
    return found


def nucleus(scores_BS: Tensor, draws_B: Floats, *, top_p: float) -> Ids:
    """Draws one piece for each row from the smallest set of likeliest pieces whose probabilities reach `top_p`, (B,).

    Args:
        scores_BS: Scores, already divided by the temperature; minus infinity for pieces that are not drawn.
        draws_B: Uniform numbers in [0, 1).
        top_p: In (0, 1].

    Edge cases:
        Of pieces that are equally likely at the edge of the set, those with the smallest ids are in it.
    """
    scores = scores_BS.double().cpu().numpy()  # numpy sorts rows of fifty thousand thirty times as fast as torch
    shares_BS = np.exp(scores - scores.max(1, keepdims=True))
    shares_BS /= shares_BS.sum(1, keepdims=True)
    ranked_BS = np.sort(shares_BS, axis=1)[:, ::-1]
    before_BS = np.cumsum(ranked_BS, axis=1) - ranked_BS
    kept_B = ((before_BS < top_p) & (ranked_BS > 0)).sum(1)
    least_B1 = ranked_BS[np.arange(len(ranked_BS)), kept_B - 1][:, None]
    over_BS = (shares_BS < least_B1) | _surplus(shares_BS == least_B1, kept_B - (shares_BS > least_B1).sum(1))
    shares_BS[over_BS] = 0.0
    sums_BS = np.cumsum(shares_BS, axis=1)
    found = [int(np.searchsorted(sums_S, draw * sums_S[-1], side="right")) for sums_S, draw in zip(sums_BS, draws_B, strict=True)]
    last_B = shares_BS.shape[1] - 1 - (shares_BS[:, ::-1] > 0).argmax(1)
    drawn: Ids = np.minimum(np.array(found, dtype=np.int64), last_B)
    return drawn


def _surplus(equal_BS: NDArray[np.bool_], wanted_B: Ids) -> NDArray[np.bool_]:
    """Which of some marked pieces are more than are wanted of a row."""
    surplus: NDArray[np.bool_] = equal_BS & (np.cumsum(equal_BS, axis=1) > wanted_B[:, None])
    return surplus


def first_words(text: str, most: int) -> str:
    """The text up to the end of so many words, without blanks at its ends."""
    text = text.strip()
    words = text.split(maxsplit=most)
    return text if len(words) <= most else text.removesuffix(words[-1]).rstrip()


def _written(
    voice: Voice,
    prompts: Sequence[Ids],
    draws_BN: Floats,
    most_words: int,
    top_p: float,
    temperature: float,
) -> list[str]:
    """Texts for prompts of which none is shorter than the first.

    All rows are at the same place at every step: what is left of a longer prompt is read while the others are already written, so
    nothing is padded and every position is what it would be alone.
    """
    feed, drawn = voice.begin(), [list[int]() for _ in prompts]
    over = np.zeros(len(prompts), dtype=bool)
    place = len(prompts[0])
    given = np.stack([prompt[:place] for prompt in prompts])
    for step in range(10**9):
        scores_BS = feed(torch.from_numpy(given).to(voice.device)).float() / temperature
        scores_BS[:, list(voice.never)] = -torch.inf
        uniform = np.array([row[min(len(own), len(row) - 1)] for row, own in zip(draws_BN, drawn, strict=True)])
        pieces = nucleus(scores_BS, uniform, top_p=top_p)
        for row, prompt in enumerate(prompts):
            if place < len(prompt):
                pieces[row] = prompt[place]
            elif not over[row]:
                over[row] = pieces[row] in voice.ends
                drawn[row] += [] if over[row] else [int(pieces[row])]
                over[row] |= len(drawn[row]) == draws_BN.shape[1]
        place += 1
        if step % EVERY == EVERY - 1:
            over |= [len(voice.text(own).split()) > most_words for own in drawn]
        if over.all() or (voice.longest is not None and place > voice.longest):
            break
        given = pieces[:, None]
    return [first_words(voice.text(own), most_words) for own in drawn]


def _check(voice: Voice, prompts: Sequence[Ids]) -> None:
    for number, prompt in enumerate(prompts):
        if not len(prompt):
            raise InputError(f"prompt {number} has no pieces, and the model reads nothing before the first; give at least a word")
        if voice.longest is not None and len(prompt) > voice.longest:
            raise InputError(f"prompt {number} has {len(prompt)} pieces and the model reads {voice.longest}; give a shorter one")
