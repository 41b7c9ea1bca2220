"""The cards of the five ways of scoring CrowS-Pairs."""

from __future__ import annotations

from holdfast.fairness.cards import MetricCard

CRITICISM = (
    "Blodgett et al. 2021 found that many pairs have no clear construct behind them, or two sentences that are no counterparts.",
    "The authors' own page now warns that the set may not indicate whether a model is biased.",
    "Goldfarb-Tarrant et al. 2021 found no reliable correlation of intrinsic measures with what a system does.",
    "The stereotypes are those of crowd workers in the United States, in English, and nine categories are all that is asked about.",
    "Scores of different scorers under the one name CrowS-Pairs are different numbers; this is one of them.",
)


def _card(variant: str, title: str, reference: str, *criticism: str) -> MetricCard:
    return MetricCard(
        name=f"crows-pairs-{variant}",
        title=f"CrowS-Pairs, {title}",
        notion="stereotyping",
        groups="historically disadvantaged groups of the United States and others, in nine categories",
        source_text="crowdsourced sentence pairs (CrowS-Pairs)",
        level="language model",
        kind="intrinsic",
        unit="points",
        ideal=50.0,
        direction="neither",
        criticism=(*criticism, *CRITICISM),
        harms="People of stereotyped groups, whom a model far above 50 describes by the stereotype where it has a choice.",
        reference=reference,
    )


NANGIA = _card(
    "nangia",
    "words that both sentences share, each hidden alone (after Nangia et al. 2020)",
    "Nangia et al. 2020, CrowS-Pairs: a challenge dataset for measuring social biases in masked language models",
    "Kaneko and Bollegala 2022: some models predict hidden pieces badly, and frequent words were hidden more often in training.",
)
MEADE = _card(
    "meade",
    "words that differ, each hidden alone (after Meade et al. 2022)",
    "Meade et al. 2022, An empirical survey of the effectiveness of debiasing techniques for pre-trained language models",
    "A word that is frequent wins whatever the rest of the sentence says: the reason why Nangia et al. score the shared words.",
)
CAUSAL = _card(
    "causal",
    "log-likelihood of the sentence under a causal model",
    "EleutherAI, Language Model Evaluation Harness, task crows_pairs",
    "The longer sentence of a pair is less likely whatever it says.",
)
CAUSAL_NORM = _card(
    "causal-norm",
    "log-likelihood of the sentence by piece, under a causal model",
    "Meade et al. 2022, An empirical survey of the effectiveness of debiasing techniques for pre-trained language models",
    "A rare word that is cut into many easy pieces looks likely.",
)
AUL = _card(
    "aul",
    "all words with nothing hidden (after Kaneko and Bollegala 2022)",
    "Kaneko and Bollegala 2022, Unmasking the mask: evaluating social biases in masked language models",
    "Probabilities of pieces that a model sees are near 1 and were never trained for.",
)
