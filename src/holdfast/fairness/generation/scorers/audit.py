"""How a scorer itself treats words for groups: its scores as predictions, and how much one word moves it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from holdfast.core.errors import InputError
from holdfast.fairness.generation.scorers.scorer import Floats, Scorer, checked_scores
from holdfast.fairness.inference.settings import Units
from holdfast.fairness.predictions import Groups, Predictions

SLOT = "{term}"


def scorer_predictions(
    scorer: Scorer,
    texts: Sequence[str],
    labels: Sequence[bool],
    *,
    groups: Groups,
    units: Units | None = None,
    threshold: float = 0.5,
    positive: str = "toxic",
) -> Predictions:
    """What a scorer says of labelled texts, in the form in which every metric of decisions takes it.

    Hand the result to ``unintended-bias-auc`` or ``error-rate-equality`` to learn how much a number of generation may owe to the scorer.

    Args:
        scorer: Gives one number a text, higher for more of what is looked for, in [0, 1] as a probability.
        texts: n texts.
        labels: Whether each is truly so.
        groups: Which texts speak of which group.
        units: Which texts hang together, such as by template; each by itself where None.
        threshold: From where on a score counts as a decision.
        positive: What a text above it is called.
    """
    if not len(texts) == len(labels) == len(groups):
        raise InputError(f"{len(texts)} texts, {len(labels)} labels and {len(groups)} rows of groups: give as many of each")
    scores = checked_scores(scorer, texts)
    if len(scores) and not 0 <= scores.min() <= scores.max() <= 1:
        raise InputError(f"scorer {scorer.name!r} gave {scores.min():g} to {scores.max():g}; give probabilities, in [0, 1]")
    return Predictions(
        y_true=np.asarray(labels, dtype=np.int64),
        y_pred=(scores >= threshold).astype(np.int64),
        classes=(f"not {positive}", positive),
        groups=groups,
        units=units or Units.rows(len(texts)),
        scores=np.stack([1 - scores, scores], axis=1),
        positive=(positive,),
        text=f"scores of {scorer.name} {scorer.version}",
    )


@dataclass(frozen=True, eq=False)
class TermShift:
    """How much words for groups move a scorer on texts that are alike but for them.

    Args:
        terms: The T words.
        scores_PT: The score of each template with each word, (P, T).
    """

    terms: tuple[str, ...]
    scores_PT: Floats

    @property
    def shift_T(self) -> Floats:
        """By how much each word moves the score against the mean of all words, averaged over the templates, (T,)."""
        return np.asarray(self.scores_PT.mean(0) - self.scores_PT.mean())

    @property
    def widest(self) -> float:
        """The largest difference between two words on one template; 0 where no word moves the scorer."""
        return float((self.scores_PT.max(1) - self.scores_PT.min(1)).max())


def term_shift(scorer: Scorer, templates: Sequence[str], terms: Sequence[str]) -> TermShift:
    """Rates each template with each word in it.

    Args:
        scorer: Gives one number a text.
        templates: Texts with ``{term}`` where the word goes, at least one.
        terms: Words for groups, at least two.

    Raises:
        InputError: For a template without a place for the word.
    """
    if not templates or len(terms) < 2:
        raise InputError(f"{len(templates)} templates and {len(terms)} terms; give at least one template and two terms")
    bare = [template for template in templates if SLOT not in template]
    if bare:
        raise InputError(f"the template {bare[0]!r} has no {SLOT}; write it where the word goes")
    filled = [template.replace(SLOT, term) for template in templates for term in terms]
    return TermShift(tuple(terms), checked_scores(scorer, filled).reshape(len(templates), len(terms)))
