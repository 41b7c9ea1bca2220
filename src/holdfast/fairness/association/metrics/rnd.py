"""RND: whether attribute words stand nearer to the mean vector of one group of words than to that of another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from holdfast.core.evidence import Condition, Evidence
from holdfast.fairness.association.effect import unit_vectors
from holdfast.fairness.association.metrics.family import INTRINSIC, REMARK, Row, checked_options, chosen_tests, described, family
from holdfast.fairness.association.norms import Products, norm_interval, partition_norms, relative_norm_distance
from holdfast.fairness.association.sets import OutOfVocabulary, Resolved, WordSet, foreign, resolve
from holdfast.fairness.association.vectors import WordVectors
from holdfast.fairness.cards import MetricCard
from holdfast.fairness.inference import Inference, Measured, equivalence
from holdfast.fairness.inference.permutation import Alternative
from holdfast.fairness.metric import Needs


@dataclass(frozen=True, kw_only=True)
class RND:
    """The relative norm distance: one number for the attribute words A and one for B, of each test.

    Args:
        stimuli: File of word sets, in any layout that `holdfast.data.benchmarks.read_weat` reads; X and Y are the groups.
        tests: Names of the tests to run; None for all of the file.
        alternative: "two-sided", or "less" where the attribute words are suspected to stand nearer to X.
        out_of_vocabulary: What becomes of words without a vector: "warn", "refuse" or "balance".
        most_missing: Share of a set that may be missing, in [0, 1); a test above it has no number.

    Raises:
        InputError: For an option that there is none of.

    References:
        Garg et al. 2018, "Word embeddings quantify 100 years of gender and ethnic stereotypes".
    """

    stimuli: str | Path
    tests: Sequence[str] | None = None
    alternative: Alternative = "two-sided"
    out_of_vocabulary: OutOfVocabulary = "warn"
    most_missing: float = 0.2

    card: ClassVar[MetricCard] = MetricCard(
        name="rnd",
        title="Relative norm distance (after Garg et al. 2018)",
        notion="stereotyping, as distance of word vectors",
        groups="those that the target words stand for, such as men and women by first names of the United States",
        source_text="the text that the vectors were made of",
        level="embedding",
        kind="intrinsic",
        unit="lengths of a unit vector",
        ideal=0.0,
        direction="neither",
        criticism=(*INTRINSIC, "The size depends on the number and spread of the words of a group; compare within one list only."),
        harms="People whose group stands near demeaning words may be ranked, matched or completed with them by whatever uses the vectors.",
        reference="Garg, Schiebinger, Jurafsky and Zou 2018, PNAS 115(16)",
    )
    needs: ClassVar[Needs] = "vectors"

    def __post_init__(self) -> None:
        checked_options("rnd", alternative=self.alternative, out_of_vocabulary=self.out_of_vocabulary, most_missing=self.most_missing)

    def words(self) -> frozenset[str]:
        """All words that the tests ask for."""
        return frozenset(word for sets in chosen_tests(self.stimuli, self.tests) for word in sets.targets + sets.attributes)

    def measure(self, given: WordVectors, *, subject: str, inference: Inference) -> Evidence:
        """Measures on word vectors.

        Args:
            given: The vectors.
            subject: The run that the numbers speak of.
            inference: How intervals and tests are made.
        """
        asked = chosen_tests(self.stimuli, self.tests)
        resolved = [resolve(sets, given.find, out_of_vocabulary=self.out_of_vocabulary, most_missing=self.most_missing) for sets in asked]
        rows = [self._row(one, side, given, inference) for one in resolved for side in ("a", "b")]
        estimates = family(
            rows,
            card=self.card,
            name="relative_norm_distance",
            subject=subject,
            inference=inference,
            method="mean distance of attribute words to the mean of X, less that to the mean of Y, vectors at length 1",
        )
        notes = [note for one in resolved if (note := one.note) is not None]
        strange = foreign(resolved)
        return Evidence(estimates=estimates, notes=(REMARK, *notes, *([strange] if strange else [])))

    def _row(self, resolved: Resolved, side: str, given: WordVectors, inference: Inference) -> Row:
        sets = resolved.sets
        attributes: WordSet = {"a": sets.a, "b": sets.b}[side]
        told: dict[str, Condition] = {**described(resolved), "attribute": attributes.name, "variant": "mean over words, unit vectors"}
        told |= {"vectors": given.name, "vectors_sha256": given.sha256 or "no file", "case": given.case}
        if resolved.refused is not None:
            return Row(Measured(value=None, missing=resolved.refused), told)
        unit = [unit_vectors(given.vectors(one.words), one.words) for one in (sets.x, sets.y, attributes)]
        products = Products.of_vectors(*unit)
        streams = inference.streams(self.card.name).child(f"of {sets.of}, {side}:")
        tested = partition_norms(products, inference=inference, generator=streams.generator("partitions"), alternative=self.alternative)
        ends, closer = (
            norm_interval(products, level=level, replicates=inference.replicates, generator=streams.generator("words drawn anew"))
            for level in (inference.level, max(1e-6, 2 * inference.level - 1))
        )
        measured = Measured(
            value=relative_norm_distance(products),
            low=ends.low,
            high=ends.high,
            interval=ends.method,
            p_value=tested.p_value,
            test=f"{tested.test}, {self.alternative}, words of the groups move",
            verdict=None if inference.margin is None else equivalence(closer.low, closer.high, margin=inference.margin),
            units=len(sets.targets),
            resampled="words",
            sizes={one.name: len(one.words) for one in (sets.x, sets.y, attributes)},
        )
        return Row(measured, told)
