"""Properties of partitions over any labels, sizes and seeds; hypothesis picks them."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.core.errors import DataError
from holdfast.core.randomness import Streams
from holdfast.data import Dataset, Example
from holdfast.federated.partition import SCHEMES, label_shares, partition, read_partition
from holdfast.federated.partition.dirichlet import lifted
from holdfast.federated.partition.sizes import apportion, dirichlet_sizes, refill
from holdfast.federated.population import Clients

FEW = settings(max_examples=40, deadline=None)
START = datetime(2020, 1, 1, tzinfo=UTC)
CONCENTRATION = st.sampled_from([1e-9, 1e-3, 0.1, 1.0, 50.0, 1e9])


@st.composite
def datasets(draw):
    """Some labelled utterances of users in time."""
    size = draw(st.integers(1, 60))
    labels, users = draw(st.integers(1, 6)), draw(st.integers(1, 10))
    numbers = st.tuples(st.integers(0, labels - 1), st.integers(0, users - 1), st.integers(0, 1000))
    rows = [
        Example(tokens=("w", f"w{label}"), label=f"l{label}", user_id=f"u{user}", timestamp=START + timedelta(seconds=second))
        for label, user, second in draw(st.lists(numbers, min_size=size, max_size=size))
    ]
    return Dataset.from_examples(rows, name="tiny", split="train")


def options_of(scheme, draw, data, clients):
    least = st.integers(0, len(data) // clients)
    return {
        "label_dirichlet": lambda: {"alpha": draw(CONCENTRATION)},
        "label_dirichlet_by_label": lambda: {"alpha": draw(CONCENTRATION), "least": draw(least)},
        "quantity_dirichlet": lambda: {"beta": draw(CONCENTRATION), "least": draw(least)},
        "shards": lambda: {"shards_per_client": draw(st.integers(1, len(data) // clients))},
        "temporal": lambda: {"by": draw(st.sampled_from(["count", "time"]))},
        "feature_clusters": lambda: {"alpha": draw(CONCENTRATION), "clusters": 2},
    }.get(scheme, dict)()


@pytest.mark.parametrize("scheme", sorted(SCHEMES))
@FEW
@given(data=datasets(), picker=st.data())
def test_each_example_is_in_exactly_one_client_with_sizes_as_asked(scheme, data, picker):
    if scheme == "feature_clusters" and len(data) < 2:
        return
    clients = None if scheme == "natural" else picker.draw(st.integers(1, len(data)))
    seed = picker.draw(st.integers(0, 5))
    options = options_of(scheme, picker.draw, data, clients or 1)
    made = partition(scheme, data, options, clients=clients, seed=seed)
    found = made.clients_of()
    everyone = np.concatenate([found.of(client) for client in range(len(found))])
    assert sorted(everyone.tolist()) == list(range(len(data)))
    assert clients is None or len(found) == clients
    counts = found.counts
    if scheme in ("iid", "temporal") and options.get("by") != "time":
        assert counts.max() - counts.min() <= 1
    if scheme in ("label_dirichlet", "feature_clusters"):
        assert (counts[:-1] == len(data) // clients).all()
    if "least" in options:
        assert counts.min() >= options["least"]
    if scheme == "natural":
        assert len(found) == len(set(data.user_ids()))
    again = partition(scheme, data, options, clients=clients, seed=seed)
    assert (again.assignment_n == made.assignment_n).all()
    assert again.describe() == made.describe()


@FEW
@given(data=datasets(), seed=st.integers(0, 10**30))
def test_a_file_comes_back_and_belongs_to_its_data(tmp_path_factory, data, seed):
    path = tmp_path_factory.mktemp("partition") / "p"
    made = partition("iid", data, clients=1, seed=seed)
    made.save(path)
    found = read_partition(path)
    assert found.describe() == made.describe()
    found.check(data)
    longer = data.take([*range(len(data)), 0])
    with pytest.raises(DataError):
        found.check(longer)


@FEW
@given(
    sizes=st.lists(st.integers(0, 50), min_size=1, max_size=8).filter(any),
    share=st.floats(0, 1),
    weights=st.lists(st.floats(0, 10), min_size=1, max_size=8).filter(lambda found: sum(found) > 1e-6),
    total=st.integers(0, 10**6),
)
def test_shares_in_whole_numbers_add_up_and_never_overdraw(sizes, share, weights, total):
    left = np.array(sizes)
    short = int(share * left.sum())
    taken = refill(short, left)
    assert taken.sum() == short
    assert ((taken >= 0) & (taken <= left)).all()
    assert (np.abs(taken - short * left / left.sum()) < 1).all()
    shares = np.array(weights) / sum(weights)
    found = apportion(total, shares)
    assert found.sum() == total
    assert (np.abs(found - total * shares) <= 1).all()


@FEW
@given(clients=st.integers(1, 20), least=st.integers(0, 5), extra=st.integers(0, 100), beta=CONCENTRATION, seed=st.integers(0, 99))
def test_sizes_add_up_with_none_below_the_least(clients, least, extra, beta, seed):
    examples = clients * least + extra
    generator = Streams.from_seed(seed).generator("sizes")
    sizes = dirichlet_sizes(examples, clients, beta=beta, least=least, generator=generator)
    assert sizes.sum() == examples
    assert sizes.min() >= least


@FEW
@given(assignment=st.lists(st.integers(0, 9), min_size=10, max_size=60), seed=st.integers(0, 99), picker=st.data())
def test_lifting_moves_no_more_than_it_must(assignment, seed, picker):
    least = picker.draw(st.integers(0, len(assignment) // 10))
    before = np.array(assignment, dtype=np.int32)
    after = before.copy()
    lifted(after, 10, least=least, generator=Streams.from_seed(seed).generator("least"))
    counts = np.bincount(before, minlength=10)
    assert np.bincount(after, minlength=10).min() >= least
    assert (before != after).sum() == np.maximum(least - counts, 0).sum()


@FEW
@given(assignment=st.lists(st.integers(0, 5), max_size=40), picker=st.data())
def test_clients_and_assignments_are_two_views_of_one_thing(assignment, picker):
    codes = np.array(assignment, dtype=np.int64)
    clients = Clients.of_assignment(codes, 6)
    assert clients.assignment().tolist() == assignment
    assert clients.counts.tolist() == np.bincount(codes, minlength=6).tolist()
    assert all(clients.of(client).tolist() == np.flatnonzero(codes == client).tolist() for client in range(6))
    chosen = np.array(picker.draw(st.lists(st.integers(0, 5), max_size=5)), dtype=np.int64)
    assert clients.counts_of(chosen).tolist() == [len(clients.of(int(client))) for client in chosen]
    taken = clients.take(chosen)
    assert [taken.of(place).tolist() for place in range(len(taken))] == [clients.of(int(client)).tolist() for client in chosen]
    shares = label_shares(np.arange(len(codes)) % 3, clients)
    assert np.allclose(shares.sum(1), np.minimum(clients.counts, 1))
