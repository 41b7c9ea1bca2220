"""Ways in which people use parameters in modules of their own, each as a small model: those that are exact, and those that are refused.

Shapes: B examples, T words, D = 6 numbers for each, V = 5 words.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrizations

D, V, LONGEST = 6, 5, 9
HEADS = 4

Body = Callable[[Any, Tensor, Tensor], Tensor]


class Own(nn.Module):
    """Embedding, then the body of a case, then a head; the table and the head are there for the body as well."""

    def __init__(self, parts: Callable[[], dict[str, Any]], body: Body) -> None:
        super().__init__()
        self.words, self.head, self.body = nn.Embedding(V, D), nn.Linear(D, 3), body
        for name, part in parts().items():
            setattr(self, name, part)

    def forward(self, ids_BT: Tensor) -> Tensor:
        return 3 * self.head(self.body(self, self.words(ids_BT), ids_BT).tanh()).square().flatten(1).sum(1)


@dataclass(frozen=True)
class Case:
    """A use of parameters.

    Args:
        body: (model, h_BTD, ids_BT) to anything that ends in D.
        parts: What the model has beside its table and head.
        at: Where the refusal comes from, as a regular expression; None for a use that is exact.
    """

    body: Body
    parts: Callable[[], dict[str, Any]] = field(default=dict)
    at: str | None = None

    def make(self) -> Own:
        """The model."""
        return Own(self.parts, self.body)


def weight(*shape: int) -> nn.Parameter:
    return nn.Parameter(torch.randn(shape))


def one(*shape: int) -> Callable[[], dict[str, Any]]:
    """A model with a single parameter more, `p`."""
    return lambda: {"p": weight(*shape)}


def part(make: Callable[[], nn.Module]) -> Callable[[], dict[str, Any]]:
    """A model with a single module more, `p`."""
    return lambda: {"p": make()}


def places(ids_BT: Tensor) -> Tensor:
    return torch.arange(ids_BT.shape[1])


def distances(ids_BT: Tensor) -> Tensor:
    return (places(ids_BT)[None] - places(ids_BT)[:, None]).clamp(-4, 4) + 4


def written(target: Tensor, index: Any, value: Tensor) -> Tensor:
    target = target.clone()
    target[index] = value
    return target


def queries(make: Callable[[], nn.Module]) -> Callable[[], dict[str, Any]]:
    """Learned queries and a module."""
    return lambda: {"q": weight(3, D), "p": make()}


def attended(m: Own, h: Tensor, scores_add: Tensor) -> Tensor:
    return (h @ h.mT + scores_add).softmax(-1) @ h


def rolled_out(m: Any, h: Tensor, state: Tensor) -> Tensor:
    """A recurrent cell written out."""
    states = []
    for t in range(h.shape[1]):
        state = (m.p(h[:, t]) + m.q(state)).tanh()
        states.append(state)
    return torch.stack(states, 1)


def crf(m: Any, h: Tensor, ids: Tensor) -> Tensor:
    """A conditional random field on top: the scores of a path, and of all."""
    scores, tags = m.head(h), ids % 3
    path = m.start[tags[:, 0]] + scores.gather(2, tags[..., None]).sum((1, 2)) + m.p[tags[:, :-1], tags[:, 1:]].sum(1)
    alpha = m.start + scores[:, 0]
    for t in range(1, scores.shape[1]):
        alpha = (alpha[:, :, None] + m.p + scores[:, t][:, None]).logsumexp(1)
    return h * (alpha.logsumexp(1) - path)[:, None, None]


def shared_by_heads(m: Any, h: Tensor, bias_HTT: Tensor) -> Tensor:
    scores = (h @ h.mT)[:, None] * torch.arange(1.0, HEADS + 1).to(h).view(1, HEADS, 1, 1)
    return ((scores + bias_HTT) @ h[:, None]).sum(1)


def no_gradient(function: Callable[[], Tensor]) -> Tensor:
    with torch.no_grad():
        return function()


POSITIONS = {
    "table, ids (T,)": Case(lambda m, h, x: h + m.p(places(x)), part(lambda: nn.Embedding(LONGEST, D))),
    "table, ids (1, T)": Case(lambda m, h, x: h + m.p(places(x)[None]), part(lambda: nn.Embedding(LONGEST, D))),
    "table, ids expanded to (B, T)": Case(lambda m, h, x: h + m.p(places(x).expand_as(x)), part(lambda: nn.Embedding(LONGEST, D))),
    "table, ids from a list": Case(lambda m, h, x: h + m.p(torch.tensor(range(x.shape[1]))), part(lambda: nn.Embedding(LONGEST, D))),
    "table, ids kept outside": Case(
        lambda m, h, x: h + m.p(m.ids[0][: x.shape[1]]), lambda: {"p": nn.Embedding(9, D), "ids": [torch.arange(9)]}
    ),
    "table, ids without gradients": Case(lambda m, h, x: h + m.p(no_gradient(lambda: places(x))), part(lambda: nn.Embedding(LONGEST, D))),
    "table, squeezed": Case(lambda m, h, x: h + m.p(places(x)[None]).squeeze(0), part(lambda: nn.Embedding(LONGEST, D))),
    "table, viewed": Case(lambda m, h, x: h + m.p(places(x)[None]).view(-1, D), part(lambda: nn.Embedding(LONGEST, D))),
    "table, expanded": Case(lambda m, h, x: h + m.p(places(x)[None]).expand(len(x), -1, -1), part(lambda: nn.Embedding(LONGEST, D))),
    "table, repeated": Case(lambda m, h, x: h + m.p(places(x)).repeat(len(x), 1, 1), part(lambda: nn.Embedding(LONGEST, D))),
    "table, normalised": Case(lambda m, h, x: h + m.q(m.p(places(x))), lambda: {"p": nn.Embedding(LONGEST, D), "q": nn.LayerNorm(D)}),
    "parameter (1, T, D), sliced": Case(lambda m, h, x: h + m.p[:, : x.shape[1]], one(1, LONGEST, D)),
    "parameter (T, D), sliced": Case(lambda m, h, x: h + m.p[: x.shape[1]], one(LONGEST, D)),
    "one row for all places, expanded": Case(lambda m, h, x: h + m.p.expand(x.shape[1], -1), one(1, D)),
    "one row for all places, repeated": Case(lambda m, h, x: h + m.p.repeat(x.shape[1], 1), one(1, D)),
    "learned mixing of places": Case(lambda m, h, x: m.p[: x.shape[1], : x.shape[1]] @ h, one(LONGEST, LONGEST)),
    "relative bias": Case(lambda m, h, x: attended(m, h, m.p(distances(x)).squeeze(-1)), part(lambda: nn.Embedding(9, 1))),
    "relative bias of heads": Case(
        lambda m, h, x: shared_by_heads(m, h, m.p(distances(x)).permute(2, 0, 1)[None]), part(lambda: nn.Embedding(9, HEADS))
    ),
    "one bias for all heads, expanded": Case(
        lambda m, h, x: shared_by_heads(m, h, m.p[:, : x.shape[1], : x.shape[1]].expand(HEADS, -1, -1)[None]), one(1, LONGEST, LONGEST)
    ),
    "one bias for all heads, repeated": Case(
        lambda m, h, x: shared_by_heads(m, h, m.p[: x.shape[1], : x.shape[1]].repeat(HEADS, 1, 1)), one(LONGEST, LONGEST)
    ),
    "relative keys": Case(
        lambda m, h, x: attended(m, h, torch.einsum("btd,tsd->bts", h, m.p(distances(x)))), part(lambda: nn.Embedding(9, D))
    ),
    "bias under a causal mask": Case(
        lambda m, h, x: attended(m, h, m.p[: x.shape[1], : x.shape[1]].masked_fill(torch.ones(x.shape[1], x.shape[1]).triu(1).bool(), -9)),
        one(LONGEST, LONGEST),
    ),
    "slope of each head": Case(lambda m, h, x: shared_by_heads(m, h, -m.p.view(1, HEADS, 1, 1) * distances(x)), one(HEADS)),
}

TOKENS = {
    "class token, expanded": Case(lambda m, h, x: torch.cat([m.p.expand(len(x), -1, -1), h], 1).cumsum(1), one(1, 1, D)),
    "class token, repeated": Case(lambda m, h, x: torch.cat([m.p.repeat(len(x), 1, 1), h], 1).cumsum(1), one(1, 1, D)),
    "class token of one axis": Case(lambda m, h, x: torch.cat([m.p.expand(len(x), 1, -1), h], 1).cumsum(1), one(D)),
    "class token, expanded like another": Case(lambda m, h, x: torch.cat([m.p.expand_as(h[:, :1]), h], 1).cumsum(1), one(1, 1, D)),
    "class token, joined": Case(lambda m, h, x: torch.cat([torch.cat([m.p] * len(x)), h], 1).cumsum(1), one(1, 1, D)),
    "class token on zeros": Case(lambda m, h, x: torch.cat([torch.zeros(len(x), 1, D).to(h) + m.p, h], 1).cumsum(1), one(1, 1, D)),
    "class token, written": Case(lambda m, h, x: written(h, (slice(None), 0), m.p), one(D)),
    "class token, computed and written": Case(lambda m, h, x: written(h, (slice(None), 0), m.p[1] * 2), one(2, D)),
    "soft prompt from a table": Case(
        lambda m, h, x: torch.cat([m.p(torch.arange(3)).expand(len(x), -1, -1), h], 1).cumsum(1), part(lambda: nn.Embedding(3, D))
    ),
    "soft prompt, computed": Case(
        lambda m, h, x: torch.cat([m.q(m.p).tanh().expand(len(x), -1, -1), h], 1).cumsum(1),
        lambda: {"p": weight(3, D), "q": nn.Linear(D, D)},
    ),
    "mask token by choice": Case(lambda m, h, x: torch.where((x == 2)[..., None], m.p, h), one(D)),
    "mask token, written": Case(lambda m, h, x: written(h, x == 2, m.p), one(D)),
    "mask token, computed and written": Case(lambda m, h, x: written(h, x == 2, m.p * 2), one(D)),
    "mask token by product": Case(lambda m, h, x: h * (x != 2)[..., None] + (x == 2)[..., None] * m.p, one(D)),
    "fill value": Case(lambda m, h, x: h.masked_fill((x == 2)[..., None], m.p), one()),
    "segment table": Case(lambda m, h, x: h + m.p(torch.zeros_like(x)), part(lambda: nn.Embedding(2, D))),
    "row of a table": Case(lambda m, h, x: h + m.p.weight[0] + m.p(torch.tensor(1)), part(lambda: nn.Embedding(2, D))),
}

PRODUCTS = {
    "x @ w": Case(lambda m, h, x: h @ m.p, one(D, D)),
    "w @ x": Case(lambda m, h, x: (m.p @ h.mT).mT, one(D, D)),
    "w.T @ x": Case(lambda m, h, x: (m.p.T @ h.mT).mT, one(D, D)),
    "x @ w[None]": Case(lambda m, h, x: h @ m.p, one(1, D, D)),
    "x @ a matrix of each head": Case(lambda m, h, x: (h[:, None] @ m.p).sum(1), one(2, D, D)),
    "x @ a vector": Case(lambda m, h, x: (h @ m.p).softmax(1)[..., None] * h, one(D)),
    "bmm with an expanded matrix": Case(lambda m, h, x: torch.bmm(h, m.p.expand(len(x), D, D)), one(D, D)),
    "mean of two matrices": Case(lambda m, h, x: h @ torch.stack([m.p, m.q]).mean(0), lambda: {"p": weight(D, D), "q": weight(D, D)}),
    "einsum": Case(lambda m, h, x: torch.einsum("btd,pd->btp", h, m.p), one(D, D)),
    "einsum with an ellipsis": Case(lambda m, h, x: torch.einsum("...d,dp->...p", h, m.p.T), one(D, D)),
    "einsum over heads": Case(lambda m, h, x: torch.einsum("bthd,hdp->btp", h.unflatten(2, (2, 3)), m.p), one(2, 3, D)),
    "einsum over places": Case(lambda m, h, x: torch.einsum("ts,bsd->btd", m.p[: x.shape[1], : x.shape[1]], h), one(LONGEST, LONGEST)),
    "linear, computed weight": Case(lambda m, h, x: F.linear(h, m.p.tanh() * 2, m.p[0]), one(D, D)),
    "linear, chunks of a weight": Case(
        lambda m, h, x: F.linear(h, m.p.weight.chunk(3)[1], m.p.bias.chunk(3)[0]) + m.p(h)[..., :D], part(lambda: nn.Linear(D, 3 * D))
    ),
    "linear, straight through": Case(
        lambda m, h, x: F.linear(h, m.p.weight + (m.p.weight.round() - m.p.weight).detach(), m.p.bias), part(lambda: nn.Linear(D, D))
    ),
    "weight norm": Case(lambda m, h, x: m.p(h), part(lambda: parametrizations.weight_norm(nn.Linear(D, D)))),
    "orthogonal weight": Case(lambda m, h, x: m.p(h), part(lambda: parametrizations.orthogonal(nn.Linear(D, D)))),
    "bilinear": Case(lambda m, h, x: m.p(h, h * 2), part(lambda: nn.Bilinear(D, D, D))),
    "heads as rows of one example": Case(
        lambda m, h, x: m.p(h.unflatten(2, (2, 3)).transpose(1, 2).flatten(0, 1)).unflatten(0, (len(x), 2)).transpose(1, 2).flatten(2),
        part(lambda: nn.Linear(3, 3)),
    ),
    "words as rows of one example": Case(lambda m, h, x: m.p(h.reshape(-1, D)).view(*x.shape, D), part(lambda: nn.Linear(D, D))),
    "cosine to prototypes": Case(lambda m, h, x: F.normalize(h, dim=-1) @ F.normalize(m.p, dim=-1).T @ m.p, one(3, D)),
    "cosine to one": Case(lambda m, h, x: F.cosine_similarity(h, m.p, dim=-1)[..., None] * h, one(D)),
}

ELEMENTWISE = {
    "scalar": Case(lambda m, h, x: h * m.p + m.p, one()),
    "scale of a layer": Case(lambda m, h, x: h + m.p * h.tanh(), one(D)),
    "in place on the data": Case(lambda m, h, x: h.clone().add_(m.p).mul_(m.p), one(D)),
    "operators with numbers": Case(lambda m, h, x: (1 - m.p) * h + 2 / (m.p.exp() + 1) + (m.p > 0) * h, one(D)),
    "power": Case(lambda m, h, x: h.abs() ** m.p, lambda: {"p": nn.Parameter(torch.tensor([2.0]))}),
    "clamp, maximum, lerp, addcmul": Case(
        lambda m, h, x: torch.lerp(h.clamp(min=m.p), torch.maximum(h, m.p), m.p) + torch.addcmul(m.p, h, m.p), one(D)
    ),
    "mixture of layers": Case(lambda m, h, x: sum(w * t for w, t in zip(m.p.softmax(0), (h, h.tanh(), h.sin()), strict=True)), one(3)),
    "rows one by one": Case(lambda m, h, x: h * next(iter(m.p)) * [*(m.p * 2)][2], one(3, D)),
    "largest of each column": Case(lambda m, h, x: h * m.p.max(0).values, one(3, D)),
    "temperature": Case(lambda m, h, x: h / F.softplus(m.p) * m.p.exp().clamp(max=100), one()),
    "detached beside itself": Case(lambda m, h, x: h * m.p.detach() * m.p / m.p.data.norm(), one(D)),
    "rotation": Case(
        lambda m, h, x: torch.view_as_real(torch.view_as_complex(h.unflatten(2, (3, 2))) * torch.polar(torch.ones(3).to(h), m.p)).flatten(
            2
        ),
        one(3),
    ),
    "list and dictionary of parameters": Case(
        lambda m, h, x: h * sum(m.p) + m.q["a"],
        lambda: {"p": nn.ParameterList([weight(D), weight(D)]), "q": nn.ParameterDict({"a": weight(D)})},
    ),
    "type of a parameter": Case(lambda m, h, x: h.to(m.p) * m.p.type_as(h), one(D)),
}

LAYERS = {
    "RMS norm": Case(lambda m, h, x: m.p(h), part(lambda: nn.RMSNorm(D))),
    "RMS norm of one's own": Case(lambda m, h, x: h * (h.square().mean(-1, keepdim=True) + 1e-6).rsqrt() * (1 + m.p), one(D)),
    "layer norm without bias": Case(lambda m, h, x: m.p(h), part(lambda: nn.LayerNorm(D, bias=False))),
    "group norm": Case(lambda m, h, x: m.p(h.mT).mT, part(lambda: nn.GroupNorm(2, D))),
    "group norm of a vector": Case(lambda m, h, x: m.p(h.sum(1)), part(lambda: nn.GroupNorm(2, D))),
    "slopes": Case(lambda m, h, x: m.p(h), part(nn.PReLU)),
    "slopes of channels": Case(lambda m, h, x: m.p(h.mT).mT, part(lambda: nn.PReLU(D))),
    "bag of words": Case(lambda m, h, x: h + m.p(x)[:, None], part(lambda: nn.EmbeddingBag(V, D))),
    "bag of words, summed": Case(lambda m, h, x: h + m.p(x)[:, None], part(lambda: nn.EmbeddingBag(V, D, mode="sum", padding_idx=1))),
    "convolution with padding": Case(lambda m, h, x: m.p(h.mT).mT, part(lambda: nn.Conv1d(D, D, 3, padding=1, bias=False))),
    "convolution, as long as its input": Case(lambda m, h, x: m.p(h.mT).mT, part(lambda: nn.Conv1d(D, D, 3, padding="same", dilation=2))),
    "convolution of even width": Case(lambda m, h, x: m.p(h.mT).mT, part(lambda: nn.Conv1d(D, D, 4, padding="same"))),
    "convolution with a stride": Case(lambda m, h, x: m.p(h.mT).mT, part(lambda: nn.Conv1d(D, D, 2, stride=2, padding=1))),
    "convolution in groups": Case(lambda m, h, x: m.p(h.mT).mT, part(lambda: nn.Conv1d(D, D, 3, groups=2, padding=1))),
    "convolution in two dimensions": Case(lambda m, h, x: m.p(h[:, None]).sum(1), part(lambda: nn.Conv2d(1, 2, 3, padding=1))),
    "convolution, transposed": Case(lambda m, h, x: m.p(h.mT).mT, part(lambda: nn.ConvTranspose1d(D, D, 3))),
    "convolution over characters": Case(
        lambda m, h, x: m.p(h.reshape(-1, 3, 2).mT).amax(2).view(*x.shape, D), part(lambda: nn.Conv1d(2, D, 2))
    ),
    "convolution with a standardised weight": Case(
        lambda m, h, x: F.conv1d(h.mT, m.p.weight / m.p.weight.std((1, 2), keepdim=True), padding=1).mT,
        part(lambda: nn.Conv1d(D, D, 3, bias=False)),
    ),
    "conditional random field": Case(crf, lambda: {"p": weight(3, 3), "start": weight(3)}),
    "LSTM cell in a loop": Case(lambda m, h, x: m.p(h[:, -1], m.p(h[:, 0]))[0], part(lambda: nn.LSTMCell(D, D))),
    "cell written out": Case(
        lambda m, h, x: rolled_out(m, h, torch.zeros(len(x), D).to(h)), lambda: {"p": nn.Linear(D, D), "q": nn.Linear(D, D)}
    ),
    "cell written out, first state learned": Case(
        lambda m, h, x: rolled_out(m, h, m.first.expand(len(x), -1)),
        lambda: {"p": nn.Linear(D, D), "q": nn.Linear(D, D), "first": weight(D)},
    ),
    "GRU, positions first": Case(lambda m, h, x: m.p(h.transpose(0, 1))[0].transpose(0, 1), part(lambda: nn.GRU(D, 3, bidirectional=True))),
}


def _self_attention(batch_first: bool, need_weights: bool) -> Case:
    def body(m: Any, h: Tensor, x: Tensor) -> Tensor:
        steps, q = x.shape[1], h if batch_first else h.transpose(0, 1)
        causal, padding = torch.ones(steps, steps, dtype=torch.bool).triu(1), (x == 0) & (places(x) > 0)
        output = m.p(q, q, q, key_padding_mask=padding, attn_mask=causal, need_weights=need_weights)[0]
        return output if batch_first else output.transpose(0, 1)

    return Case(body, part(lambda: nn.MultiheadAttention(D, 2, batch_first=batch_first)))


def _cross_attention(batch_first: bool, **settings: Any) -> Case:
    def body(m: Any, h: Tensor, x: Tensor) -> Tensor:
        tensors = h, (h * 2)[..., : settings.get("kdim", D)], (h * 3)[..., : settings.get("vdim", D)]
        output = m.p(*(tensors if batch_first else (tensor.transpose(0, 1) for tensor in tensors)))[0]
        return output if batch_first else output.transpose(0, 1)

    return Case(body, part(lambda: nn.MultiheadAttention(D, 2, batch_first=batch_first, **settings)))


ATTENTION = {
    "self-attention": _self_attention(True, False),
    "self-attention with weights": _self_attention(True, True),
    "self-attention, positions first": _self_attention(False, False),
    "attention": _cross_attention(True),
    "attention without bias, positions first": _cross_attention(False, bias=False),
    "attention of other widths": _cross_attention(True, kdim=4, vdim=5),
    "encoder layer": Case(
        lambda m, h, x: m.p(h, src_key_padding_mask=(x == 0) & (places(x) > 0)),
        part(lambda: nn.TransformerEncoderLayer(D, 2, 8, 0.0, batch_first=True, norm_first=True)),
    ),
    "encoder and decoder": Case(
        lambda m, h, x: m.p(h, h * 2, tgt_mask=nn.Transformer.generate_square_subsequent_mask(x.shape[1], dtype=h.dtype)),
        part(lambda: nn.Transformer(D, 2, 1, 1, 8, 0.0, batch_first=True)),
    ),
    "queries into a decoder, expanded": Case(
        lambda m, h, x: m.p(m.q.expand(len(x), -1, -1), h), queries(lambda: nn.TransformerDecoderLayer(D, 2, 8, 0.0, batch_first=True))
    ),
    "queries into a decoder, repeated": Case(
        lambda m, h, x: m.p(m.q.repeat(len(x), 1, 1), h), queries(lambda: nn.TransformerDecoderLayer(D, 2, 8, 0.0, batch_first=True))
    ),
    "queries that are not expanded": Case(lambda m, h, x: (m.p(m.q) @ h.mT).softmax(-1) @ h, queries(lambda: nn.Linear(D, D))),
    "queries into a function": Case(
        lambda m, h, x: F.scaled_dot_product_attention(m.p(m.q.expand(len(x), -1, -1)), h, h), queries(lambda: nn.Linear(D, D))
    ),
    "mask of a function": Case(
        lambda m, h, x: F.scaled_dot_product_attention(h, h, h, m.p[: x.shape[1], : x.shape[1]]), one(LONGEST, LONGEST)
    ),
}

ROWS = {
    "table[ids]": Case(lambda m, h, x: h + m.p[x], one(V, D)),
    "negative ids": Case(lambda m, h, x: h + m.p[x - V], one(V, D)),
    "vector[ids]": Case(lambda m, h, x: h + m.p[x][..., None], one(V)),
    "table[ids, other ids]": Case(lambda m, h, x: h + m.p[x, x.flip(1)][..., None], one(V, V)),
    "index_select": Case(lambda m, h, x: h + m.p.index_select(0, x.flatten()).view(*x.shape, D), one(V, D)),
    "one-hot ids": Case(lambda m, h, x: h + F.one_hot(x, V).to(h) @ m.p, one(V, D)),
    "ids of all rows in one axis": Case(lambda m, h, x: h + m.p(x.flatten()).view(*x.shape, D), part(lambda: nn.Embedding(V, D))),
    "an id of each example, beside words": Case(lambda m, h, x: h + m.p(x[:, 0])[:, None], part(lambda: nn.Embedding(V, D))),
    "an id of each example, alone": Case(
        lambda m, h, x: m.q(m.p(x[:, 0]) * 2).tanh(), lambda: {"p": nn.Embedding(V, D), "q": nn.Linear(D, D)}
    ),
    "padding that never learns": Case(lambda m, h, x: h + m.p(x), part(lambda: nn.Embedding(V, D, padding_idx=-1))),
    "ids of 32 bits, tied": Case(lambda m, h, x: m.words(x.int()) @ m.words.weight.T @ m.words.weight),
}

SHARED = {
    "embedding and head": Case(lambda m, h, x: (h @ m.words.weight.T).softmax(-1) @ m.words.weight),
    "embedding and embedding": Case(lambda m, h, x: h * m.words(x.flip(1))),
    "embedding and row": Case(lambda m, h, x: h * m.words.weight[3]),
    "linear and linear": Case(lambda m, h, x: m.p(m.p(h).tanh()), part(lambda: nn.Linear(D, D))),
    "linear and itself transposed": Case(lambda m, h, x: F.linear(m.p(h).tanh(), m.p.weight.T), part(lambda: nn.Linear(D, D))),
    "product and elementwise": Case(
        lambda m, h, x: m.p(h).tanh() @ (m.p.weight * 2) + m.p.weight[0] * h, part(lambda: nn.Linear(D, D, bias=False))
    ),
    "norm and bias": Case(lambda m, h, x: m.p(m.q(m.p(h))).sin() + m.q.bias, lambda: {"p": nn.LayerNorm(D), "q": nn.Linear(D, D)}),
    "convolution and linear": Case(lambda m, h, x: F.linear(m.p(h.mT).mT.tanh(), m.p.weight[..., 0]), part(lambda: nn.Conv1d(D, D, 1))),
    "LSTM, and its weight elsewhere": Case(
        lambda m, h, x: m.p(m.p(h)[0])[0] @ m.p.weight_hh_l0[:D] + m.p.weight_ih_l0.sum(), part(lambda: nn.LSTM(D, D, batch_first=True))
    ),
    "loss with a penalty on parameters": Case(lambda m, h, x: h + 0.1 * m.words.weight.square().sum()),
    "unused": Case(lambda m, h, x: h, part(lambda: nn.Linear(D, D))),
}

EXACT: dict[str, Case] = {
    f"{group}: {name}": case
    for group, cases in (
        *(("positions", POSITIONS), ("tokens", TOKENS), ("products", PRODUCTS), ("elementwise", ELEMENTWISE)),
        *(("layers", LAYERS), ("attention", ATTENTION), ("rows", ROWS), ("shared", SHARED)),
    )
    for name, case in cases.items()
}
"""Uses that must be exact at every shape."""


class Scaled(torch.autograd.Function):
    """A function that knows its own derivative."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, scale: Tensor) -> Tensor:
        ctx.save_for_backward(x, scale)
        return x * scale

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor]:
        x, scale = ctx.saved_tensors
        return grads[0] * scale, (grads[0] * x).flatten(0, -2).sum(0)


@torch.jit.script
def scripted(x: Tensor, scale: Tensor) -> Tensor:
    return (x * scale).tanh()


def hooked(m: Any, h: Tensor, x: Tensor) -> Tensor:
    m.p.register_hook(lambda gradient: None)
    return h * m.p


def exchanged(m: Any, h: Tensor, x: Tensor) -> Tensor:
    old, m.p = m.p, nn.Parameter(m.p.detach().clone())
    return h * old


def differentiated(m: Any, h: Tensor, x: Tensor) -> Tensor:
    (slope,) = torch.autograd.grad(m.p(h).tanh().sum(), h, create_graph=True)
    return m.p(h) + slope


REFUSED = {
    "written into a copy of a parameter": Case(lambda m, h, x: h * written(m.p, 0, h.new_zeros(())), one(D), at="writes in place"),
    "parameter changed in place": Case(lambda m, h, x: h * m.p.clone().mul_(2), one(D), at="writes in place"),
    "data added in place to a parameter": Case(lambda m, h, x: m.p.expand_as(h).clone().add_(h), one(D), at="writes in place"),
    "parameter copied into the data": Case(lambda m, h, x: h.clone().copy_(m.p.expand_as(h)), one(D), at="writes in place"),
    "distances to points": Case(
        lambda m, h, x: h * torch.cdist(h, m.p.expand(len(x), -1, -1)).sum(-1, keepdim=True), one(4, D), at="cdist"
    ),
    "bag of words with offsets": Case(
        lambda m, h, x: h + m.p(x.flatten(), torch.arange(len(x)) * x.shape[1])[:, None],
        part(lambda: nn.EmbeddingBag(V, D, mode="sum")),
        at="embedding_bag",
    ),
    "table that forgets norms": Case(lambda m, h, x: h + m.p(x), part(lambda: nn.Embedding(V, D, max_norm=1.0)), at="max_norm"),
    "attention with a learned key": Case(
        lambda m, h, x: m.p(h, h, h)[0], part(lambda: nn.MultiheadAttention(D, 2, batch_first=True, add_bias_kv=True)), at="add_bias_kv"
    ),
    "own derivative": Case(lambda m, h, x: Scaled.apply(h, m.p), one(D), at="p is used in a way that cannot be seen"),
    "own derivative of something computed": Case(lambda m, h, x: Scaled.apply(h, m.p * 2), one(D), at="cannot be seen"),
    "scripted function": Case(lambda m, h, x: scripted(h, m.p), one(D), at="cannot be seen"),
    "scripted function of something computed": Case(lambda m, h, x: scripted(h, m.p * 2), one(D), at="cannot be seen"),
    "scripted module": Case(lambda m, h, x: m.p(h), part(lambda: torch.jit.script(nn.Linear(D, D))), at="cannot be seen"),
    "operator of the lower layer": Case(lambda m, h, x: torch.ops.aten.mul(h, m.p), one(D), at="aten"),
    "vmap": Case(lambda m, h, x: torch.vmap(m.p)(h), part(lambda: nn.Linear(D, D)), at="vmap"),
    "gradient of a gradient": Case(differentiated, part(lambda: nn.Linear(D, D)), at="create_graph"),
    "complex parameter": Case(
        lambda m, h, x: h * m.p.abs(), lambda: {"p": nn.Parameter(torch.randn(D, dtype=torch.complex64))}, at="p is complex"
    ),
    "gradient hook": Case(hooked, one(D), at="gradient hook"),
    "parameter exchanged meanwhile": Case(exchanged, one(D), at="exchanged"),
    "chosen rows": Case(lambda m, h, x: written(h, x % 2 == 0, m.p(h[x % 2 == 0])), part(lambda: nn.Linear(D, D)), at="linear"),
    "positions first": Case(
        lambda m, h, x: m.p(h.transpose(0, 1)).transpose(0, 1), part(lambda: nn.TransformerEncoderLayer(D, 2, 8, 0.0)), at="linear|norm"
    ),
    "label words from a list": Case(
        lambda m, h, x: h @ m.p(torch.tensor([0, 1, 2, 3])).T @ m.p.weight, part(lambda: nn.Embedding(4, D)), at="not clear"
    ),
}
"""Uses that must be refused, at three examples of five words."""


def swapped(m: Any, h: Tensor, x: Tensor) -> Tensor:
    order = x.sum(1).argsort()
    return m.p(h[order])[order.argsort()]


DISORDERED = {
    "positions first": REFUSED["positions first"],
    "flattened with positions first": Case(
        lambda m, h, x: m.p(h.transpose(0, 1).reshape(-1, D)).view(x.shape[1], len(x), D).transpose(0, 1), part(lambda: nn.Linear(D, D))
    ),
    "heads before examples": Case(
        lambda m, h, x: torch.cat(m.p(torch.cat(h.split(3, 2), 0)).split(len(x), 0), 2), part(lambda: nn.Linear(3, 3))
    ),
    "sorted rows": Case(swapped, part(lambda: nn.Linear(D, D))),
    "turned batch": Case(lambda m, h, x: m.p(h.flip(0)).flip(0), part(lambda: nn.Linear(D, D))),
    "centred on the batch": Case(lambda m, h, x: m.p(h - h.mean(0)), part(lambda: nn.Linear(D, D))),
    "a little of the neighbour": Case(lambda m, h, x: m.p(h + 1e-6 * h.roll(1, 0)), part(lambda: nn.Linear(D, D))),
}
"""Uses that no engine can tell from proper ones at every shape: preflight must find them."""
