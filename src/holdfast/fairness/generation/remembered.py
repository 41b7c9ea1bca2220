"""A model that goes on with each prompt once, however many metrics ask for the same texts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from holdfast.core.randomness import Streams
from holdfast.fairness.language.access import GeneratingAccess


@dataclass(frozen=True, eq=False)
class Remembered:
    """Keeps what a model wrote, by prompts, settings and seed, for as long as this object lives.

    Metrics of one seed ask for the same texts, so that sentiment, toxicity and polarity speak of one set of texts at the price of one.

    Args:
        model: Goes on with prompts.
    """

    model: GeneratingAccess
    _kept: dict[tuple[object, ...], list[list[str]]] = field(default_factory=dict, repr=False)

    @property
    def name(self) -> str:
        """Of the model."""
        return self.model.name

    def generate(
        self, prompts: Sequence[str], *, samples: int, most_words: int, top_p: float, temperature: float, streams: Streams
    ) -> list[list[str]]:
        """As of `GeneratingAccess`."""
        key = (tuple(prompts), samples, most_words, top_p, temperature, streams)
        if key not in self._kept:
            self._kept[key] = self.model.generate(
                prompts, samples=samples, most_words=most_words, top_p=top_p, temperature=temperature, streams=streams
            )
        return [list(row) for row in self._kept[key]]
