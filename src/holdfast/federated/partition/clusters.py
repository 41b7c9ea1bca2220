"""Feature skew for text without labels: clusters of sentences stand in for labels."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from holdfast.core.errors import InputError
from holdfast.data import Dataset
from holdfast.federated.partition.assignment import Partition
from holdfast.federated.partition.dirichlet import given_sizes, skewed
from holdfast.federated.partition.plain import make, streams_of
from holdfast.federated.partition.sizes import check_clients, check_concentration
from holdfast.federated.population.clients import first_appearance
from holdfast.models import checks

WIDTH = 128
"""Numbers that `hashed_words` makes of a sentence."""

Embedding = Callable[[list[list[str]]], NDArray[np.floating[Any]]]
"""Makes one row of numbers, (n, D), of each of n sentences, given as lists of words."""


def feature_clusters(
    dataset: Dataset, *, clients: int | None, seed: int, alpha: float = 1.0, clusters: int = 10, embed: Embedding | None = None
) -> Partition:
    """Skews the kind of text: clusters of sentence embeddings take the place of labels in `label_dirichlet`.

    Args:
        dataset: Any text.
        clients: C, from 1 to n.
        seed: Of the clusters and of all draws.
        alpha: Total concentration, > 0.
        clusters: K of k-means, from 2 to n.
        embed: What makes numbers of sentences; None for `hashed_words`, which needs no model.

    Raises:
        InputError: For a value out of its bounds, or an embedding that is not finite or not one row for each sentence.

    Guarantee:
        The same content, seed and embedding give the same partition on the same machine. Between machines, sums of another order
        can move a sentence that lies between two clusters; so save the partition rather than make it again.

    References:
        Lin et al. 2022 (FedNLP, arXiv 2104.08815), section 3.2, with Sentence-BERT embeddings.
    """
    count = check_clients("feature_clusters", len(dataset), clients)
    check_concentration("feature_clusters", "alpha", alpha)
    codes_n, found = cluster_codes(dataset, clusters=clusters, seed=seed, embed=embed)
    streams = streams_of("feature_clusters", seed)
    assignment_n = skewed(codes_n, found, given_sizes(len(dataset), count, None), alpha=alpha, streams=streams)
    embedding = "hashed_words" if embed is None else getattr(embed, "__name__", type(embed).__name__)
    return make("feature_clusters", dataset, assignment_n, count, seed, {"alpha": alpha, "clusters": clusters, "embedding": embedding})


def cluster_codes(dataset: Dataset, *, clusters: int, seed: int, embed: Embedding | None = None) -> tuple[NDArray[np.int64], int]:
    """The cluster of each sentence, as `feature_clusters` uses it, and how many clusters have a sentence.

    Args:
        dataset: Any text.
        clusters: K of k-means, from 2 to n.
        seed: Of its first centres.
        embed: As in `feature_clusters`.

    Returns:
        Numbers in the order of their first appearance, (n,), and how many there are; fewer than K where sentences are alike.

    Raises:
        InputError: As `feature_clusters`.
    """
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning

    checks.integer("feature_clusters", least=2, most=len(dataset), clusters=clusters)
    rows_ND = np.asarray((embed or hashed_words)(dataset.tokens()))
    if rows_ND.ndim != 2 or len(rows_ND) != len(dataset) or not np.isfinite(rows_ND).all():
        raise InputError(
            f"feature_clusters: embed gave {rows_ND.shape}, or numbers that are not finite; give ({len(dataset)}, D) finite ones"
        )
    start = streams_of("feature_clusters", seed).integer("centres") % 2**32
    model = KMeans(clusters, n_init=3, max_iter=50, random_state=start)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # fewer distinct sentences than clusters: said in the docstring
        codes_n = model.fit_predict(rows_ND)
    order, renumbered = first_appearance(codes_n.astype(np.int64), clusters)
    return renumbered, len(order)


def hashed_words(sentences: list[list[str]]) -> NDArray[np.float32]:
    """A public bag of words: each word, in lower case, is hashed to one of 128 places with a sign; then each row has length 1.

    Nothing is learned from the data or downloaded. Sentences that share words lie near each other; synonyms do not.

    Args:
        sentences: Lists of words.

    Returns:
        (n, 128); zeros for a sentence whose words cancel out.
    """
    from sklearn.feature_extraction import FeatureHasher

    if not sentences:
        return np.zeros((0, WIDTH), dtype=np.float32)
    hashed = FeatureHasher(WIDTH, input_type="string", dtype=np.float32).transform([word.lower() for word in words] for words in sentences)
    rows: NDArray[np.float32] = hashed.toarray()
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    rows /= np.where(lengths > 0, lengths, 1)
    return rows
