"""Who has which examples: made of users, of columns and of assignments, and refused where it does not add up."""

import time

import numpy as np
import pyarrow as pa
import pytest

from holdfast.core.errors import InputError
from holdfast.data import Dataset, Example
from holdfast.federated.population import Clients
from holdfast.federated.population.clients import check_ascending, first_appearance, grouped

USERS = ["ann", "bob", "ann", "cem", "bob", "ann"]


def dataset(users=None, **columns):
    rows = [Example(tokens=("go", str(i))) for i in range(6)]
    table = Dataset.from_examples(rows, name="tiny", split="train").table
    if users is not None:
        table = table.append_column("user_id", pa.array(users))
    for name, values in columns.items():
        table = table.append_column(name.replace("__", ":"), pa.array(values))
    return Dataset.from_table(table, name="tiny", split="train")


def slowly(users):
    """The twin of `of_users`: a dictionary of lists."""
    found = {}
    for place, user in enumerate(users):
        found.setdefault(user, []).append(place)
    return found


def test_users_become_clients_in_the_order_of_their_first_appearance():
    clients = Clients.of_users(USERS)
    assert len(clients) == 3
    assert clients.counts.tolist() == [3, 2, 1]
    assert [clients.of(client).tolist() for client in range(3)] == list(slowly(USERS).values()) == [[0, 2, 5], [1, 4], [3]]
    assert clients.names is None, "plain ids are not hashed, so they are not kept"
    assert all(clients.of(client).dtype == np.int64 for client in range(3))


def test_many_users_are_the_slow_twin():
    rng = np.random.default_rng(5)
    users = [f"u{number}" for number in rng.integers(0, 200, 3000)]
    clients = Clients.of_users(users)
    assert [clients.of(client).tolist() for client in range(len(clients))] == list(slowly(users).values())


def test_a_column_gives_the_same_clients_with_their_names():
    clients, plain = Clients.of_column(dataset(USERS)), Clients.of_users(USERS)
    assert clients.offsets.tolist() == plain.offsets.tolist()
    assert clients.examples.tolist() == plain.examples.tolist()
    assert list(clients.names) == ["ann", "bob", "cem"]


def test_a_view_has_only_the_users_that_it_holds_in_its_own_order():
    clients = Clients.of_column(dataset(USERS).take([4, 3, 1]))
    assert list(clients.names) == ["bob", "cem"]
    assert [clients.of(client).tolist() for client in range(2)] == [[0, 2], [1]]


def test_a_group_can_be_a_client():
    clients = Clients.of_column(dataset(group__domain=["a", "b", "b", "a", "a", "b"]), "group:domain")
    assert clients.counts.tolist() == [3, 3]
    assert list(clients.names) == ["a", "b"]


def test_no_column_of_users_names_the_cure():
    with pytest.raises(InputError, match=r"no column 'user_id', only tokens; name that column when loading, or give a partition"):
        Clients.of_column(dataset())


def test_a_column_of_words_is_no_column_of_names():
    with pytest.raises(InputError, match="holds no names"):
        Clients.of_column(dataset(), "tokens")


def test_examples_that_stand_together_need_no_positions():
    clients = Clients.of_assignment(np.array([0, 0, 2]), 3)
    assert clients.examples is None
    assert [clients.of(client).tolist() for client in range(3)] == [[0, 1], [], [2]]


def test_a_client_without_examples_counts_as_a_client_with_none():
    clients = Clients.of_assignment(np.array([3, 1, 3]), 5)
    assert clients.counts.tolist() == [0, 1, 0, 2, 0]
    assert clients.of(0).tolist() == []
    assert clients.counts_of(np.array([3, 3, 0])).tolist() == [2, 2, 0]
    assert clients.total == 3


@pytest.mark.parametrize(("assignment", "count"), [([0, 3], 3), ([-1, 0], 3), ([0], 0)])
def test_a_client_outside_is_refused(assignment, count):
    with pytest.raises(InputError, match=rf"for {count} clients; give integers in \[0, {count}\)"):
        Clients.of_assignment(np.array(assignment), count)


@pytest.mark.parametrize("assignment", [np.array([0.0, 1.0]), np.array([[0, 1]])])
def test_an_assignment_is_integers_in_one_row(assignment):
    with pytest.raises(InputError, match="one integer for each example"):
        Clients.of_assignment(assignment, 2)


def test_offsets_that_do_not_ascend_name_the_client():
    with pytest.raises(InputError, match="client 1 goes from 4 to 2; give the running sum"):
        Clients(np.array([0, 4, 2, 5]), None)
    with pytest.raises(InputError, match="client 0 goes from 1 to 0"):
        check_ascending(np.array([1, 0]))


@pytest.mark.parametrize("offsets", [[1, 2], [], [[0, 1]], [0.0, 1.0]])
def test_offsets_begin_at_zero_and_are_one_row_of_integers(offsets):
    with pytest.raises(InputError, match=r"give \(N \+ 1,\) integers that ascend from 0"):
        Clients(np.array(offsets), None)


def test_positions_and_names_are_as_many_as_they_should_be():
    with pytest.raises(InputError, match="offsets end at 3"):
        Clients(np.array([0, 3]), np.array([0, 1]))
    with pytest.raises(InputError, match="2 names for 1 clients"):
        Clients(np.array([0, 3]), None, ["a", "b"])


def test_a_client_that_is_not_there_is_refused():
    for client in (-1, 3):
        with pytest.raises(InputError, match=rf"client is {client}; give a whole number in \[0, 3\)"):
            Clients.of_users(USERS).of(client)


def test_the_assignment_comes_back():
    assignment = np.array([2, 0, 1, 0, 2, 2])
    assert Clients.of_assignment(assignment, 4).assignment().tolist() == assignment.tolist()
    assert Clients.of_assignment(np.sort(assignment), 4).assignment().tolist() == sorted(assignment.tolist())


@pytest.mark.parametrize("examples", [[0, 0, 1], [0, 1, 7]])
def test_there_is_no_assignment_where_examples_are_shared_or_left_out(examples):
    with pytest.raises(InputError, match="no client or to two"):
        Clients(np.array([0, 2, 3]), np.array(examples)).assignment()


def test_some_clients_make_a_population_with_the_same_positions():
    clients = Clients.of_column(dataset(USERS)).take(np.array([2, 0]))
    assert [clients.of(client).tolist() for client in range(2)] == [[3], [0, 2, 5]]
    assert clients.names == ["cem", "ann"]
    joined = Clients(np.array([0, 2, 5]), None).take(np.array([1, 1]))
    assert joined.of(1).tolist() == [2, 3, 4]


def test_owners_of_another_part_are_found_by_name():
    clients = Clients.of_column(dataset(USERS))
    other = dataset(["cem", "dora", "ann", "ann", "eva", "bob"])
    assert clients.owners_of(other).tolist() == [2, -1, 0, 0, -1, 1]
    with pytest.raises(InputError, match="numbers and no names"):
        Clients.of_users(USERS).owners_of(other)


def test_a_population_of_nobody():
    clients = Clients.of_users([])
    assert (len(clients), clients.total, clients.counts.tolist()) == (0, 0, [])
    assert repr(clients) == "Clients(0 clients, 0 examples)"


def test_both_ways_to_sort_agree():
    rng = np.random.default_rng(2)
    assignment = rng.integers(0, 40, 500).astype(np.int32)
    expected = np.argsort(assignment, kind="stable")
    assert grouped(assignment, 40).tolist() == expected.tolist()
    assert grouped(assignment, 2**62).tolist() == expected.tolist(), "where the key would not fit in 63 bits"


def test_codes_are_numbered_by_first_appearance():
    order, codes = first_appearance(np.array([5, 2, 5, 0]), 7)
    assert (order.tolist(), codes.tolist()) == ([5, 2, 0], [0, 1, 0, 2])


@pytest.mark.slow
def test_a_million_users_take_well_under_a_second():
    codes = np.random.default_rng(0).integers(0, 10**6, 10**6)
    words = pa.ListArray.from_arrays(pa.array(np.arange(10**6 + 1), pa.int32()), pa.array(["a"] * 10**6).dictionary_encode())
    users = pa.DictionaryArray.from_arrays(pa.array(codes, pa.int32()), pa.array([f"u{i}" for i in range(10**6)]))
    data = Dataset.from_table(pa.table({"tokens": words, "user_id": users}), name="many", split="train")
    begun = time.process_time()
    clients = Clients.of_column(data)
    assert time.process_time() - begun < 1.0
    assert len(clients) == len(np.unique(codes))
