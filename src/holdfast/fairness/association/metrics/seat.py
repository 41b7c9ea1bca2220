"""SEAT: WEAT on encodings of bleached sentences, with words as units."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, get_args

import numpy as np
from numpy.typing import NDArray

from holdfast.core.evidence import Condition, Evidence
from holdfast.core.randomness import Streams
from holdfast.fairness.association.associations import associate
from holdfast.fairness.association.effect import Cosines, Floats, Variant, unit_vectors
from holdfast.fairness.association.metrics.family import (
    BOTH,
    INTRINSIC,
    REMARK,
    Row,
    checked_options,
    chosen_tests,
    described,
    family,
    found_conditions,
    known_words,
    published_p,
    sizes,
)
from holdfast.fairness.association.sentences import Kind, bleached, kind_of
from holdfast.fairness.association.sets import OutOfVocabulary, Resolved, Sets, WordSet, foreign, resolve
from holdfast.fairness.cards import MetricCard
from holdfast.fairness.inference import Inference, Measured, Units, partition_test
from holdfast.fairness.inference.permutation import Alternative
from holdfast.fairness.language.access import EncodingAccess
from holdfast.fairness.metric import Needs

PUBLISHED = "p-value as published, which takes the sentences of one word for independent"
POOLINGS = ("cls", "first", "last", "mean")


@dataclass(frozen=True, kw_only=True)
class SEAT:
    """The sentence encoder association test.

    Args:
        stimuli: File of word sets, in any layout that `holdfast.data.benchmarks.read_weat` reads.
        pooling: How a sentence becomes one vector: "cls", "first", "last" or "mean". It changes results, so it stands in the variant.
        tests: Names of the tests to run; None for all of the file.
        kinds: The kind of words that the built-in list sorts wrongly, such as ``{"flat": "adjective"}``.
        variant: Which standard deviation, over all target sentences, divides.
        alternative: "greater" as published, "less" or "two-sided".
        out_of_vocabulary: What becomes of words of which the model knows no piece: "warn", "refuse" or "balance".
        most_missing: Share of a set that may be missing, in [0, 1); a test above it has no number.

    Raises:
        InputError: For an option that there is none of.

    References:
        May et al. 2019, "On measuring social biases in sentence encoders".
    """

    stimuli: str | Path
    pooling: str = "mean"
    tests: Sequence[str] | None = None
    kinds: Mapping[str, Kind] = field(default_factory=dict)
    variant: Variant = "joint, ddof=1"
    alternative: Alternative = "greater"
    out_of_vocabulary: OutOfVocabulary = "warn"
    most_missing: float = 0.2

    card: ClassVar[MetricCard] = MetricCard(
        name="seat",
        title="Sentence encoder association test (after May et al. 2019)",
        notion="stereotyping, as association of sentence encodings",
        groups="those that the target words stand for, such as men and women by first names of the United States",
        source_text="templates that say little, each around one word",
        level="embedding",
        kind="intrinsic",
        unit="standard deviations",
        ideal=0.0,
        direction="neither",
        criticism=(
            *INTRINSIC,
            "The published figures of BERT were made of lower-cased text and of the first word's vector, not of [CLS] "
            "(W4ngatang/sent-bias#1).",
            "The published p-value shuffles sentences, although those of one word say the same thing; it is far too small.",
        ),
        harms="People whose group stands near demeaning words may be ranked or matched with them by whatever uses the encoder.",
        reference="May, Wang, Bordia, Bowman and Rudinger 2019, NAACL, arXiv 1903.10561",
    )
    needs: ClassVar[Needs] = "encoder"

    def __post_init__(self) -> None:
        choices = {"variant": (self.variant, get_args(Variant)), "pooling": (self.pooling, POOLINGS)}
        checked_options(
            "seat",
            alternative=self.alternative,
            out_of_vocabulary=self.out_of_vocabulary,
            most_missing=self.most_missing,
            choices=choices,
        )
        for word in self.kinds:
            kind_of(word, self.kinds)

    def measure(self, given: EncodingAccess, *, subject: str, inference: Inference) -> Evidence:
        """Runs the tests on an encoder.

        Args:
            given: The encoder.
            subject: The run that the numbers speak of.
            inference: How intervals and tests are made.
        """
        asked = chosen_tests(self.stimuli, self.tests)
        words = tuple(dict.fromkeys(word for sets in asked for word in sets.targets + sets.attributes))
        known = known_words(given, words)
        resolved = [
            resolve(
                sets,
                lambda word: word if word in known else None,
                out_of_vocabulary=self.out_of_vocabulary,
                most_missing=self.most_missing,
            )
            for sets in asked
        ]
        said = {word: bleached(word, kinds=self.kinds) for word in words if word in known}
        encoded = encoded_sentences(given, [text for sentences in said.values() for text in sentences], pooling=self.pooling)
        found = [self._rows(one, encoded, said, given.name, inference) for one in resolved]
        method = "difference of the mean associations of two sets of sentences, in standard deviations over sentences; by cosine"
        rows, published = [row for row, _ in found], [row for _, row in found if row is not None]
        estimates = family(rows, card=self.card, name="seat_effect_size", subject=subject, inference=inference, method=method)
        estimates += published_p(published, card=self.card, name="seat_published_p", subject=subject, method=PUBLISHED)
        notes = [note for one in resolved if (note := one.note) is not None]
        strange = foreign(resolved)
        return Evidence(estimates=estimates, notes=(REMARK, BOTH, *notes, *([strange] if strange else [])))

    def _rows(
        self,
        resolved: Resolved,
        encoded: Mapping[str, Floats],
        said: Mapping[str, Sequence[str]],
        encoder: str,
        inference: Inference,
    ) -> tuple[Row, Row | None]:
        told: dict[str, Condition] = {**described(resolved), "variant": f"{self.variant}; {self.pooling} pooling", "encoder": encoder}
        if resolved.refused is not None:
            return Row(Measured(value=None, missing=resolved.refused), told), None
        sets = resolved.sets
        cosines = sentence_cosines(encoded, said, sets)
        streams = inference.streams(self.card.name).child(f"of {sets.of}:")
        found = associate(cosines, inference=inference, streams=streams, variant=self.variant, alternative=self.alternative)
        counts = {"target_sentences": len(cosines.first), "attribute_sentences": len(cosines.near)}
        row = Row(found.measured(alternative=self.alternative, sizes=sizes(sets)), told | counts | found_conditions(found))
        return row, Row(self._published(cosines, inference, streams), told)

    def _published(self, cosines: Cosines, inference: Inference, streams: Streams) -> Measured:
        """The p-value as published: sentences move one by one."""
        tested = partition_test(
            cosines.scores,
            cosines.first,
            inference=inference,
            generator=streams.generator("partitions of sentences"),
            alternative=self.alternative,
        )
        test = f"{tested.test}, single sentences move"
        return Measured(value=tested.p_value, test=test, units=len(cosines.first), resampled="sentences")


def encoded_sentences(encoder: EncodingAccess, sentences: Iterable[str], *, pooling: str) -> dict[str, Floats]:
    """The vector of each sentence, of length 1, each encoded once.

    Raises:
        InputError: For a vector of zeros, by its sentence.
    """
    texts = tuple(dict.fromkeys(sentences))
    if not texts:
        return {}
    return dict(zip(texts, unit_vectors(np.asarray(encoder.encode(texts, pooling=pooling), dtype=np.float64), texts), strict=True))


def sentence_cosines(encoded: Mapping[str, Floats], said: Mapping[str, Sequence[str]], sets: Sets) -> Cosines:
    """The cosines of one test between sentences, with the words that they hold as units.

    Args:
        encoded: The vector of each sentence, of length 1.
        said: The sentences of each word.
        sets: The test.
    """
    rows, units = zip(*(_rows(encoded, said, one) for one in sets.all), strict=True)
    targets, attributes = np.concatenate(units[:2]), np.concatenate(units[2:])
    targets[len(units[0]) :] += len(sets.x.words)
    attributes[len(units[2]) :] += len(sets.a.words)
    return Cosines(
        matrix=np.concatenate(rows[:2]) @ np.concatenate(rows[2:]).T,
        first=np.arange(len(targets)) < len(units[0]),
        near=np.arange(len(attributes)) < len(units[2]),
        targets=Units(targets, len(sets.targets), "target words"),
        attributes=Units(attributes, len(sets.attributes), "attribute words"),
        target_words=sets.targets,
        attribute_words=sets.attributes,
    )


def _rows(encoded: Mapping[str, Floats], said: Mapping[str, Sequence[str]], one: WordSet) -> tuple[Floats, NDArray[np.int64]]:
    vectors = np.array([encoded[text] for word in one.words for text in said[word]])
    return vectors, np.repeat(np.arange(len(one.words)), [len(said[word]) for word in one.words])
