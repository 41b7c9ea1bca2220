"""CEAT: association of words in the contexts of a text, as published and with a test that keeps words as units."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, get_args

import numpy as np

from holdfast.core.errors import InputError
from holdfast.core.evidence import Condition, Evidence
from holdfast.core.randomness import Streams
from holdfast.fairness.association.contexts import Context, read_contexts
from holdfast.fairness.association.contextual import Combined, Sampled, Variance, averaged, sampled
from holdfast.fairness.association.effect import Cosines, Floats, unit_vectors
from holdfast.fairness.association.metrics.family import (
    BOTH,
    INTRINSIC,
    REMARK,
    Row,
    checked_options,
    chosen_tests,
    described,
    family,
    known_words,
    published_p,
    sizes,
)
from holdfast.fairness.association.sets import OutOfVocabulary, Resolved, foreign, resolve
from holdfast.fairness.cards import MetricCard
from holdfast.fairness.inference import Inference, Measured, equivalence, partition_test
from holdfast.fairness.inference.permutation import Alternative
from holdfast.fairness.language.access import EncodingAccess
from holdfast.fairness.metric import Needs

PUBLISHED = (
    "p-value as published, two-tailed: it takes draws over the same few words for independent studies, and rejects in about nine worlds of "
    "ten in which there is no association"
)
POOLINGS = ("first", "last", "mean")


@dataclass(frozen=True, kw_only=True)
class CEAT:
    """The contextualised embedding association test.

    Args:
        stimuli: File of word sets, in any layout that `holdfast.data.benchmarks.read_weat` reads.
        text: Text file, plain or gzipped, whose sentences are the contexts.
        pooling: How the pieces of a word in its context become one vector: "first", "last" or "mean".
        tests: Names of the tests to run; None for all of the file.
        variance: What weighs the effect size of a draw: "paper" or "hedges".
        samples: N, how often one context is drawn for each word, at least 10; the paper has 10,000.
        most_contexts: Contexts of a word that are encoded at most, at least 1.
        longest_context: Sentences of more characters are passed over, at least 20; lower it for a model that reads short texts only.
        alternative: "greater", "less" or "two-sided", of the permutation test.
        out_of_vocabulary: What becomes of words that the text does not hold or the model does not know: "warn", "refuse" or "balance".
        most_missing: Share of a set that may be missing, in [0, 1); a test above it has no number.

    Raises:
        InputError: For an option that there is none of.

    References:
        Guo and Caliskan 2021, "Detecting emergent intersectional biases".
    """

    stimuli: str | Path
    text: str | Path
    pooling: str = "mean"
    tests: Sequence[str] | None = None
    variance: Variance = "paper"
    samples: int = 1000
    most_contexts: int = 200
    longest_context: int = 1000
    alternative: Alternative = "greater"
    out_of_vocabulary: OutOfVocabulary = "warn"
    most_missing: float = 0.2

    card: ClassVar[MetricCard] = MetricCard(
        name="ceat",
        title="Contextualised embedding association test (after Guo and Caliskan 2021)",
        notion="stereotyping, as association of words in context",
        groups="those that the target words stand for, intersectional ones among them",
        source_text="the text that the contexts are taken from",
        level="embedding",
        kind="intrinsic",
        unit="standard deviations",
        ideal=0.0,
        direction="neither",
        criticism=(
            *INTRINSIC,
            "The published p-value rejects in about nine of ten worlds without any association, because draws share their words and the "
            "variance that is combined is that of scores; the paper's text is two-tailed and its code one-tailed.",
        ),
        harms="People whose group stands near demeaning words in context may be described with them by whatever uses the encoder.",
        reference="Guo and Caliskan 2021, AIES, arXiv 2006.03955",
    )
    needs: ClassVar[Needs] = "encoder"

    def __post_init__(self) -> None:
        checked_options(
            "ceat",
            alternative=self.alternative,
            out_of_vocabulary=self.out_of_vocabulary,
            most_missing=self.most_missing,
            choices={"variance": (self.variance, get_args(Variance)), "pooling": (self.pooling, POOLINGS)},
        )
        counts = {"samples": (self.samples, 10), "most_contexts": (self.most_contexts, 1), "longest_context": (self.longest_context, 20)}
        for name, (count, least) in counts.items():
            if count < least:
                raise InputError(f"ceat: {name} {count} is below {least}; give a whole number of at least {least}")

    def measure(self, given: EncodingAccess, *, subject: str, inference: Inference) -> Evidence:
        """Runs the tests on an encoder.

        Args:
            given: The encoder.
            subject: The run that the numbers speak of.
            inference: How intervals and tests are made.
        """
        asked = chosen_tests(self.stimuli, self.tests)
        words = sorted({word for sets in asked for word in sets.targets + sets.attributes})
        known, streams = known_words(given, words), inference.streams(self.card.name)
        contexts = read_contexts(self.text, known, most=self.most_contexts, streams=streams, longest=self.longest_context)
        resolved = [
            resolve(
                sets,
                lambda word: word if contexts.get(word) else None,
                out_of_vocabulary=self.out_of_vocabulary,
                most_missing=self.most_missing,
            )
            for sets in asked
        ]
        wanted = {word for one in resolved if one.refused is None for word in one.sets.targets + one.sets.attributes}
        vectors = encoded_contexts(given, {word: contexts[word] for word in sorted(wanted)}, pooling=self.pooling)
        found = [self._rows(one, vectors, given.name, inference) for one in resolved]
        method = "effect sizes over draws of one context for each word, combined by random effects; the test is on context-averaged words"
        rows = [row for row, _ in found]
        estimates = family(rows, card=self.card, name="ceat_effect_size", subject=subject, inference=inference, method=method)
        published = [row for _, row in found if row is not None]
        estimates += published_p(published, card=self.card, name="ceat_published_p", subject=subject, method=PUBLISHED)
        notes = [note for one in resolved if (note := one.note) is not None]
        strange = foreign(resolved)
        return Evidence(estimates=estimates, notes=(REMARK, BOTH, *notes, *([strange] if strange else [])))

    def _rows(self, resolved: Resolved, vectors: Mapping[str, Floats], encoder: str, inference: Inference) -> tuple[Row, Row | None]:
        sets = resolved.sets
        told: dict[str, Condition] = {**described(resolved), "encoder": encoder, "source_text": Path(self.text).name}
        told["variant"] = f"variance: {self.variance}; {self.pooling} pooling"
        if resolved.refused is not None:
            return Row(Measured(value=None, missing=resolved.refused), told), None
        streams = inference.streams(self.card.name).child(f"of {sets.of}:")
        contexts = [[vectors[word] for word in one.words] for one in sets.all]
        drawn = sampled(contexts, samples=self.samples, generator=streams.generator("contexts"))
        combined = drawn.combined(variance=self.variance)
        if combined is None:
            return Row(Measured(value=None, missing="all target words have the same association in every draw"), told), None
        measured = self._measured(combined, drawn, averaged(contexts, words=tuple(one.words for one in sets.all)), inference, streams)
        row = Row(replace(measured, sizes=sizes(sets)), told | _meta(combined, contexts))
        return row, Row(_published(combined), told | {"one_tailed": combined.one_tailed})

    def _measured(self, combined: Combined, drawn: Sampled, cosines: Cosines, inference: Inference, streams: Streams) -> Measured:
        tested = partition_test(
            cosines.scores,
            cosines.first,
            inference=inference,
            generator=streams.generator("partitions"),
            alternative=self.alternative,
        )
        ends = drawn.interval(variance=self.variance, level=inference.level)
        verdict = None
        if inference.margin is not None:
            closer = drawn.interval(variance=self.variance, level=max(1e-6, 2 * inference.level - 1))
            verdict = equivalence(closer.low, closer.high, margin=inference.margin)
        return Measured(
            value=combined.effect,
            low=ends.low,
            high=ends.high,
            interval=ends.method,
            p_value=tested.p_value,
            test=f"{tested.test} of context-averaged words, {self.alternative}",
            verdict=verdict,
            units=len(cosines.first),
            resampled="words",
        )


def encoded_contexts(encoder: EncodingAccess, contexts: Mapping[str, Sequence[Context]], *, pooling: str) -> dict[str, Floats]:
    """The vectors of each word in its contexts, (contexts, D), of length 1; a word without a context is left out.

    Raises:
        InputError: For a vector of zeros, by its word.
    """
    held = [(word, context) for word, some in contexts.items() for context in some]
    if not held:
        return {}
    spans = [(context.start, context.end) for _, context in held]
    raw = np.asarray(encoder.encode_within([context.text for _, context in held], spans, pooling=pooling), dtype=np.float64)
    unit = unit_vectors(raw, tuple(word for word, _ in held))
    ends = np.cumsum([len(some) for some in contexts.values()])
    return {word: part for word, part in zip(contexts, np.split(unit, ends[:-1]), strict=True) if len(part)}


def _meta(combined: Combined, contexts: Sequence[Sequence[Floats]]) -> dict[str, Condition]:
    counts = [len(one) for part in contexts for one in part]
    return {
        "samples": combined.samples,
        "published_standard_error": combined.standard_error,
        "heterogeneity_q": combined.q,
        "between_samples_variance": combined.between,
        "contexts": sum(counts),
        "fewest_contexts_of_a_word": min(counts),
    }


def _published(combined: Combined) -> Measured:
    return Measured(value=combined.two_tailed, test="normal, two-tailed, as published", units=combined.samples, resampled="draws")
