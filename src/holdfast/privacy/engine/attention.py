"""`nn.MultiheadAttention` in functions that the interceptor sees: its own forward hands all weights to one opaque call."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from holdfast.core.errors import PreflightError
from holdfast.privacy.engine.tape import Tape


def attention_forward(
    module: nn.MultiheadAttention,
    tape: Tape,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    key_padding_mask: Tensor | None = None,
    need_weights: bool = True,
    attn_mask: Tensor | None = None,
    average_attn_weights: bool = True,
    is_causal: bool = False,
) -> tuple[Tensor, Tensor | None]:
    """Computes what the module computes.

    Self-attention (query, key and value are one tensor) takes one product for all three projections, any other case a
    slower way through slices of the weight.

    Raises:
        PreflightError: For `bias_k`, `bias_v` or `add_zero_attn`.
    """
    if module.bias_k is not None or module.add_zero_attn:
        raise PreflightError(["nn.MultiheadAttention with add_bias_kv or add_zero_attn has no clipping rule; set engine='loop'"])
    same = query is key and key is value
    if not module.batch_first:
        query, key, value = (x.transpose(0, 1) for x in (query, key, value))
    if same:
        key = value = query
    parts = [part.unflatten(2, (module.num_heads, -1)).transpose(1, 2) for part in _projected(module, query, key, value, same=same)]
    mask = _mask(module, query, attn_mask, key_padding_mask)
    dropout = module.dropout if module.training else 0.0
    weights = None
    if need_weights:
        scores_BHTS = parts[0] @ parts[1].mT / module.head_dim**0.5
        weights_BHTS = (scores_BHTS if mask is None else scores_BHTS + mask).softmax(3)
        mixed = F.dropout(weights_BHTS, dropout) @ parts[2]
        weights = weights_BHTS.mean(1) if average_attn_weights else weights_BHTS
    else:
        mixed = F.scaled_dot_product_attention(parts[0], parts[1], parts[2], mask, dropout)
    output = F.linear(mixed.transpose(1, 2).flatten(2), module.out_proj.weight, module.out_proj.bias)
    return (output if module.batch_first else output.transpose(0, 1)), weights


def _projected(module: nn.MultiheadAttention, query: Tensor, key: Tensor, value: Tensor, *, same: bool) -> tuple[Tensor, ...]:
    bias = module.in_proj_bias
    if module._qkv_same_embed_dim and same:
        return F.linear(query, module.in_proj_weight, bias).chunk(3, 2)
    if module._qkv_same_embed_dim:
        weights = module.in_proj_weight.chunk(3)
    else:
        weights = (module.q_proj_weight, module.k_proj_weight, module.v_proj_weight)
    biases = (None, None, None) if bias is None else bias.chunk(3)
    return tuple(F.linear(x, weight, b) for x, weight, b in zip((query, key, value), weights, biases, strict=True))


def _mask(module: nn.MultiheadAttention, query: Tensor, attn_mask: Tensor | None, padding_BS: Tensor | None) -> Tensor | None:
    """Both masks as one to be added to the scores, (B, H, T, S) after broadcasting."""
    mask = None if attn_mask is None else _additive(attn_mask, query)
    if mask is not None and mask.dim() == 3:
        mask = mask.unflatten(0, (-1, module.num_heads))
    if padding_BS is None:
        return mask
    padding = _additive(padding_BS, query)[:, None, None]
    return padding if mask is None else mask + padding


def _additive(mask: Tensor, like: Tensor) -> Tensor:
    if mask.is_floating_point():
        return mask.to(like.dtype)
    return like.new_zeros(mask.shape).masked_fill(mask, float("-inf"))
