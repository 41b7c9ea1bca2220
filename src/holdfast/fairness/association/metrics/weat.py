"""WEAT: whether two sets of target words differ in how near their vectors stand to two sets of attribute words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, get_args

from holdfast.core.evidence import Condition, Evidence
from holdfast.fairness.association.associations import associate
from holdfast.fairness.association.effect import TOOLS, Cosines, Variant
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
    sizes,
)
from holdfast.fairness.association.sets import OutOfVocabulary, Resolved, Sets, foreign, resolve
from holdfast.fairness.association.vectors import WordVectors
from holdfast.fairness.cards import MetricCard
from holdfast.fairness.inference import Inference, Measured
from holdfast.fairness.inference.permutation import Alternative
from holdfast.fairness.metric import Needs


@dataclass(frozen=True, kw_only=True)
class WEAT:
    """The word embedding association test.

    Args:
        stimuli: File of word sets, in any layout that `holdfast.data.benchmarks.read_weat` reads.
        tests: Names of the tests to run, such as ("WEAT6",); None for all of the file.
        variant: Which standard deviation divides: "joint, ddof=1" is the published one.
        alternative: "greater" as published, "less" or "two-sided".
        out_of_vocabulary: What becomes of words without a vector: "warn", "refuse" or "balance".
        most_missing: Share of a set that may be missing, in [0, 1); a test above it has no number.

    Raises:
        InputError: For an option that there is none of.

    References:
        Caliskan, Bryson and Narayanan 2017, Science 356, table 1.
    """

    stimuli: str | Path
    tests: Sequence[str] | None = None
    variant: Variant = "joint, ddof=1"
    alternative: Alternative = "greater"
    out_of_vocabulary: OutOfVocabulary = "warn"
    most_missing: float = 0.2

    card: ClassVar[MetricCard] = MetricCard(
        name="weat",
        title="Word embedding association test (after Caliskan et al. 2017)",
        notion="stereotyping, as association of word vectors",
        groups="those that the target words stand for, such as men and women by first names of the United States",
        source_text="the text that the vectors were made of",
        level="embedding",
        kind="intrinsic",
        unit="standard deviations",
        ideal=0.0,
        direction="neither",
        criticism=(
            *INTRINSIC,
            "Ethayarajh, Duvenaud and Hirst 2019 argue that WEAT systematically overestimates associations.",
        ),
        harms="People whose group stands near demeaning words may be ranked, matched or completed with them by whatever uses the vectors.",
        reference="Caliskan, Bryson and Narayanan 2017, Science 356:183-186",
    )
    needs: ClassVar[Needs] = "vectors"

    def __post_init__(self) -> None:
        checked_options(
            "weat",
            alternative=self.alternative,
            out_of_vocabulary=self.out_of_vocabulary,
            most_missing=self.most_missing,
            choices={"variant": (self.variant, get_args(Variant))},
        )

    def words(self) -> frozenset[str]:
        """All words that the tests ask for, so that no more of a large file of vectors needs to be kept."""
        return frozenset(word for sets in chosen_tests(self.stimuli, self.tests) for word in sets.targets + sets.attributes)

    def measure(self, given: WordVectors, *, subject: str, inference: Inference) -> Evidence:
        """Runs the tests on word vectors.

        Args:
            given: The vectors.
            subject: The run that the numbers speak of.
            inference: How intervals and tests are made.
        """
        asked = chosen_tests(self.stimuli, self.tests)
        resolved = [resolve(sets, given.find, out_of_vocabulary=self.out_of_vocabulary, most_missing=self.most_missing) for sets in asked]
        rows = [self._row(one, given, inference) for one in resolved]
        estimates = family(
            rows,
            card=self.card,
            name="weat_effect_size",
            subject=subject,
            inference=inference,
            method="difference of the mean associations of two sets of words, in standard deviations; associations by cosine",
        )
        notes = [note for one in resolved if (note := one.note) is not None]
        strange = foreign(resolved)
        return Evidence(estimates=estimates, notes=(REMARK, BOTH, *notes, *([strange] if strange else [])))

    def _row(self, resolved: Resolved, given: WordVectors, inference: Inference) -> Row:
        told: dict[str, Condition] = {**described(resolved), "variant": self.variant, "met_in": TOOLS[self.variant]}
        told |= {"vectors": given.name, "vectors_sha256": given.sha256 or "no file", "case": given.case}
        if resolved.refused is not None:
            return Row(Measured(value=None, missing=resolved.refused), told)
        cosines = word_cosines(given, resolved.sets)
        streams = inference.streams(self.card.name).child(f"of {resolved.sets.of}:")
        found = associate(cosines, inference=inference, streams=streams, variant=self.variant, alternative=self.alternative)
        return Row(found.measured(alternative=self.alternative, sizes=sizes(resolved.sets)), told | found_conditions(found))


def word_cosines(vectors: WordVectors, sets: Sets) -> Cosines:
    """The cosines of one test.

    Raises:
        InputError: For a word without a vector, or with a vector of zeros.
    """
    words = tuple(one.words for one in sets.all)
    x, y, a, b = (vectors.vectors(one) for one in words)
    return Cosines.of_words(x, y, a, b, words=words)
