"""Adam with the noise taken off its second moment: Adam where there is none, and no bias where there is."""

import pytest
import torch
from torch import Tensor

from holdfast.core.errors import InputError
from holdfast.training import DPAdamBC, TrainingSettings, train

from .conftest import TASK, make_mechanism
from .test_resume import assert_same, outcome, run


def steps(optimizer: torch.optim.Optimizer, parameter: Tensor, gradients: Tensor, variances: list[float]) -> list[Tensor]:
    path = []
    for gradient, variance in zip(gradients, variances, strict=True):
        parameter.grad = gradient.clone()
        optimizer.param_groups[0]["noise_variance"] = variance
        optimizer.step()
        path.append(parameter.detach().clone())
    return path


@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
def test_without_noise_it_is_adam(weight_decay):
    gradients = torch.randn(30, 5, generator=torch.Generator().manual_seed(0)).double()
    one, other = (torch.ones(5, dtype=torch.float64, requires_grad=True) for _ in range(2))
    ours = steps(DPAdamBC([one], lr=0.01, floor=1e-30, weight_decay=weight_decay), one, gradients, [0.0] * 30)
    theirs = steps(torch.optim.Adam([other], lr=0.01, eps=0.0, weight_decay=weight_decay), other, gradients, [0.0] * 30)
    torch.testing.assert_close(ours, theirs)


def test_the_second_moment_of_pure_noise_comes_out_as_nothing():
    """The corrected second moment of noise alone averages zero, also where the noise changes by step; uncorrected it does not."""
    generator = torch.Generator().manual_seed(1)
    variances = [4.0 * 0.99**step for step in range(200)]
    noise = torch.stack([variance**0.5 * torch.randn(4000, generator=generator, dtype=torch.float64) for variance in variances])
    parameter = torch.zeros(4000, dtype=torch.float64, requires_grad=True)
    optimizer = DPAdamBC([parameter], lr=0.01, betas=(0.9, 0.99))
    steps(optimizer, parameter, noise, variances)
    state = optimizer.state[parameter]
    biased, corrected = float(state["second"].mean()), float((state["second"] - state["noise"]).mean())
    assert biased > 0.5
    assert abs(corrected) < 0.02 * biased


def test_a_small_signal_in_loud_noise_gets_the_step_that_adam_would_give_it():
    """Two coordinates, gradients .6 and .2, noise of deviation 1: Adam divides both by nearly the same, this one each by its own."""
    generator = torch.Generator().manual_seed(2)
    signal = torch.tensor([0.6, 0.2], dtype=torch.float64).repeat(500, 1).T.flatten()

    def moved(optimizer_of) -> Tensor:
        parameter = torch.zeros(1000, dtype=torch.float64, requires_grad=True)
        noise = torch.randn(400, 1000, generator=generator.manual_seed(2), dtype=torch.float64)
        path = steps(optimizer_of([parameter]), parameter, signal + noise, [1.0] * 400)
        return torch.stack([part.mean().abs() for part in path[-1].split(500)])

    ours = moved(lambda p: DPAdamBC(p, lr=1e-3, betas=(0.9, 0.999), floor=1e-2))
    theirs = moved(lambda p: torch.optim.Adam(p, lr=1e-3, betas=(0.9, 0.999)))
    assert float(theirs[0] / theirs[1]) > 2.3  # near the 3 of plain descent
    assert float(ours[0] / ours[1]) < 1.6  # near the 1 of Adam without noise


def test_training_hands_over_the_variance_of_its_noise(data, model, monkeypatch):
    seen = []
    monkeypatch.setattr(DPAdamBC, "step", lambda self: seen.append(self.param_groups[0]["noise_variance"]))
    mechanism = make_mechanism("dp-sgd", data, epochs=1)
    train(TASK, data, model=model, mechanism=mechanism, seed=1, settings=TrainingSettings(optimizer="dp-adam-bc"))
    assert seen == [pytest.approx((mechanism.standard_deviation(step) / mechanism.divisor) ** 2) for step in range(mechanism.steps)]
    assert seen[0] > 0


def test_it_resumes_to_the_same_weights(data, model, tmp_path):
    settings = TrainingSettings(optimizer="dp-adam-bc", second_moment_floor=1e-6, checkpoint_every=2)
    run(data, model, tmp_path / "whole", settings=settings)

    def stop(progress) -> None:
        if progress.done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(data, model, tmp_path / "parts", settings=settings, on_progress=stop)
    run(data, model, tmp_path / "parts", settings=settings)
    assert_same(outcome(tmp_path / "whole"), outcome(tmp_path / "parts"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"second_moment_floor": 1e-8}, "'adam' has no use for"),
        ({"optimizer": "dp-adam-bc", "second_moment_floor": 0.0}, "second_moment_floor is 0.0"),
    ],
)
def test_a_floor_that_does_not_fit_is_refused(change, message):
    with pytest.raises(InputError, match=message):
        TrainingSettings(**change)


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd", "dp-adam-bc"])
def test_weight_decay_looks_at_no_data(optimizer):
    """With gradients of zero the weights shrink by the same factor whatever else is in them, so the decay is post-processing."""
    layer = torch.nn.Linear(2, 1, bias=False)
    torch.nn.init.constant_(layer.weight, 2.0)
    built = TrainingSettings(optimizer=optimizer, weight_decay=0.1, learning_rate=0.01).build(layer)
    layer.weight.grad = torch.zeros_like(layer.weight)
    built.step()
    assert torch.equal(layer.weight[0, 0], layer.weight[0, 1])
    assert layer.weight[0, 0].item() < 2
