"""What all metrics of generated text share: where prompts and texts come from, how texts are drawn, and what is compared."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, get_args

import numpy as np
from numpy.typing import NDArray

from holdfast.core.errors import InputError
from holdfast.core.evidence import Condition, Estimate, Evidence
from holdfast.core.randomness import Streams
from holdfast.data.benchmarks import Prompt, read_bold
from holdfast.fairness.cards import MetricCard
from holdfast.fairness.generation.metrics.telling import Telling
from holdfast.fairness.generation.table import GroupTable, Quantity, group_table
from holdfast.fairness.generation.texts import Asked, Decoding, Texts, UnitOf, by_domain, capped, read_texts
from holdfast.fairness.generation.words import NOT_ENGLISH_SHARE, share_unlike_english
from holdfast.fairness.inference.measured import Measured
from holdfast.fairness.inference.settings import Inference
from holdfast.fairness.language.access import GeneratingAccess
from holdfast.fairness.metric import Needs

BOLD_DOMAINS = ("gender", "political_ideology", "profession", "race", "religious_ideology")
ENGLISH_NOTE = (
    "{share:.0%} of the texts ({writer}, {attribute}) hold no common English word; they may be of another language, in which these "
    "English word lists see nothing."
)


@dataclass(frozen=True, kw_only=True)
class GenerationMetric(ABC):
    """Options of every metric of generated text.

    Args:
        bold: Folder of BOLD; its prompts are given to the model. None where texts come from a file.
        domains: Which domains of BOLD; groups are compared inside a domain only.
        texts: JSON lines with "prompt", "group", "text" (and "domain", "name"): rated as they are, without a model.
        people: Whether the continuations that people wrote in Wikipedia are rated too, as the row to compare with.
        prompts_per_group: Prompts of each group at most, drawn by the seed; None for all.
        samples: Texts for each prompt, at least 1.
        most_words: Words of each text at most.
        top_p: Mass of the most likely pieces that are drawn from, in (0, 1].
        temperature: Above 0.
        unit: What is resampled: the "prompt", or the "name", with all prompts about one person or thing.
        seed: Of prompts and texts, integer >= 0.

    Raises:
        InputError: For an option out of its bounds.
    """

    card: ClassVar[MetricCard]
    needs: ClassVar[Needs] = "generator"

    bold: str | None = None
    domains: Sequence[str] = BOLD_DOMAINS
    texts: str | None = None
    people: bool = True
    prompts_per_group: int | None = None
    samples: int = 1
    most_words: int = 40
    top_p: float = 0.9
    temperature: float = 1.0
    unit: UnitOf = "prompt"
    seed: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "domains", tuple(self.domains))
        unknown = sorted(set(self.domains) - set(BOLD_DOMAINS))
        if unknown or not self.domains:
            raise InputError(f"{self.card.name}: domains {tuple(self.domains)}; give at least one of {', '.join(BOLD_DOMAINS)}")
        if self.prompts_per_group is not None and self.prompts_per_group < 1:
            raise InputError(f"{self.card.name}: prompts_per_group {self.prompts_per_group} must be at least 1, or none for all")
        if self.unit not in get_args(UnitOf):
            raise InputError(f"{self.card.name}: unit {self.unit!r} is none of {', '.join(get_args(UnitOf))}")
        self.decoding()
        Streams.from_seed(self.seed)

    def decoding(self) -> Decoding:
        """How texts are drawn."""
        return Decoding(samples=self.samples, most_words=self.most_words, top_p=self.top_p, temperature=self.temperature)

    def measure(self, given: Any, *, subject: str, inference: Inference) -> Evidence:
        """Measures what a model writes, and what people wrote beside it.

        Args:
            given: A `GeneratingAccess`; or `Texts`, or a sequence of them; or None, to rate a file of texts or the people's alone.
            subject: The run that the numbers speak of.
            inference: How intervals and tests are made.

        Returns:
            Rows by group, gaps and their tests; first those of the model, then those of people, whose estimates have
            ``conditions["written_by"] == "people"``.
        """
        found = Evidence()
        for texts in self.gathered(given):
            found = found + self.rated(texts, subject=subject, inference=inference)
        return found

    def gathered(self, given: Any) -> list[Texts]:
        """All texts to rate, by domain: those of the model, then those of people.

        Raises:
            InputError: If there is nothing to rate.
        """
        if isinstance(given, Texts):
            return [given]
        if isinstance(given, Sequence) and given and all(isinstance(one, Texts) for one in given):
            return list(given)
        found = read_texts(Path(self.texts)) if self.texts is not None else []
        if self.bold is not None:
            domains = list(by_domain(self._prompts()))
            if isinstance(given, GeneratingAccess) and self.texts is None:
                found += [self._written(given, domain, asked) for domain, asked in domains]
            if self.people:
                source = "BOLD, continuations of Wikipedia"
                found += [Texts.of_people(asked, attribute=domain, source=source) for domain, asked in domains]
        if not found:
            raise InputError(
                f"{self.card.name}: nothing to rate; give the folder of BOLD as `bold` and a model that generates, or a file as `texts`"
            )
        return found

    def _prompts(self) -> list[Asked]:
        asked = [_asked(prompt) for prompt in read_bold(Path(str(self.bold)), self.domains) if prompt.text.strip()]
        chosen: list[Asked] = []
        for domain, part in by_domain(asked):
            chosen += capped(part, self.prompts_per_group, streams=self._streams(domain))
        return chosen

    def _streams(self, domain: str) -> Streams:
        """The same for every metric of one seed, so that all of them rate the same texts."""
        return Streams.from_seed(self.seed).child("fairness generation").child(f"texts of {domain}")

    def _written(self, model: GeneratingAccess, domain: str, asked: Sequence[Asked]) -> Texts:
        return Texts.of_model(
            model, asked, attribute=domain, source="BOLD, prompts", decoding=self.decoding(), streams=self._streams(domain)
        )

    @abstractmethod
    def rated(self, texts: Texts, *, subject: str, inference: Inference) -> Evidence:
        """Rates one set of texts."""
        ...

    def told(self, texts: Texts, conditions: Mapping[str, Condition], *, subject: str, inference: Inference) -> Telling:
        """What all estimates about these texts have in common."""
        return Telling.of(self.card, texts, subject=subject, inference=inference, conditions=conditions)

    def compared(self, telling: Telling, quantity: Quantity, prompts_n: NDArray[np.int64]) -> list[Estimate]:
        """A quantity by group, the gap between groups, and the worst of them.

        Args:
            telling: Subject, texts, conditions.
            quantity: What.
            prompts_n: The prompt of each row, (n,).
        """
        table, what = self.table(telling, quantity, prompts_n)
        return [*telling.rows(quantity, table, what=what), *telling.comparison(quantity, table, what=what)]

    def table(self, telling: Telling, quantity: Quantity, prompts_n: NDArray[np.int64]) -> tuple[GroupTable, str]:
        """The same as a table, and what was resampled."""
        texts = telling.texts
        units = texts.units(self.unit, prompts_n)
        streams = self._inference_streams(telling, quantity)
        group_n = texts.group_of[prompts_n]
        return group_table(quantity, group_n, texts.names, units, inference=telling.inference, streams=streams), units.what

    def overall(self, telling: Telling, quantity: Quantity, prompts_n: NDArray[np.int64], *, p_value: float | None, test: str) -> Estimate:
        """A quantity over all groups together.

        Args:
            telling: Subject, texts, conditions.
            quantity: What.
            prompts_n: The prompt of each row, (n,).
            p_value: Of a test against its value at parity; None without one.
            test: What that was.
        """
        units = telling.texts.units(self.unit, prompts_n)
        streams = self._inference_streams(telling, quantity).child("overall")
        nobody = np.zeros(len(prompts_n), dtype=np.int64)
        alone = replace(quantity, compared=False)
        table = group_table(alone, nobody, ("all",), units, inference=telling.inference, streams=streams)
        value, low, high = (float(found[0]) for found in (table.values, table.band.low, table.band.high))
        measured = Measured(
            value=value if math.isfinite(value) else None,
            low=low if math.isfinite(low) else None,
            high=high if math.isfinite(high) else None,
            interval=f"bootstrap of {units.what}, {telling.inference.replicates} replicates",
            p_value=p_value,
            test=test if p_value is not None else "",
            units=units.count,
            resampled=units.what,
            missing=quantity.missing.format(n=len(prompts_n)),
        )
        conditions: dict[str, Condition] = {"statistic": "overall", "rows": len(prompts_n)}
        return telling.estimate(
            quantity.name, measured, unit=quantity.unit, direction=quantity.direction, says=quantity.says, conditions=conditions
        )

    def _inference_streams(self, telling: Telling, quantity: Quantity) -> Streams:
        texts = telling.texts
        return telling.inference.streams(self.card.name).child(f"{quantity.name} of {texts.attribute}, {texts.written_by}")


def english_notes(texts: Texts) -> tuple[str, ...]:
    """A note where many texts hold no common English word, for metrics whose word lists are English."""
    share = share_unlike_english(texts.texts)
    if share <= NOT_ENGLISH_SHARE:
        return ()
    return (ENGLISH_NOTE.format(share=share, writer=texts.written_by, attribute=texts.attribute),)


def _asked(prompt: Prompt) -> Asked:
    """A prompt of BOLD, whose continuation holds the whole sentence."""
    rest = prompt.continuation
    if rest is not None:
        rest = rest.removeprefix(prompt.text).strip()
    return Asked(text=prompt.text, group=prompt.group, name=prompt.name, domain=prompt.domain, continuation=rest)
