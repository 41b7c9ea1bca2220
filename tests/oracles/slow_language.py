"""Language models asked one row at a time, with full softmaxes and nothing shared: slow twins of `fairness.language`."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from holdfast.fairness.language import Masked, Pieces
from holdfast.models import Features
from holdfast.models.masked import HiddenWords


def one_row(ids: np.ndarray) -> Features:
    mask = torch.ones(1, len(ids), dtype=torch.bool)
    return Features(torch.from_numpy(np.asarray(ids, dtype=np.int64))[None], mask, None, None, mask)


@torch.no_grad()
def own_masked(module: nn.Module, question: Masked) -> np.ndarray:
    """Asks a model of ours through its forward, place by place."""
    found = []
    for place in question.asked:
        features = one_row(question.ids)
        hidden = torch.zeros_like(features.mask_BT)
        hidden[0, question.hidden] = True
        seen = HiddenWords(**vars(features), hidden_BT=hidden, asked_BA=torch.tensor([[int(place)]]))
        found.append(float(module(seen).tokens_BWS[0, 0].double().log_softmax(0)[question.ids[place]]))
    return np.array(found)


@torch.no_grad()
def own_causal(module: nn.Module, ids: np.ndarray) -> np.ndarray:
    """The scores of a model of ours at all places at once."""
    scores = module(one_row(ids)).tokens_BWS[0].double().log_softmax(-1)
    return scores[torch.arange(len(ids)), torch.from_numpy(ids)].numpy()


@torch.no_grad()
def hub_masked(model: nn.Module, question: Masked, mask: int) -> np.ndarray:
    """Asks a model of `transformers`, without an attention mask or padding."""
    shown = torch.from_numpy(question.ids.copy())[None]
    shown[0, question.hidden] = mask
    scores = model(input_ids=shown).logits[0].double().log_softmax(-1)
    return np.array([float(scores[place, question.ids[place]]) for place in question.asked])


@torch.no_grad()
def hub_causal(model: nn.Module, ids: np.ndarray, boundary: int) -> np.ndarray:
    """Each piece from a pass of its own over what stands before it."""
    read = [boundary, *ids.tolist()]
    passes = (model(input_ids=torch.tensor([read[:end]])).logits[0, -1].double().log_softmax(-1) for end in range(1, len(read)))
    return np.array([float(scores[piece]) for scores, piece in zip(passes, ids, strict=True)])


def pooled(pieces: Pieces, states_TD: np.ndarray, pooling: str, span: tuple[int, int] | None = None) -> np.ndarray:
    """The vector of a text or of a part of it, by hand."""
    if pooling == "cls":
        return states_TD[0]
    inside = [place for place in range(len(pieces)) if pieces.starts[place] >= 0]
    if span is not None:
        inside = [place for place in inside if pieces.starts[place] < span[1] and pieces.ends[place] > span[0]]
    rows = states_TD[inside]
    return rows.mean(0) if pooling == "mean" else rows[0] if pooling == "first" else rows[-1]


def written(
    scores: Callable[[list[int]], Tensor], prompt: Sequence[int], draws: np.ndarray, *, ends: set[int], top_p: float, temperature: float
) -> list[int]:
    """Draws pieces one by one for one prompt, by sorting all probabilities in Python.

    Args:
        scores: Of the next piece, from all pieces before it.
        prompt: What is read first.
        draws: A uniform number for each piece.
        ends: Pieces that end the text.
        top_p: Of the nucleus.
        temperature: That scores are divided by.
    """
    drawn: list[int] = []
    for uniform in draws:
        shares = (scores([*prompt, *drawn]).double() / temperature).softmax(-1).tolist()
        order, kept, total = sorted(range(len(shares)), key=lambda piece: -shares[piece]), [], 0.0
        for piece in order:
            kept.append(piece)
            total += shares[piece]
            if total >= top_p:
                break
        left, chosen = uniform * total, max(kept)
        for piece in sorted(kept):
            if left < shares[piece]:
                chosen = piece
                break
            left -= shares[piece]
        if chosen in ends:
            break
        drawn.append(chosen)
    return drawn
