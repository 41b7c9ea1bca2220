"""Statistics of the private update: noise of the right size, sums as stable as claimed, planted bugs caught.

The tests of bugs after "Finding private bugs" (debugging of DP-SGD implementations): each check that passes for the real
mechanism must fail for a clipper or a noise that is broken in a way in which published implementations were broken.
"""

import dataclasses

import dp_accounting
import numpy as np
import pytest
import torch
from scipy import optimize, stats
from torch import Tensor, nn

from holdfast.core.randomness import Streams
from holdfast.privacy import (
    AdaptiveClipping,
    AutomaticClipping,
    ClippingState,
    Execution,
    MicroBatchClipping,
    PerExampleClipping,
    PerLayerClipping,
    PoissonSampler,
    dp_sgd,
    edp_sgd,
    epsilon,
)
from holdfast.privacy.sums import plain

CLIP = 0.7


class Model(nn.Module):
    """Embedding and head, so that a bug may hide in one layer."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.head = nn.Embedding(20, 4), nn.Linear(4, 3)

    def forward(self, ids_BT: Tensor) -> Tensor:
        return self.head(self.words(ids_BT).tanh().sum(1))


class Problem:
    """A model, its examples and losses; example `i` has index `i`."""

    def __init__(self, seed: int, scale: float = 3.0) -> None:
        torch.manual_seed(seed)
        self.model = Model()
        self.ids = torch.randint(0, 20, (40, 5))
        self.labels = torch.randint(0, 3, (40,))
        self.scale = scale

    def losses_of(self, indices) -> Tensor:
        return self.scale * nn.functional.cross_entropy(self.model(self.ids[indices]), self.labels[indices], reduction="none")

    def sum(self, clipper, indices, step: int = 0, **more) -> Tensor:
        total = clipper.clipped_sum(
            self.model, self.losses_of, np.asarray(indices), streams=Streams.from_seed(1), step=step, execution=Execution(), **more
        )
        return torch.cat([gradient.flatten() for gradient in total.values()])


class ClipsTheBatch(PerExampleClipping):
    """Planted bug: the sum is clipped as a whole."""

    def clipped_sum(self, model, losses_of, indices, *, streams, step, execution):
        total = plain(model, losses_of, indices, execution=execution)
        norm = torch.cat([g.flatten() for g in total.values()]).norm()
        return {name: g * min(1.0, len(indices) * self.clip_norm / float(norm)) for name, g in total.items()}


class GivesEveryLayerTheWholeThreshold(PerLayerClipping):
    """Planted bug: each layer may be as long as all of them together."""

    def thresholds(self, sizes):
        return dict.fromkeys(sizes, self.clip_norm)


class ForgetsTheEmbedding(PerExampleClipping):
    """Planted bug: the embedding's gradient is neither counted in the norm nor clipped."""

    def clipped_sum(self, model, losses_of, indices, *, streams, step, execution):
        whole = plain(model, losses_of, indices, execution=execution)
        model.words.requires_grad_(False)
        try:
            head = super().clipped_sum(model, losses_of, indices, streams=streams, step=step, execution=execution)
        finally:
            model.words.requires_grad_(True)
        return {"words.weight": whole["words.weight"], **head}


def worst_change(clipper, *, seeds: int = 12) -> float:
    """Largest change of the sum when one example leaves, over many batches and examples, as a share of the claim."""
    worst = 0.0
    for seed in range(seeds):
        problem = Problem(seed)
        batch = np.arange(12)
        whole = problem.sum(clipper, batch)
        worst = max(worst, *(float((whole - problem.sum(clipper, np.delete(batch, gone))).norm()) for gone in batch))
    return worst / clipper.sensitivity("add/remove")


@pytest.mark.parametrize(
    "clipper",
    [
        PerExampleClipping(clip_norm=CLIP),
        PerLayerClipping(clip_norm=CLIP),
        PerLayerClipping(clip_norm=CLIP, layer_scaling="dimension"),
        PerLayerClipping(clip_norm=CLIP, layer_scaling={"words": 1.0, "head": 5.0}),
        AutomaticClipping(),
        AutomaticClipping(gamma=1.0),
        AdaptiveClipping(clip_norm=CLIP, quantile=0.5, count_noise=2.0),
        MicroBatchClipping(clip_norm=CLIP, micro_batches=1, micro_batch_size=12),
        MicroBatchClipping(clip_norm=CLIP, micro_batches=4, micro_batch_size=3),
        MicroBatchClipping(clip_norm=CLIP, micro_batches=4, micro_batch_size=3, layer_scaling="dimension"),
    ],
    ids=lambda clipper: f"{type(clipper).__name__}-{getattr(clipper, 'micro_batches', '')}",
)
def test_no_example_moves_the_sum_by_more_than_claimed(clipper):
    assert 0.1 < worst_change(clipper) <= 1 + 1e-5


@pytest.mark.parametrize("bug", [ClipsTheBatch, ForgetsTheEmbedding, GivesEveryLayerTheWholeThreshold])
def test_a_clipper_with_a_planted_bug_exceeds_its_claim(bug):
    assert worst_change(bug(clip_norm=CLIP)) > 1.05


class ForgetsTheCount(AdaptiveClipping):
    """Planted bug: the sum gets the noise of flat clipping, as if the count were free."""

    def noise_deviation(self, noise_multiplier, state=None):
        return noise_multiplier * (self.clip_norm if state is None else state.clip_norm)


def worst_joint_change(clipper, multiplier: float, *, replace: bool) -> float:
    """Largest change of sum and count together, each in units of its own noise, as a share of what the multiplier claims."""
    worst = 0.0
    for seed in range(4):
        problem, batch = Problem(seed), np.arange(12)

        def released(indices, problem=problem) -> Tensor:
            state = ClippingState(clip_norm=CLIP)
            total = problem.sum(clipper, indices, state=state).double() / clipper.noise_deviation(multiplier, ClippingState(clip_norm=CLIP))
            return torch.cat([total, torch.tensor([state.balance / clipper.count_noise])])

        for gone in batch:
            left = np.delete(batch, gone)
            other = np.concatenate([left, [20 + gone]]) if replace else left
            worst = max(worst, float((released(batch) - released(other)).norm()))
    return worst * multiplier / clipper.sensitivity("replace-one" if replace else "zero-out") * clipper.clip_norm


@pytest.mark.parametrize("replace", [False, True], ids=["leaves", "is replaced"])
def test_sum_and_count_together_move_by_no_more_than_the_multiplier_claims(replace):
    options = {"clip_norm": 5.0, "quantile": 0.5, "count_noise": 1.2}
    assert 0.6 < worst_joint_change(AdaptiveClipping(**options), 1.1, replace=replace) <= 1 + 1e-5
    if not replace:
        assert worst_joint_change(ForgetsTheCount(**options), 1.1, replace=replace) > 1.08


def gaussian_epsilon(multipliers: list[float], delta: float) -> float:
    """Epsilon of Gaussian mechanisms one after the other, in closed form (Balle and Wang 2018, theorem 8)."""
    mu = sum(multiplier**-2 for multiplier in multipliers) ** 0.5

    def excess(eps: float) -> float:
        return stats.norm.cdf(mu / 2 - eps / mu) - np.exp(eps) * stats.norm.cdf(-mu / 2 - eps / mu) - delta

    return float(optimize.brentq(excess, 0, 300))


def released_multipliers(mechanism) -> list[float]:
    """Of everything that a step of adaptive clipping releases: the ratio of its noise to the most that one example moves it."""
    clipper = mechanism.clipper
    return [mechanism.standard_deviation(0) / clipper.clip_norm, clipper.count_noise / 0.5]


def adaptive(*, forgetful: bool = False, **plan):
    mechanism = dp_sgd(clipping="adaptive", clip_norm=2.0, count_noise=0.9, noise_multiplier=1.3, delta=1e-5, **plan)
    clipper = mechanism.clipper
    forgets = ForgetsTheCount(clip_norm=2.0, quantile=clipper.quantile, count_noise=clipper.count_noise)
    return dataclasses.replace(mechanism, clipper=forgets) if forgetful else mechanism


def test_the_account_covers_sum_and_count_where_everybody_takes_part():
    """Full batches: the account against the closed form for two Gaussian releases a step."""
    plan = {"examples": 40, "batch_size": 40, "steps": 6, "sampler": "shuffled"}
    for forgetful in (False, True):
        mechanism = adaptive(**plan, forgetful=forgetful)
        true = gaussian_epsilon(released_multipliers(mechanism) * 6, 1e-5)
        if forgetful:
            assert mechanism.epsilon() < 0.9 * true
        else:
            assert mechanism.epsilon() == pytest.approx(true, rel=1e-3)


def test_the_account_covers_sum_and_count_of_sampled_batches():
    """The same against dp-accounting's own composition of the two releases inside one Poisson-sampled event."""
    plan = {"examples": 400, "batch_size": 20, "steps": 50, "sampler": "poisson"}
    for forgetful in (False, True):
        mechanism = adaptive(**plan, forgetful=forgetful)
        both = dp_accounting.ComposedDpEvent([dp_accounting.GaussianDpEvent(value) for value in released_multipliers(mechanism)])
        event = dp_accounting.PoissonSampledDpEvent(0.05, both)
        true = dp_accounting.rdp.RdpAccountant().compose(event, 50).get_epsilon(1e-5)
        claimed = epsilon(mechanism.ledger(), 1e-5, accountant="rdp")
        if forgetful:
            assert claimed < 0.95 * true
        else:
            assert claimed == pytest.approx(true, rel=1e-6)


def test_the_noise_of_the_count_has_the_scale_that_is_accounted_for():
    clipper, moves = AdaptiveClipping(clip_norm=1.0, quantile=0.5, count_noise=3.0, learning_rate=1.0), []
    for step in range(2000):
        state = ClippingState()
        clipper.adapt(state, expected=100, noise=True, streams=Streams.from_seed(5), step=step)
        moves.append(-100 * np.log(state.clip_norm))
    assert right_scale(torch.tensor(moves), 3.0)
    assert not right_scale(torch.tensor(moves), 2.0)


def test_micro_batches_reach_twice_the_clip_norm():
    """The factor of two is real: an example that turns the mean from one end of the ball to the other."""

    class Line(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Linear(1, 1, bias=False)

        def forward(self, x: Tensor) -> Tensor:
            return self.weight(x).squeeze(1)

    model, x = Line(), torch.tensor([[5.0], [5.0], [-100.0]])
    clipper = MicroBatchClipping(clip_norm=1.0, micro_batches=1, micro_batch_size=3)
    options = {"streams": Streams.from_seed(0), "step": 0, "execution": Execution()}
    with_it = clipper.clipped_sum(model, lambda i: model(x[i]), np.arange(3), **options)["weight.weight"]
    without = clipper.clipped_sum(model, lambda i: model(x[i]), np.arange(2), **options)["weight.weight"]
    assert float((with_it - without).abs()) == pytest.approx(2.0) == clipper.sensitivity("add/remove")


def test_one_huge_example_weighs_at_most_the_clip_norm():
    """Finding private bugs, test b: all others are silent, so the sum may not grow with how many they are."""
    problem = Problem(0)
    weights = torch.zeros(40)
    weights[0] = 1e4
    cross_entropy = problem.losses_of
    problem.losses_of = lambda indices: weights[indices] * cross_entropy(indices)
    for clipper, bounded in ((PerExampleClipping(clip_norm=CLIP), True), (ClipsTheBatch(clip_norm=CLIP), False)):
        assert (float(problem.sum(clipper, np.arange(32)).norm()) <= CLIP * 1.001) == bounded


def test_without_noise_the_update_varies_with_the_clip_norm():
    """Finding private bugs, test a."""
    problem = Problem(1)
    small, large = (problem.sum(PerExampleClipping(clip_norm=clip), np.arange(10)).norm() for clip in (0.01, 0.1))
    assert float(large / small) == pytest.approx(10, rel=0.05)


def noise_of(mechanism, *, steps: int, factor: float = 1.0) -> Tensor:
    """Draws of the noise that a mechanism adds to a sum of zeros, times a planted factor."""
    draws = []
    for step in range(steps):
        total = {"a": torch.zeros(50, 4), "b": torch.zeros(7)}
        mechanism.add_noise(total, streams=Streams.from_seed(5), step=step)
        draws.append(torch.cat([value.flatten() for value in total.values()]) * factor)
    return torch.stack(draws)


def right_scale(draws: Tensor, deviation: float) -> bool:
    """Accepts Gaussian noise of this standard deviation, at one error in a thousand: chi-square on the squares, KS on the shape."""
    count = draws.numel()
    statistic = float(draws.double().square().sum()) / deviation**2
    low, high = stats.chi2.interval(0.999, count)
    return low < statistic < high and stats.kstest(draws.flatten().numpy() / deviation, "norm").pvalue > 1e-3


@pytest.mark.parametrize(
    ("mechanism", "deviation"),
    [
        (dp_sgd(examples=100, batch_size=10, steps=60, clip_norm=0.5, noise_multiplier=1.3, delta=1e-5), 0.65),
        (edp_sgd(examples=100, batch_size=10, steps=60, clip_norm=0.5, noise_multiplier=1.3, delta=1e-5, micro_batch_size=5), 0.65),
        (dp_sgd(examples=100, batch_size=10, steps=60, clipping="automatic", noise_multiplier=1.3, delta=1e-5), 1.3),
        (
            dp_sgd(
                examples=100, batch_size=10, steps=60, clipping="adaptive", clip_norm=0.5, count_noise=1.3, noise_multiplier=1.3, delta=1e-5
            ),
            0.5 * 1.3 / 0.75**0.5,
        ),
    ],
    ids=["dp-sgd", "edp-sgd", "automatic", "adaptive"],
)
def test_noise_has_the_claimed_scale_and_a_wrong_one_is_rejected(mechanism, deviation):
    assert right_scale(noise_of(mechanism, steps=60), deviation)
    for wrong in (2 / 3, 3 / 2, 0.0):
        assert not right_scale(noise_of(mechanism, steps=60, factor=wrong), deviation)


def test_the_event_speaks_of_the_noise_that_is_added():
    """What the accountant is told, times the sensitivity, is the measured standard deviation."""
    for make in (dp_sgd, edp_sgd):
        extra = {"micro_batch_size": 5} if make is edp_sgd else {}
        mechanism = make(examples=100, batch_size=10, steps=60, clip_norm=0.5, noise_multiplier=1.3, delta=1e-5, **extra)
        ((event, _),) = mechanism.ledger().entries
        told = event.noise_multiplier * mechanism.clipper.sensitivity(event.neighbouring)
        assert float(noise_of(mechanism, steps=60).std()) == pytest.approx(told, rel=0.03)


def test_no_two_coordinates_steps_or_parameters_share_noise():
    mechanism = dp_sgd(examples=100, batch_size=10, steps=400, clip_norm=1.0, noise_multiplier=1.0, delta=1e-5)
    draws = noise_of(mechanism, steps=400)
    correlation = torch.corrcoef(draws.T).fill_diagonal_(0).abs().max()
    assert float(correlation) < 6 / 400**0.5  # over 20,000 pairs the largest of the null lies near 4.3 of these
    assert len(torch.unique(draws)) > 0.999 * draws.numel()


def test_the_noise_adds_up_over_the_whole_of_training():
    """Too little noise in the weights is a bug too: zero gradients leave a random walk of known size."""
    mechanism = dp_sgd(examples=50, batch_size=5, steps=100, clip_norm=1.0, noise_multiplier=2.0, delta=1e-5)
    walk = noise_of(mechanism, steps=100).sum(0) / mechanism.divisor
    assert right_scale(walk[None], 2.0 * 100**0.5 / 5)


def test_poisson_draws_each_example_with_its_probability_independently():
    sampler = PoissonSampler(200, 20)
    drawn = np.zeros((600, 200), dtype=bool)
    for step in range(600):
        drawn[step, sampler.indices(step, Streams.from_seed(2))] = True
    sizes = drawn.sum(1)
    assert stats.binomtest(int(drawn.sum()), drawn.size, 0.1).pvalue > 1e-3
    assert sizes.var() == pytest.approx(200 * 0.1 * 0.9, rel=0.25)  # fixed-size batches would have none
    together = np.corrcoef(drawn.T)
    np.fill_diagonal(together, 0)
    assert np.abs(together).max() < 6 / 600**0.5
    assert (sizes == 0).mean() < 0.01


def test_an_empty_batch_can_happen_and_is_only_noise():
    sampler = PoissonSampler(10, 1)
    empty = [step for step in range(60) if not len(sampler.indices(step, Streams.from_seed(0)))]
    assert 10 < len(empty) < 40  # (1 - 1/10)^10 = .35 of 60
    problem = Problem(0)
    assert not problem.sum(PerExampleClipping(clip_norm=1.0), np.arange(0)).any()


def test_removing_an_example_moves_no_other_to_another_micro_batch():
    clipper = MicroBatchClipping(clip_norm=1.0, micro_batches=8, micro_batch_size=4)
    everyone = np.arange(5000)
    slots = clipper.assignment(everyone, streams=Streams.from_seed(1), step=3)
    without = clipper.assignment(np.delete(everyone, 17), streams=Streams.from_seed(1), step=3)
    np.testing.assert_array_equal(np.delete(slots, 17), without)
    assert stats.chisquare(np.bincount(slots, minlength=8)).pvalue > 1e-3
    assert not np.array_equal(slots, clipper.assignment(everyone, streams=Streams.from_seed(1), step=4))
