"""A round as an observer sees it: gradients are clipped by user and summed, noise has its size, modes are put back."""

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from tests.oracles.gradient_rounds import opened, text

from holdfast.audit.gradients import Candidates, Round, observe
from holdfast.audit.gradients.rounds import client_gradient, in_mode, norm_of
from holdfast.core.access import OpenModel
from holdfast.core.errors import InputError
from holdfast.core.randomness import Streams

STREAMS = Streams.from_seed(5)
CLIENTS, PUBLIC = text(60, 60)


@pytest.fixture(scope="module")
def model():
    return opened("bag", CLIENTS, buckets=500)


def parts(*sizes: int) -> list:
    edges = np.cumsum([0, *sizes])
    return [CLIENTS.take(np.arange(a, b)) for a, b in pairwise(edges)]


def test_a_round_of_one_client_is_the_gradient_of_its_mean_loss(model):
    assert isinstance(model, OpenModel)
    (data,) = parts(5)
    module, batch = model.module, model.task.encode(data, model.featuriser, model.labels).batch(np.arange(5))
    with in_mode(module, "evaluation"):
        module.zero_grad()
        (sum(model.task.per_example_loss(module, batch)) / 5).backward()
    seen = observe(model, [data], streams=STREAMS)
    assert set(seen.update) == {name for name, _ in module.named_parameters()}
    for name, parameter in module.named_parameters():
        torch.testing.assert_close(seen.update[name], parameter.grad)
    module.zero_grad()


def test_clients_are_clipped_one_by_one_and_summed(model):
    datasets = parts(1, 3, 2)
    each = [client_gradient(model, data, mode="evaluation", streams=STREAMS) for data in datasets]
    norms = [norm_of(gradient) for gradient in each]
    bound = sorted(norms)[1]  # clips one of three, and one just not
    seen = observe(model, datasets, streams=STREAMS, clip_norm=bound, divisor=3)
    for name, value in seen.update.items():
        wanted = sum(gradient[name] * min(1, bound / norm) for gradient, norm in zip(each, norms, strict=True)) / 3
        torch.testing.assert_close(value, wanted)
    assert seen.cohort == 3


def test_one_client_moves_the_sum_by_the_clip_norm_at_most(model):
    one, rest = parts(4, 20)
    with_them, without = (observe(model, cohort, streams=STREAMS, clip_norm=0.05).update for cohort in ([rest, one], [rest]))
    assert norm_of({name: with_them[name] - without[name] for name in without}) == pytest.approx(0.05, rel=1e-4)


@pytest.mark.parametrize("divisor", [1.0, 4.0])
def test_the_noise_is_as_large_as_it_says(model, divisor: float):
    datasets = parts(2, 2)
    plain, noisy = (observe(model, datasets, streams=STREAMS, clip_norm=0.5, noise_multiplier=z, divisor=divisor) for z in (0.0, 3.0))
    assert plain.noise_std == 0
    assert noisy.noise_std == 1.5 / divisor
    noise = torch.cat([(noisy.update[name] - plain.update[name]).flatten() for name in plain.update])
    error = noisy.noise_std / math.sqrt(2 * len(noise))
    assert float(noise.std()) == pytest.approx(noisy.noise_std, abs=4 * error)
    assert abs(float(noise.mean())) < 4 * noisy.noise_std / math.sqrt(len(noise))
    assert float(noise.std()) != pytest.approx(1.1 * noisy.noise_std, abs=4 * error)


def test_noise_follows_the_streams(model):
    def update(key: int):
        return observe(model, parts(1), streams=Streams.from_seed(key), clip_norm=1.0, noise_multiplier=1.0).update["words.trained.weight"]

    assert torch.equal(update(1), update(1))
    assert not torch.equal(update(1), update(2))


def test_the_mode_counts_and_is_put_back_part_by_part(model):
    model.module.train()
    model.module.heads.eval()
    before = [part.training for part in model.module.modules()]
    state = torch.random.get_rng_state()
    still = [observe(model, parts(3), streams=Streams.from_seed(key)).update for key in (1, 2)]
    moving = [observe(model, parts(3), streams=Streams.from_seed(key), mode="training").update for key in (1, 2)]
    assert [part.training for part in model.module.modules()] == before
    assert torch.equal(torch.random.get_rng_state(), state)
    assert all(torch.equal(still[0][name], still[1][name]) for name in still[0])
    assert not all(torch.equal(moving[0][name], moving[1][name]) for name in moving[0])
    model.module.train()


def test_a_frozen_parameter_is_not_in_the_update(model):
    weight = model.module.words.trained.weight.requires_grad_(False)
    try:
        assert "words.trained.weight" not in observe(model, parts(1), streams=STREAMS).update
    finally:
        weight.requires_grad_(True)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"noise_multiplier": 1.0}, "without a clip_norm"),
        ({"clip_norm": 0.0}, "clip_norm is 0"),
        ({"clip_norm": math.inf}, "clip_norm is inf"),
        ({"clip_norm": 1.0, "noise_multiplier": -1.0}, "noise_multiplier is -1"),
        ({"divisor": 0.0}, "divisor is 0"),
    ],
)
def test_values_out_of_bounds_are_refused(model, changed: dict, said: str):
    with pytest.raises(InputError, match=said):
        observe(model, parts(1), streams=STREAMS, **changed)
    with pytest.raises(InputError, match=said):
        replace(Round(update={}), **changed)


def test_a_round_needs_clients_with_examples_and_a_known_mode(model):
    for clients in ([], parts(1, 0)):
        with pytest.raises(InputError, match="give each an example"):
            observe(model, clients, streams=STREAMS)
    with pytest.raises(InputError, match="cohort is 0"):
        Round(update={}, cohort=0)
    with pytest.raises(InputError, match="mode is 'eval'"):
        observe(model, parts(1), streams=STREAMS, mode="eval")


def test_candidates_stand_in_order_of_public_text_and_know_more_words():
    found = Candidates.of([["b", "a", "a"], ["c", "b", "a"]], vocabulary=["z", "a"])
    assert found.words == ("a", "b", "c", "z")
    assert found.counts.tolist() == [3, 2, 1, 0.5]
    assert Candidates.of(PUBLIC).words[0] == "the"
    np.testing.assert_allclose(np.exp(found.log_shares).sum(), 1)


@pytest.mark.parametrize("distinct", [1, 7, 40])
def test_prior_odds_expect_as_many_distinct_words_as_were_told(distinct: int):
    found = Candidates.of(PUBLIC)
    odds = found.log_odds(distinct)
    assert np.all(np.diff(odds) <= 1e-9)
    assert (1 / (1 + np.exp(-odds))).sum() == pytest.approx(distinct, rel=1e-3)


def test_the_best_words_are_named_once_whatever_their_case():
    found = Candidates.of([["Play", "play", "stop", "go"]])
    scores = np.array([{"Play": 3.0, "play": 4.0, "stop": 1.0, "go": 1.0}[word] for word in found.words])
    assert found.best(scores, 2) == ("play", "go")
    assert found.best(scores, 9) == ("play", "go", "stop")
    assert found.best(scores, 9, among=[found.words.index("stop")]) == ("stop",)


@pytest.mark.parametrize("words", [["a"], ["a", "a"]])
def test_one_word_is_no_dictionary(words: list[str]):
    with pytest.raises(InputError, match="at least two"):
        Candidates(tuple(words), np.ones(len(words)))
    with pytest.raises(InputError, match="descending"):
        Candidates(("a", "b"), np.array([1.0, 2.0]))
