"""What the summary of planted secrets does not show, in sentences made from the records."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from holdfast.report.reproductions.canary_extraction.grid import NULL, STATEMENT, is_defence
from holdfast.study.reproductions.canary_extraction.measured import Training


def notes_of(trainings: Sequence[Training]) -> Iterator[str]:
    """The notes of a summary.

    Args:
        trainings: All of the grid, at least one.
    """
    yield STATEMENT
    yield (
        "These are invented sentences that were planted on purpose, and the attacker knows all of them but the words that are asked for, "
        "the label and the tags, and has the model itself. A secret that somebody wrote by chance may be learnt less, or more."
    )
    yield (
        "Intervals speak of another draw of seeds and secrets with these data, this model and these settings, and of nothing else. "
        "Those of cells hold one by one, not all at once."
    )
    yield (
        "Accuracy depends on the search: a better search finds more of what the model gives away. Exposure needs no search where all fills "
        "are ranked, and only then is it the whole of what the loss tells."
    )
    yield (
        f"A secret that a model knows nothing of has a mean exposure of {NULL:.2f} bits. An exposure that cannot be told from this is no "
        "proof that nothing leaks: another attack may see more than the loss, and more trainings would see less."
    )
    if any(training.repetitions > 1 and training.defence.startswith("dp-") for training in trainings):
        yield (
            "The promise of DP-SGD is made to each example. A secret that stands in R examples is a group of R, for which R times the ε is "
            "promised, with a larger δ: at many repetitions this rules out little, whatever the attack finds."
        )
    tested = {training.defence for training in trainings if is_defence(training.defence)}
    if len(tested) > 1:
        yield (
            f"{len(tested)} defences are held against none and against a model that knows nothing. The p-values after Holm hold for all of "
            "them together; that of the combination, which was the question, is not among many and stands as it is."
        )
    yield (
        "Settings of the defences were chosen once and not tuned: a larger share of dropout, say, or other settings of DP-SGD may stop "
        "more, or cost less."
    )
