"""What is known of examples by their words alone, as numbers: features for `quantile_regression` without a network."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import chain

import numpy as np

from holdfast.audit.intervals import Floats
from holdfast.core.errors import InputError
from holdfast.core.randomness import Streams
from holdfast.data.dataset import Dataset

COUNTED = 4
"""Columns that are counted: length, mean and least frequency of the words, share of unseen words."""

FEWEST = 2
"""Examples to fit on, words to decompose, and fitted utterances with a word that moves a direction, at least."""

Texts = Sequence[tuple[str, ...]]


def text_features(data: Dataset, *, fitted_on: Dataset, width: int) -> Floats:
    """Features of utterances by their words: four that are counted, then the directions in which utterances differ most.

    How hard an utterance is for a model follows in good part from its length, from how rare its words are and from what it is
    about. So `quantile_regression` can learn from these what signal a non-member has, without a network or a second model.

    Args:
        data: The examples, n of them; labels and tags are not looked at.
        fitted_on: What words and directions are learnt from: the known non-members whose rows `quantile_regression` is fitted
            on, or other text like them. At least 2 examples; none of them should be audited.
        width: Columns, at least 5.

    Returns:
        (n, width), finite. Column 0: logarithm of 1 + the number of words. Columns 1 and 2: mean and least logarithm of 1 + how
        many other utterances of `fitted_on` have the word. Column 3: share of words that none of them has. The rest: TF-IDF of
        the words, without capitals, in the leading directions of its truncated singular value decomposition.

    Raises:
        InputError: For a width below 5 or too few examples to fit.

    Guarantee:
        A row depends on its own words and on `fitted_on` alone, and the same call gives the same numbers.

    Edge cases:
        An utterance that stands in `fitted_on` itself is counted without its own copies, so that rows to be fitted are not rich in
        known words where rows to be audited are poor. A word of one fitted utterance only moves no direction, for the same
        reason. Where there are fewer directions than columns, the columns behind are 0.

    References:
        Bertran et al. 2023, arXiv 2307.03694, ask a pretrained encoder instead. Latent semantic analysis: Deerwester et al. 1990.

    >>> from holdfast.data import Example
    >>> texts = [("play", "jazz"), ("stop",), ("play", "it", "again")]
    >>> data = Dataset.from_examples([Example(tokens=text) for text in texts], name="tiny", split="train")
    >>> text_features(data, fitted_on=data, width=6)[:, :2].round(2)
    array([[1.1 , 0.35],
           [0.69, 0.  ],
           [1.39, 0.23]])
    """
    if isinstance(width, bool) or not isinstance(width, int) or width <= COUNTED:
        raise InputError(f"width is {width!r}; give an integer > {COUNTED}, because {COUNTED} columns are counted, such as 32")
    if len(fitted_on) < FEWEST:
        raise InputError(f"fitted_on holds {len(fitted_on)} examples; give the non-members that are fitted on, at least {FEWEST}")
    known, asked = _lowered(fitted_on), _lowered(data)
    features = np.zeros((len(asked), width))
    if asked:
        utterances = Counter(chain.from_iterable(map(set, known)))  # how many have each word
        features[:, :COUNTED] = _counted(asked, utterances, Counter(known))
        directions = _directions(asked, known, sorted(word for word, count in utterances.items() if count >= FEWEST), width - COUNTED)
        features[:, COUNTED : COUNTED + directions.shape[1]] = directions
    return features


def _lowered(data: Dataset) -> Texts:
    return [tuple(word.lower() for word in words) for words in data.tokens()]


def _counted(asked: Texts, utterances: Counter[str], copies: Counter[tuple[str, ...]]) -> Floats:
    """Length, mean and least log-frequency, share of unseen words, (n, COUNTED); every utterance has a word."""
    lengths = np.array([len(words) for words in asked])
    others = np.array([utterances[word] - copies[words] for words in asked for word in words], dtype=np.float64)
    starts = np.cumsum(lengths) - lengths
    mean, unseen = (np.add.reduceat(values, starts) / lengths for values in (np.log1p(others), (others == 0).astype(np.float64)))
    return np.stack([np.log1p(lengths), mean, np.minimum.reduceat(np.log1p(others), starts), unseen], axis=1)


def _directions(asked: Texts, known: Texts, words: list[str], most: int) -> Floats:
    """TF-IDF of these words in at most so many leading directions of the known texts; none where there are too few words."""
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import TfidfVectorizer

    if len(words) < FEWEST:
        return np.zeros((len(asked), 0))
    weights = TfidfVectorizer(analyzer=list, vocabulary=words)  # utterances are words already
    fitted = weights.fit_transform(known)
    seed = Streams(0).integer("audit text features") % 2**32
    decomposition = TruncatedSVD(min(most, *fitted.shape), random_state=seed)
    with np.errstate(divide="ignore", invalid="ignore"):  # shares of the variance, which nobody reads, where all texts are alike
        decomposition.fit(fitted)
    return np.asarray(decomposition.transform(weights.transform(asked)), dtype=np.float64)
