"""Whole users in place of examples: who is whose, who is drawn, and how far one user moves the sum."""

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor, nn

from holdfast.core.errors import InputError
from holdfast.core.randomness import Streams
from holdfast.privacy import Execution, Mechanism, PerExampleClipping, PoissonSampler, TruncatedPoissonSampler, dp_sgd
from holdfast.privacy.users import UserGroups, UserLosses

CLIP = 0.6
NAMES = ["ann", "bob", "ann", "cleo", "bob", "ann", "dan", "ann", "ann", "eve", "bob", "fay"]
PLAN = {"users": 100, "batch_size": 10, "examples_per_user": 3, "clip_norm": 1.0, "noise_multiplier": 1.0, "delta": 1e-4}


class Model(nn.Module):
    """A position table is broadcast over the rows, so the engine must know how many rows there are."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.places, self.head = nn.Embedding(20, 4), nn.Embedding(5, 4), nn.Linear(4, 3)

    def forward(self, ids_BT: Tensor) -> Tensor:
        return self.head((self.words(ids_BT) + self.places(torch.arange(5))).tanh().sum(1))


class Problem:
    def __init__(self, seed: int, *, examples_per_user: int) -> None:
        torch.manual_seed(seed)
        self.model = Model().double()
        self.ids, self.labels = torch.randint(0, 20, (len(NAMES), 5)), torch.randint(0, 3, (len(NAMES),))
        self.groups, self.limit = UserGroups.of(NAMES), examples_per_user

    def losses_of(self, indices) -> Tensor:
        return 4 * nn.functional.cross_entropy(self.model(self.ids[indices]), self.labels[indices], reduction="none")

    def sum(self, users, *, engine: str = "book-keeping", step: int = 0) -> Tensor:
        execution = Execution(engine=engine, rows_per_example=self.limit, physical_batch_size=4)
        losses = UserLosses(self.losses_of, self.groups, self.limit, Streams(3), step)
        total = PerExampleClipping(clip_norm=CLIP).clipped_sum(
            self.model, losses, np.asarray(users), streams=Streams(3), step=step, execution=execution
        )
        return torch.cat([gradient.flatten() for gradient in total.values()])

    def by_example(self, examples) -> Tensor:
        total = PerExampleClipping(clip_norm=CLIP).clipped_sum(
            self.model, self.losses_of, np.asarray(examples), streams=Streams(3), step=0, execution=Execution()
        )
        return torch.cat([gradient.flatten() for gradient in total.values()])


def test_users_are_grouped_and_numbered_by_name():
    groups = UserGroups.of(NAMES)
    assert groups.users == 6
    assert [groups.examples(user).tolist() for user in range(6)] == [[0, 2, 5, 7, 8], [1, 4, 10], [3], [6], [9], [11]]


@pytest.mark.parametrize("name", ["", "  "])
def test_an_example_of_nobody_is_refused(name):
    with pytest.raises(InputError, match=r"1 of 3 examples have no user_id \(the first is example 1\)"):
        UserGroups.of(["a", name, "b"])


@pytest.mark.parametrize("engine", ["book-keeping", "loop"])
def test_no_user_moves_the_sum_by_more_than_the_clip_norm_where_examples_would(engine):
    """The point of the unit: everything that one user said leaves at once."""
    worst_user, worst_as_examples = 0.0, 0.0
    for seed in range(4):
        problem = Problem(seed, examples_per_user=3)
        everyone = np.arange(6)
        whole, all_examples = problem.sum(everyone, engine=engine), problem.by_example(np.arange(len(NAMES)))
        for gone in everyone:
            worst_user = max(worst_user, float((whole - problem.sum(np.delete(everyone, gone), engine=engine)).norm()))
            rest = np.setdiff1d(np.arange(len(NAMES)), problem.groups.examples(gone))
            worst_as_examples = max(worst_as_examples, float((all_examples - problem.by_example(rest)).norm()))
    assert 0.9 * CLIP < worst_user <= CLIP * (1 + 1e-9)
    assert worst_as_examples > 1.5 * CLIP


def test_the_engine_clips_users_as_the_loop_does():
    problem = Problem(7, examples_per_user=2)
    torch.testing.assert_close(problem.sum(np.arange(6)), problem.sum(np.arange(6), engine="loop"), rtol=1e-10, atol=1e-12)
    assert not problem.sum(np.arange(0)).any()


def test_a_place_without_an_example_adds_nothing():
    """Five places for a user of one example give the gradient of that example."""
    problem = Problem(2, examples_per_user=5)
    only = problem.groups.examples(2)
    torch.testing.assert_close(problem.sum([2]), problem.by_example(only), rtol=1e-10, atol=1e-12)


def test_a_users_loss_is_the_mean_of_the_users_own_examples():
    problem = Problem(1, examples_per_user=5)
    losses = UserLosses(problem.losses_of, problem.groups, 5, Streams(0))
    expected = torch.stack([problem.losses_of(problem.groups.examples(user)).mean() for user in range(6)])
    torch.testing.assert_close(losses(np.arange(6)), expected)


def test_which_examples_take_part_is_drawn_by_step_evenly_and_without_regard_to_others():
    groups = UserGroups.of(["many"] * 12 + ["few"] * 2)
    seen = np.zeros(14, dtype=int)
    for step in range(600):
        rows, weights = groups.chosen(np.array([0, 1]), 4, streams=Streams(9), step=step)
        alone, _ = groups.chosen(np.array([1]), 4, streams=Streams(9), step=step)
        np.testing.assert_array_equal(rows[1], alone[0])
        np.testing.assert_allclose(weights.sum(1), 1, rtol=1e-6)
        assert len(set(rows[1])) == 4
        seen[rows[1]] += 1
    assert stats.chisquare(seen[:12]).pvalue > 1e-3
    first, again = (groups.chosen(np.array([1]), 4, streams=Streams(9), step=3)[0] for _ in range(2))
    np.testing.assert_array_equal(first, again)


def test_the_claim_is_made_for_each_user():
    claim = dp_sgd(**PLAN, epochs=2, unit="user").claim("run")
    assert claim.unit == "user"
    assert "per user" in str(claim)
    assert any("the number of users (100)" in condition for condition in claim.conditions)
    by_example = dp_sgd(examples=100, batch_size=10, clip_norm=1.0, noise_multiplier=1.0, delta=1e-4, epochs=2).claim("run")
    assert claim.epsilon == by_example.epsilon  # one user in 100 is hidden as one example in 100 is


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"unit": "users"}, "unit is 'users'"),
        ({"unit": "user", "users": None}, "needs users"),
        ({"unit": "user", "examples_per_user": None}, "needs users"),
        ({"unit": "user", "examples": 5}, "give users, their number, in place of examples"),
        ({"unit": "user", "examples_per_user": 0}, "examples_per_user is 0"),
        ({"unit": "example", "users": 5, "examples": 100}, "belong to unit 'user'"),
        ({"unit": "example", "users": None, "examples_per_user": None}, "needs examples"),
    ],
)
def test_a_plan_that_mixes_the_units_is_refused(change, message):
    with pytest.raises(InputError, match=message):
        dp_sgd(**{**PLAN, "epochs": 2, **change})


def test_users_are_drawn_as_the_sampler_says():
    assert isinstance(dp_sgd(**PLAN, epochs=2, unit="user").sampler, TruncatedPoissonSampler)
    made = dp_sgd(**PLAN, epochs=2, unit="user", sampler="poisson")
    assert made.sampler == PoissonSampler(100, 10)
    assert isinstance(made, Mechanism)
    assert made.describe()["examples_per_user"] == 3
