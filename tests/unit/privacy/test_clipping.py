"""Clipping styles: each example's part of the sum, both engines, what is counted, and options that belong nowhere."""

import logging
import math
from dataclasses import FrozenInstanceError

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from holdfast.core.errors import InputError
from holdfast.core.randomness import Streams
from holdfast.privacy import (
    AdaptiveClipping,
    AutomaticClipping,
    Budget,
    ClippingState,
    Execution,
    MicroBatchClipping,
    PerExampleClipping,
    PerLayerClipping,
    attach,
    dp_sgd,
)
from holdfast.privacy.preflight import preflight
from holdfast.privacy.sums import layer_of, layer_sizes

PLAN = {"examples": 1000, "batch_size": 50, "epochs": 2, "noise_multiplier": 1.0, "delta": 1e-5}
STYLES = {
    "flat": PerExampleClipping(clip_norm=0.7),
    "per-layer": PerLayerClipping(clip_norm=0.7),
    "per-layer by dimension": PerLayerClipping(clip_norm=0.7, layer_scaling="dimension"),
    "automatic": AutomaticClipping(),
    "adaptive": AdaptiveClipping(clip_norm=0.7, quantile=0.5, count_noise=2.0),
}
each_style = pytest.mark.parametrize("clipper", STYLES.values(), ids=STYLES)


class Model(nn.Module):
    """An embedding, a norm and a head whose weight is used twice."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.norm, self.head = nn.Embedding(20, 4), nn.LayerNorm(4), nn.Linear(4, 4)

    def forward(self, ids_BT: Tensor) -> Tensor:
        return self.head(self.head(self.norm(self.words(ids_BT)).sum(1)).tanh())


class Problem:
    """A model, its examples and losses; example `i` has index `i`, and some are multiplied."""

    def __init__(self, *, scale: float = 1.0, dtype: torch.dtype = torch.float64) -> None:
        torch.manual_seed(0)
        self.model = Model().to(dtype)
        self.ids, self.labels = torch.randint(0, 20, (40, 5)), torch.randint(0, 4, (40,))
        self.scales = torch.full((40,), scale, dtype=dtype)
        self.broken = torch.zeros(40, dtype=torch.bool)

    def losses_of(self, indices) -> Tensor:
        logits = self.model(self.ids[indices])
        if self.broken.any():
            logits.register_hook(lambda gradient: gradient.masked_fill(self.broken[indices][:, None], math.nan))
        return self.scales[indices] * nn.functional.cross_entropy(logits, self.labels[indices], reduction="none")

    def sums(self, clipper, indices, *, state=None, engine="book-keeping", size=128) -> dict[str, Tensor]:
        execution = Execution(physical_batch_size=size, engine=engine)
        return clipper.clipped_sum(
            self.model, self.losses_of, np.asarray(indices), streams=Streams.from_seed(1), step=0, execution=execution, state=state
        )

    def of(self, clipper, index) -> dict[str, Tensor]:
        """What one example adds."""
        return self.sums(clipper, [index])

    def layers_of(self, clipper, index) -> dict[str, float]:
        squares: dict[str, float] = {}
        for name, gradient in self.of(clipper, index).items():
            squares[layer_of(name)] = squares.get(layer_of(name), 0.0) + float(gradient.square().sum())
        return {layer: square**0.5 for layer, square in squares.items()}


def flat(total: dict[str, Tensor]) -> Tensor:
    return torch.cat([gradient.flatten() for gradient in total.values()])


@each_style
def test_both_engines_agree_whole_and_in_parts(clipper):
    problem = Problem(scale=2.0)
    found = []
    for how in ({"engine": "loop"}, {"size": 128}, {"size": 5}):
        state = ClippingState()
        found.append((flat(problem.sums(clipper, np.arange(23), state=state, **how)), state))
    assert found[0][0].norm() > 0.5
    for total, state in found[1:]:
        torch.testing.assert_close(total, found[0][0], rtol=1e-10, atol=1e-12)
        assert state == found[0][1]


@each_style
@pytest.mark.parametrize("engine", ["book-keeping", "loop"])
def test_an_empty_batch_gives_zeros_and_counts_nobody(clipper, engine):
    problem, state = Problem(), ClippingState(balance=3.0)
    total = problem.sums(clipper, np.arange(0), state=state, engine=engine)
    assert list(total) == [name for name, _ in problem.model.named_parameters()]
    assert not flat(total).any()
    if isinstance(clipper, AdaptiveClipping):
        assert state == ClippingState()


@pytest.mark.parametrize("scaling", ["uniform", "dimension", {"words": 1.0, "norm": 2.0, "head": 3.0}])
def test_each_layer_stays_within_its_threshold(scaling):
    problem, clipper = Problem(scale=30.0), PerLayerClipping(clip_norm=0.7, layer_scaling=scaling)
    bounds = clipper.thresholds(layer_sizes(problem.model))
    assert math.sqrt(sum(bound**2 for bound in bounds.values())) == pytest.approx(0.7)
    assert bounds == MicroBatchClipping(clip_norm=0.7, micro_batches=1, micro_batch_size=2, layer_scaling=scaling).thresholds(
        layer_sizes(problem.model)
    )
    for index in range(5):
        for layer, norm in problem.layers_of(clipper, index).items():
            assert norm == pytest.approx(bounds[layer])  # at this scale every layer is over its bound


def test_a_layer_below_its_threshold_is_left_alone_while_another_is_clipped():
    problem, clipper = Problem(scale=0.1), PerLayerClipping(clip_norm=1.0, layer_scaling={"words": 1e-3, "norm": 1.0, "head": 1.0})
    ordinary = problem.of(PerExampleClipping(clip_norm=1e9), 0)
    clipped = problem.of(clipper, 0)
    torch.testing.assert_close(clipped["head.weight"], ordinary["head.weight"])
    assert clipped["words.weight"].norm() < 0.1 * ordinary["words.weight"].norm()


def test_weights_must_name_the_layers_and_be_positive():
    problem = Problem()
    for weights in ({"words": 1.0}, {"words": 1.0, "norm": 0.0, "head": 1.0}, {"words": 1.0, "norm": math.inf, "head": 1.0}):
        with pytest.raises(InputError, match=r"for each of \['head', 'norm', 'words'\]"):
            problem.sums(PerLayerClipping(clip_norm=1.0, layer_scaling=weights), [0])


@pytest.mark.parametrize("engine", ["book-keeping", "loop"])
def test_weights_for_other_layers_are_refused_before_anything_is_reserved(engine, tmp_path):
    problem = Problem()
    mechanism = dp_sgd(**PLAN, clipping="per-layer", clip_norm=1.0, layer_scaling={"words": 1.0, "nrom": 1.0, "head": 1.0})
    with pytest.raises(InputError, match=r"for each of \['head', 'norm', 'words'\]"):
        preflight(problem.model, problem.losses_of, np.arange(3), mechanism, execution=Execution(engine=engine))
    with (
        pytest.raises(InputError, match=r"for each of \['head', 'norm', 'words'\]"),
        attach(problem.model, mechanism, ledger=tmp_path / "a"),
    ):
        pass
    assert not (tmp_path / "a").exists()
    with attach(problem.model, dp_sgd(**PLAN, clipping="per-layer", clip_norm=1.0)):
        pass


def test_an_unknown_scaling_is_refused():
    with pytest.raises(InputError, match="layer_scaling is 'by size'"):
        PerLayerClipping(clip_norm=1.0, layer_scaling="by size")


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_automatic_clipping_keeps_every_summand_shorter_than_one_and_its_direction(scale):
    problem = Problem(scale=scale)
    for index in range(10):
        automatic, ordinary = (flat(problem.of(clipper, index)) for clipper in (AutomaticClipping(), PerExampleClipping(clip_norm=1e12)))
        assert float(automatic.norm()) < 1
        assert float(automatic.norm()) == pytest.approx(float(ordinary.norm() / (ordinary.norm() + 0.01)))
        torch.testing.assert_close(automatic / automatic.norm(), ordinary / ordinary.norm())


def test_automatic_clipping_does_not_see_the_scale_of_the_loss():
    one, thousand = (flat(Problem(scale=scale).sums(AutomaticClipping(gamma=1e-5 * scale), np.arange(9))) for scale in (1.0, 1000.0))
    torch.testing.assert_close(one, thousand)
    clipped = [flat(Problem(scale=scale).sums(PerExampleClipping(clip_norm=1e9), np.arange(9))) for scale in (1.0, 1000.0)]
    assert float(clipped[1].norm()) > 500 * float(clipped[0].norm())


@each_style
def test_the_stated_sensitivity_doubles_where_an_example_is_replaced(clipper):
    once, twice = clipper.sensitivity("zero-out"), clipper.sensitivity("replace-one")
    assert clipper.sensitivity("add/remove") == once == clipper.clip_norm
    assert twice == 2 * once


# norms that are not finite


@each_style
@pytest.mark.parametrize("engine", ["book-keeping", "loop"])
@pytest.mark.parametrize("bad", ["too large to square", "not a number"])
def test_a_norm_that_is_not_finite_has_weight_zero_is_counted_and_said_once(clipper, engine, bad, caplog):
    """The loss is finite and the norm is not."""
    problem, state = Problem(), clipper_state(clipper)
    good = flat(problem.sums(clipper, np.arange(2, 12)))
    if bad == "not a number":
        problem.broken[:2] = True
    else:
        problem.scales[:2] = 1e200
    with caplog.at_level(logging.WARNING, "holdfast"):
        total = flat(problem.sums(clipper, np.arange(12), state=state, engine=engine, size=4))
        problem.sums(clipper, np.arange(12), state=state, engine=engine, size=4)
    torch.testing.assert_close(total, good, rtol=1e-9, atol=1e-12)
    assert state.not_finite == 4
    (line,) = [record.getMessage() for record in caplog.records]
    assert "norm that is not finite" in line
    assert "the claim does not cover it" in line


def test_a_micro_batch_with_a_norm_that_is_not_finite_is_counted_and_said_once(caplog):
    clipper = MicroBatchClipping(clip_norm=0.7, micro_batches=3, micro_batch_size=4)
    slots = clipper.assignment(np.arange(12), streams=Streams.from_seed(1), step=0)
    problem, state = Problem(), ClippingState()
    problem.broken[int(np.flatnonzero(slots == slots[0])[0])] = True
    with caplog.at_level(logging.WARNING, "holdfast"):
        total = flat(problem.sums(clipper, np.arange(12), state=state))
        problem.sums(clipper, np.arange(12), state=state)
    assert torch.isfinite(total).all()
    assert state.not_finite == 2
    assert len(caplog.records) == 1


def clipper_state(clipper) -> ClippingState:
    return ClippingState(clip_norm=clipper.clip_norm if isinstance(clipper, AdaptiveClipping) else None)


def test_a_norm_that_is_not_finite_counts_as_above_the_threshold():
    clipper, problem, state = AdaptiveClipping(clip_norm=1e9, quantile=0.5, count_noise=1.0), Problem(), ClippingState(clip_norm=1e9)
    problem.sums(clipper, np.arange(10), state=state)
    assert state.balance == 5
    problem.scales[:3] = 1e200
    problem.sums(clipper, np.arange(10), state=state)
    assert state.balance == 2


# adaptive clipping


def test_the_sum_is_clipped_at_the_threshold_in_force_and_its_noise_follows():
    clipper, problem = AdaptiveClipping(clip_norm=1.0, quantile=0.5, count_noise=4.0), Problem(scale=1e3)
    state = ClippingState(clip_norm=0.25)
    total = problem.sums(clipper, [3], state=state)
    assert float(flat(total).norm()) == pytest.approx(0.25)
    assert clipper.noise_deviation(2.0, state) == pytest.approx(0.25 / math.sqrt(1 / 4 - 1 / 64))
    assert clipper.noise_deviation(2.0) == pytest.approx(4 * clipper.noise_deviation(2.0, state))
    with pytest.raises(FrozenInstanceError):
        clipper.clip_norm = 2.0


@pytest.mark.parametrize("quantile", [0.2, 0.5, 0.9])
@pytest.mark.parametrize("start", [1e-3, 1e3])
def test_the_threshold_converges_to_the_quantile_that_was_asked_for(quantile, start):
    clipper, problem = AdaptiveClipping(clip_norm=start, quantile=quantile, count_noise=1.0), Problem(scale=5.0)
    norms = np.array([float(flat(problem.of(PerExampleClipping(clip_norm=1e9), index)).norm()) for index in range(40)])
    state = ClippingState(clip_norm=start)
    for step in range(400):
        state.balance = float(np.sum(norms <= state.clip_norm) - 20)  # as `sums` counts it, without running the model 400 times
        if step == 399:
            expected = state.balance
            problem.sums(clipper, np.arange(40), state=state)
            assert state.balance == expected
        clipper.adapt(state, expected=40, noise=False, streams=Streams.from_seed(0), step=step)
    assert np.mean(norms <= state.clip_norm) == pytest.approx(quantile, abs=0.05)


def test_one_step_moves_the_threshold_by_the_formula_of_the_paper():
    clipper = AdaptiveClipping(clip_norm=2.0, quantile=0.3, count_noise=1.0, learning_rate=0.4)
    state = ClippingState(clip_norm=2.0, balance=-4.0)
    clipper.adapt(state, expected=20, noise=False, streams=Streams.from_seed(0), step=0)
    assert state == ClippingState(clip_norm=pytest.approx(2.0 * math.exp(-0.4 * ((-4 / 20 + 0.5) - 0.3))))


@pytest.mark.parametrize(("balance", "share"), [(1e6, 1.0), (-1e6, 0.0)])
def test_no_count_moves_the_threshold_by_more_than_its_rate(balance, share):
    clipper, state = AdaptiveClipping(clip_norm=1.0, quantile=0.5, count_noise=1.0), ClippingState(balance=balance)
    clipper.adapt(state, expected=10, noise=True, streams=Streams.from_seed(0), step=0)
    assert state.clip_norm == pytest.approx(math.exp(-0.2 * (share - 0.5)))


def test_the_noise_of_the_count_is_addressed_by_step_and_shared_with_nothing():
    clipper = AdaptiveClipping(clip_norm=1.0, quantile=0.5, count_noise=2.0)

    def moved(seed: int, step: int) -> float:
        state = ClippingState()
        clipper.adapt(state, expected=50, noise=True, streams=Streams.from_seed(seed), step=step)
        return state.clip_norm

    assert moved(1, 7) == moved(1, 7)
    assert len({moved(1, 7), moved(1, 8), moved(2, 7)}) == 3
    mechanism = dp_sgd(**PLAN, clipping="adaptive", clip_norm=1.0)
    total = {"weight": torch.zeros(1, dtype=torch.float64)}
    mechanism.add_noise(total, streams=Streams.from_seed(1), step=7, state=ClippingState(clip_norm=1.0))
    behind_the_move = -math.log(moved(1, 7)) / 0.2 * 50 / 2.0
    assert float(total["weight"]) / mechanism.standard_deviation(7) != pytest.approx(behind_the_move, rel=1e-6)


def test_hardened_noise_hardens_the_count_too():
    moved = []
    for hardening in ("none", "sum-of-four"):
        mechanism = dp_sgd(**PLAN, clipping="adaptive", clip_norm=1.0, noise_hardening=hardening)
        state = mechanism.clipping_state()
        mechanism.finish({"weight": torch.zeros(3)}, streams=Streams.from_seed(1), step=0, state=state)
        moved.append(state.clip_norm)
    assert moved[0] != moved[1]


# options


def test_every_style_makes_its_clipper_and_the_same_proved_promise():
    made = {
        "flat": dp_sgd(**PLAN, clip_norm=0.5),
        "per-layer": dp_sgd(**PLAN, clipping="per-layer", clip_norm=0.5, layer_scaling="dimension"),
        "automatic": dp_sgd(**PLAN, clipping="automatic", gamma=0.1),
        "adaptive": dp_sgd(**PLAN, clipping="adaptive", clip_norm=0.5, quantile=0.7, clip_learning_rate=0.1, count_noise=3.0),
    }
    assert [mechanism.clipper for mechanism in made.values()] == [
        PerExampleClipping(clip_norm=0.5),
        PerLayerClipping(clip_norm=0.5, layer_scaling="dimension"),
        AutomaticClipping(gamma=0.1),
        AdaptiveClipping(clip_norm=0.5, quantile=0.7, count_noise=3.0, learning_rate=0.1),
    ]
    assert {(mechanism.kind, mechanism.epsilon()) for mechanism in made.values()} == {("proved", made["flat"].epsilon())}
    described = made["adaptive"].describe()
    assert (described["clipping"], described["clip_norm"]) == ("AdaptiveClipping", 0.5)
    assert described["clipper"] == {"clip_norm": 0.5, "quantile": 0.7, "count_noise": 3.0, "learning_rate": 0.1}
    assert made["automatic"].describe()["clip_norm"] == 1.0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "clipping 'flat' needs clip_norm; there is no default"),
        ({"clipping": "per-layer"}, "clipping 'per-layer' needs clip_norm"),
        ({"clipping": "adaptive"}, "clipping 'adaptive' needs clip_norm"),
        ({"clipping": "automatic", "clip_norm": 1.0}, "clip_norm is 1.0, which clipping 'automatic' has no use for; leave it out"),
        ({"clip_norm": 1.0, "gamma": 0.1}, "gamma is 0.1, which clipping 'flat' has no use for.*'automatic'"),
        ({"clip_norm": 1.0, "layer_scaling": "uniform"}, "layer_scaling is 'uniform'.*choose clipping 'per-layer'"),
        ({"clip_norm": 1.0, "clipping": "per-layer", "quantile": 0.5}, "quantile is 0.5.*choose clipping 'adaptive'"),
        ({"clip_norm": 1.0, "clip_learning_rate": 0.2}, "clip_learning_rate is 0.2"),
        ({"clip_norm": 1.0, "count_noise": 2.0}, "count_noise is 2.0"),
        ({"clip_norm": 1.0, "clipping": "adaptiv"}, "clipping is 'adaptiv'; did you mean 'adaptive'"),
        ({"clipping": "automatic", "gamma": 0.0}, "gamma is 0.0"),
        ({"clipping": "adaptive", "clip_norm": 1.0, "quantile": 1.0}, r"quantile is 1.0; it must lie in \(0, 1\)"),
        ({"clipping": "adaptive", "clip_norm": 1.0, "count_noise": 0.0}, "count_noise is 0.0"),
        ({"clipping": "adaptive", "clip_norm": 1.0, "count_noise": 0.5}, "with a noise multiplier of 1 it must be above 0.5"),
        ({"clipping": "adaptive", "clip_norm": -1.0}, "clip_norm is -1.0"),
        ({"clipping": "per-layer", "clip_norm": math.nan}, "clip_norm is nan"),
    ],
)
def test_an_option_that_does_not_fit_is_refused_and_never_ignored(options, message):
    with pytest.raises(InputError, match=message):
        dp_sgd(**PLAN, **options)


@pytest.mark.parametrize("batch_size", [2, 50, 1000])
def test_without_a_choice_the_count_costs_next_to_nothing_whatever_the_noise(batch_size):
    for noise in ({"noise_multiplier": 30.0, "delta": 1e-5}, {"target": Budget(epsilon=0.5, delta=1e-5)}):
        mechanism = dp_sgd(examples=1000, batch_size=batch_size, steps=10, clipping="adaptive", clip_norm=2.0, **noise)
        multiplier = mechanism.noise.noise_multiplier
        assert mechanism.clipper.count_noise == max(batch_size / 20, 2 * multiplier)
        assert 2 * multiplier < mechanism.standard_deviation(0) < 2.07 * multiplier
