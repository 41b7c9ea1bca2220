"""The relaxed search after Parikh et al.: a mixture of the candidates at each unknown position, improved by its gradient."""

from __future__ import annotations

import torch
from torch import Tensor

from holdfast.audit.canaries.fills import OpenFills, evaluating
from holdfast.audit.inversion.searches import Found, best_of
from holdfast.audit.inversion.settings import InversionSettings
from holdfast.core.errors import InputError
from holdfast.core.randomness import Streams


def relaxed_search(fills: OpenFills, settings: InversionSettings, *, streams: Streams) -> Found:
    """Gradient descent on logits Z, (restarts, n, V), of which ``softmax(Z / T)`` mixes what the model makes of the candidates.

    Word and character vectors are mixed alike, because `EmbeddedInput.embed` holds both. The weights stay as they are. All
    restarts go through the model as one batch, and none sees another. At the end each restart gives its likeliest candidates;
    the fill with the lowest loss of its own, not of its mixture, is what was found.

    Args:
        fills: The fills of a model that says apart what it makes of each word alone.
        settings: With the variant "softmax" or "gumbel".
        streams: Randomness of the first logits and of the noise.

    Returns:
        The fill, with the sentences that went forward through the model: restarts times steps, and one whole fill for each restart.

    Raises:
        InputError: For a module without `EmbeddedInput`.

    References:
        Parikh, Dupuy, Gupta 2022, arXiv 2203.13920.
    """
    if fills.states_VTD is None:
        raise InputError(
            f"inversion: {type(fills.model.module).__name__} cannot mix words: it has no embed(features) and read(states, features), "
            "or its task no loss_of_logits; add them (core.access.EmbeddedInput), or use the variant 'coordinate'"
        )
    first, noise = _first_logits(fills, settings, streams), torch.Generator().manual_seed(streams.integer("noise"))
    logits_KnV = first.to(fills.model.device).requires_grad_()
    optimizer = torch.optim.Adam([logits_KnV], lr=settings.learning_rate)
    best_Kn, same, steps = logits_KnV.argmax(-1), 0, 0
    # cuDNN has no gradient of a recurrent layer in evaluation mode
    with evaluating(fills.model.module), torch.enable_grad(), torch.backends.cudnn.flags(enabled=False):
        while steps < settings.steps and (settings.patience is None or same < settings.patience):
            weights_KnV = _weights(logits_KnV, settings.temperature(steps), settings, noise)
            loss = fills.of_states(mixed(fills, weights_KnV)).sum()
            (logits_KnV.grad,) = torch.autograd.grad(loss, [logits_KnV])
            optimizer.step()
            steps += 1
            now_Kn = logits_KnV.argmax(-1)
            same = same + 1 if torch.equal(now_Kn, best_Kn) else 0
            best_Kn = now_Kn
    places = best_Kn.cpu().numpy()
    return best_of(places, fills.losses(places), queries=settings.restarts * (steps + 1))


def mixed(fills: OpenFills, weights_KnV: Tensor) -> Tensor:
    """What stands for the pieces of each row, (K, T, D): candidates mixed by their weights at unknown words, known words as they are.

    Args:
        fills: With `states_VTD`.
        weights_KnV: Weights of the candidates, each row of V of sum 1.
    """
    assert fills.states_VTD is not None, "a mixture needs what the model makes of each word alone"
    unknown_T = torch.from_numpy(fills.unknown_T).to(weights_KnV.device)
    known_KTD = fills.states_VTD[:1].expand(len(weights_KnV), -1, -1)
    mixed_KTD = torch.einsum("ktv,vtd->ktd", weights_KnV[:, unknown_T.clamp(min=0)], fills.states_VTD)
    return torch.where(unknown_T[:, None] >= 0, mixed_KTD, known_KTD)


def _first_logits(fills: OpenFills, settings: InversionSettings, streams: Streams) -> Tensor:
    V, n = len(fills.pattern.candidates), fills.pattern.length
    generator = streams.generator("first logits")
    shape = (settings.restarts, n, V)
    if settings.first_spread is None:
        limit = (6 / (n + V)) ** 0.5
        return torch.from_numpy(generator.uniform(-limit, limit, shape)).float()
    return torch.from_numpy(generator.normal(0, settings.first_spread, shape)).float()


def _weights(logits_KnV: Tensor, temperature: float, settings: InversionSettings, noise: torch.Generator) -> Tensor:
    if settings.variant != "gumbel":
        return torch.softmax(logits_KnV / temperature, -1)
    waits_KnV = torch.empty(logits_KnV.shape).exponential_(generator=noise).to(logits_KnV.device)
    soft_KnV = torch.softmax((logits_KnV - waits_KnV.clamp(min=1e-30).log()) / temperature, -1)  # minus the log of a waiting time is Gumbel
    if not settings.straight_through:
        return soft_KnV
    whole_KnV = torch.zeros_like(soft_KnV).scatter_(-1, soft_KnV.argmax(-1, keepdim=True), 1.0)
    return whole_KnV + soft_KnV - soft_KnV.detach()
