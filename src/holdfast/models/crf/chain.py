"""Sums over all rows of tags of a sentence: the log-likelihood of its tags, and how likely each tag is at each word.

Shapes: B examples, W words, S tags, A = S + 1 tags with one more that stands before the first word.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from holdfast.models.crf.transitions import Transitions


def log_likelihood(logits_BWS: Tensor, tags_BW: Tensor, mask_BW: Tensor, transitions: Transitions) -> Tensor:
    """The log-probability of each example's tags, (B,), in nats.

    Args:
        logits_BWS: Scores of each tag at each word.
        tags_BW: The tag of each word; below 0 where nobody knows it: the sum is then over all tags that it may have.
        mask_BW: True where a word is read; whatever stands elsewhere counts for nothing, and the words on both sides of
            it are neighbours.
        transitions: Scores of tags that follow each other.

    Guarantee:
        A row depends on that row alone. An example without a word that is read, or whose tags are all unknown, has 0.
        Without transitions it is the sum of the log-softmax of each word's tag.

    References:
        Lafferty, McCallum, Pereira 2001, "Conditional random fields". Unknown tags: Tsuboi et al. 2008, "Training
        conditional random fields using incomplete annotations", section 4.
    """
    unknown_BW = (tags_BW < 0) & mask_BW
    whole_B = log_partition(logits_BWS, mask_BW, transitions)
    if not unknown_BW.any():
        return score(logits_BWS, tags_BW, mask_BW, transitions) - whole_B
    allowed_BWS = F.one_hot(tags_BW.clamp(min=0), logits_BWS.shape[2]).bool() | unknown_BW[:, :, None]
    return log_partition(logits_BWS, mask_BW, transitions, allowed_BWS=allowed_BWS) - whole_B


def score(logits_BWS: Tensor, tags_BW: Tensor, mask_BW: Tensor, transitions: Transitions) -> Tensor:
    """The score of each example's tags, (B,), in nats: what its words and its transitions add up to.

    Args:
        logits_BWS: Scores of each tag at each word.
        tags_BW: The tag of each word that is read; anything elsewhere.
        mask_BW: True where a word is read.
        transitions: Scores of tags that follow each other.
    """
    B, W, S = logits_BWS.shape
    rows_BRS = transitions.rows_BRS
    tags_BW = tags_BW.clamp(min=0)
    places_BW = torch.arange(W, device=mask_BW.device).expand(B, W)
    last_BW = places_BW.masked_fill(~mask_BW, -1).cummax(1).values  # the place of the last word that was read so far
    tag_of_last_BW = tags_BW.gather(1, last_BW.clamp(min=0)).masked_fill(last_BW < 0, S)  # S stands before the first word
    before_BW = F.pad(tag_of_last_BW[:, :-1], (1, 0), value=S)
    words_BW = logits_BWS.gather(2, tags_BW[:, :, None])[:, :, 0] + rows_BRS.flatten(1).gather(1, before_BW * S + tags_BW)
    read_B = mask_BW.any(1)
    end_B = transitions.end_BS.gather(1, tag_of_last_BW[:, -1:].clamp(max=S - 1))[:, 0]
    return words_BW.masked_fill(~mask_BW, 0.0).sum(1) + end_B.masked_fill(~read_B, 0.0)


def log_partition(logits_BWS: Tensor, mask_BW: Tensor, transitions: Transitions, *, allowed_BWS: Tensor | None = None) -> Tensor:
    """The logarithm of the sum, over all rows of tags, of the exponential of their scores, (B,), in nats.

    A step is a product with the exponential of the transitions, of numbers that add up to 1: no logarithm of each tag is
    taken. As transitions are held within 20 nats of 0, what falls below the smallest number of single precision is less
    than 1e-19 of the whole, and no gradient on the way is above e to the 80th.

    Args:
        logits_BWS: Scores of each tag at each word.
        mask_BW: True where a word is read.
        transitions: Scores of tags that follow each other.
        allowed_BWS: True for the tags that a word may have, at least one of them; all of them where None.
    """
    factors_BWA, steps_BAA, ends_BA, taken_B = _factors(logits_BWS, mask_BW, transitions, allowed_BWS)
    shares, growth_B = _forth(factors_BWA, steps_BAA, mask_BW)
    return taken_B + growth_B + (shares[-1] * ends_BA).sum(1).log()


def marginals(logits_BWS: Tensor, mask_BW: Tensor, transitions: Transitions) -> Tensor:
    """How likely each tag is at each word, over all rows of tags, (B, W, S); 0 where no word is read.

    Args:
        logits_BWS: Scores of each tag at each word.
        mask_BW: True where a word is read.
        transitions: Scores of tags that follow each other.

    References:
        The forward-backward algorithm: Rabiner 1989, "A tutorial on hidden Markov models", section III.B.
    """
    factors_BWA, steps_BAA, ahead_BA, _ = _factors(logits_BWS, mask_BW, transitions, None)
    shares, _ = _forth(factors_BWA, steps_BAA, mask_BW)
    found = []
    for word in range(logits_BWS.shape[1] - 1, -1, -1):
        here_BA = shares[word + 1] * ahead_BA
        found.append(here_BA / here_BA.sum(1, keepdim=True))
        grown_BA = (steps_BAA @ (factors_BWA[:, word] * ahead_BA)[:, :, None])[:, :, 0]
        ahead_BA = torch.where(mask_BW[:, word, None], grown_BA / grown_BA.amax(1, keepdim=True), ahead_BA)
    return torch.stack(found[::-1], 1)[:, :, :-1] * mask_BW[:, :, None]


def _factors(
    logits_BWS: Tensor, mask_BW: Tensor, transitions: Transitions, allowed_BWS: Tensor | None
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """What words, steps and ends multiply by, (B, W, A), (B, A, A), (B, A), and the logarithm of what was taken out of them, (B,)."""
    wide = torch.promote_types(logits_BWS.dtype, torch.float32)
    scores_BWS = logits_BWS.to(wide).masked_fill(~mask_BW[:, :, None], 0.0)
    if allowed_BWS is not None:
        scores_BWS = scores_BWS.masked_fill(~(allowed_BWS | ~mask_BW[:, :, None]), -torch.inf)
    most_BW1 = scores_BWS.detach().amax(2, keepdim=True)
    rows_BRS = transitions.rows_BRS.to(wide).exp()
    steps_BAA, ends_BA = F.pad(rows_BRS[:, :-1], (0, 1)), F.pad(rows_BRS[:, -1], (0, 1), value=1.0)
    return F.pad((scores_BWS - most_BW1).exp(), (0, 1)), steps_BAA, ends_BA, most_BW1.sum((1, 2))


def _forth(factors_BWA: Tensor, steps_BAA: Tensor, mask_BW: Tensor) -> tuple[list[Tensor], Tensor]:
    """The share of each tag in the sum up to each word, W + 1 of (B, A), the first before any word; and the sum's logarithm, (B,)."""
    share_BA = torch.zeros_like(factors_BWA[:, 0])
    share_BA[:, -1] = 1.0
    shares, growths = [share_BA], []
    for word in range(mask_BW.shape[1]):
        grown_BA = (share_BA[:, None] @ steps_BAA)[:, 0] * factors_BWA[:, word]
        growth_B1 = grown_BA.detach().sum(1, keepdim=True)  # what is divided by is put back at the end: no gradient need pass it
        share_BA = torch.where(mask_BW[:, word, None], grown_BA / growth_B1, share_BA)
        shares.append(share_BA)
        growths.append(growth_B1)
    return shares, (torch.cat(growths, 1).log() * mask_BW).sum(1)
