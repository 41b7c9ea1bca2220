"""Clipping styles by name, and which options belong to which: an option that a style has no use for is refused, never ignored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal, get_args

from holdfast.core.errors import InputError, nearest
from holdfast.privacy.clipping.adaptive import AdaptiveClipping
from holdfast.privacy.clipping.contract import Clipper
from holdfast.privacy.clipping.examples import AutomaticClipping, PerExampleClipping
from holdfast.privacy.clipping.layers import LayerScaling, PerLayerClipping

ClippingStyle = Literal["flat", "per-layer", "automatic", "adaptive"]
OPTIONS: Mapping[ClippingStyle, frozenset[str]] = {  # what each style knows, in the words of dp_sgd and of a study file
    "flat": frozenset({"clip_norm"}),
    "per-layer": frozenset({"clip_norm", "layer_scaling"}),
    "automatic": frozenset({"gamma"}),
    "adaptive": frozenset({"clip_norm", "quantile", "clip_learning_rate", "count_noise"}),
}


def clipper_of(
    style: ClippingStyle,
    *,
    batch_size: int,
    clip_norm: float | None = None,
    layer_scaling: LayerScaling | Mapping[str, float] | None = None,
    gamma: float | None = None,
    quantile: float | None = None,
    clip_learning_rate: float | None = None,
    count_noise: float | None = None,
) -> Clipper:
    """The clipper of this style; None stands for an option that was not given.

    Args:
        style: "flat", "per-layer", "automatic" or "adaptive".
        batch_size: Expected number of examples in a batch.
        clip_norm: Needed by every style but "automatic"; of "adaptive", that of the first step.
        layer_scaling: Of "per-layer"; "uniform" if not given.
        gamma: Of "automatic"; 0.01 if not given.
        quantile: Of "adaptive"; 0.5 if not given.
        clip_learning_rate: Of "adaptive"; 0.2 if not given.
        count_noise: Of "adaptive"; a twentieth of the batch size if not given.

    Raises:
        InputError: For an unknown style, an option that the style has no use for, or one that it lacks.
    """
    check_style(style)
    given: dict[str, Any] = {
        "clip_norm": clip_norm,
        "layer_scaling": layer_scaling,
        "gamma": gamma,
        "quantile": quantile,
        "clip_learning_rate": clip_learning_rate,
        "count_noise": count_noise,
    }
    options = {name: value for name, value in given.items() if value is not None}
    _check_options(style, options)
    if style == "per-layer":
        return PerLayerClipping(**options)
    if style == "automatic":
        return AutomaticClipping(**options)
    if style == "adaptive":
        rate = {"learning_rate": options.pop("clip_learning_rate")} if "clip_learning_rate" in options else {}
        return AdaptiveClipping(**{"quantile": 0.5, "count_noise": batch_size / 20} | options | rate)
    return PerExampleClipping(**options)


def check_style(style: str) -> ClippingStyle:
    """The style of this name.

    Raises:
        InputError: If there is none.
    """
    for known in get_args(ClippingStyle):
        if style == known:
            return known  # type: ignore[no-any-return]  # get_args hides the literals
    raise InputError(f"clipping is {style!r}; {nearest(style, get_args(ClippingStyle))}")


def _check_options(style: ClippingStyle, options: Mapping[str, Any]) -> None:
    useless = sorted(options.keys() - OPTIONS[style])
    if useless:
        owners = [f"{owner!r}" for owner, known in OPTIONS.items() if useless[0] in known]
        raise InputError(
            f"{useless[0]} is {options[useless[0]]!r}, which clipping {style!r} has no use for; leave it out, or choose clipping "
            f"{' or '.join(owners)}"
        )
    if "clip_norm" in OPTIONS[style] and "clip_norm" not in options:
        raise InputError(f"clipping {style!r} needs clip_norm; there is no default (1.0 is a common start)")


def with_cheap_count(clipper: AdaptiveClipping, *, noise_multiplier: float) -> AdaptiveClipping:
    """The clipper with at least so much noise on its count that the count costs next to nothing: twice the multiplier, in examples.

    The sum then gets at most ``1 / sqrt(1 - 1/16)`` times, or 3.3 per cent more than, the noise of flat clipping.

    Args:
        clipper: Its `count_noise` is raised where it is less.
        noise_multiplier: z, of sum and count together; the largest of a schedule.
    """
    return replace(clipper, count_noise=max(clipper.count_noise, 2 * noise_multiplier))
