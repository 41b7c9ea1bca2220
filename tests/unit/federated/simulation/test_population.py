"""Who is tested on what, and which words a population knows."""

import numpy as np
from tests.oracles.federations import tiny_data

from holdfast import models
from holdfast.core.randomness import Streams
from holdfast.data import Dataset, DataSplits, Example
from holdfast.federated import Population
from holdfast.federated.population import Clients
from holdfast.federated.simulation.population import _held_out
from holdfast.tasks import Classification, ReplyPrediction
from holdfast.tasks.reply_prediction import SEPARATOR


def test_test_examples_belong_to_the_client_of_the_same_user_or_to_none():
    data = tiny_data([3, 1, 4])
    strangers = Dataset.from_examples([*data.test, *tiny_data([1] * 5).test], name="tiny", split="test")
    found = Population.of(Classification(), DataSplits("tiny", train=data.train, validation=data.validation, test=strangers))
    places = {name: place for place, name in enumerate(found.clients.names)}
    assert found.own.owners.dtype == np.int64
    assert found.own.owners.tolist() == [places.get(user, -1) for user in strangers.user_ids()]
    assert set(found.own.owners) == {-1, 0, 1, 2}


def test_what_is_held_out_is_the_same_however_the_clients_are_stored():
    numbers = np.repeat([0, 1, 3], [10, 1, 21])  # client 2 has none
    slices = Clients.of_assignment(numbers, 4)
    assert slices.examples is None
    stored = Clients(slices.offsets, np.arange(32, dtype=np.int32))
    (rest, held, owners), (other, again, _) = (_held_out(each, 0.2, Streams(3)) for each in (slices, stored))
    assert owners.tolist() == [0, 0, 3, 3, 3, 3]
    assert held.dtype == again.dtype == np.int64
    assert held.tolist() == again.tolist()
    assert numbers[held].tolist() == owners.tolist()
    assert sorted([*rest.examples, *held]) == list(range(32))
    assert rest.counts.tolist() == [8, 1, 0, 17]
    assert other.examples.tolist() == rest.examples.tolist()


def test_no_examples_hold_none_out():
    rest, held, owners = _held_out(Clients.of_assignment(np.empty(0, dtype=np.int64), 2), 0.5, Streams(3))
    assert (len(rest), len(held), len(owners)) == (2, 0, 0)


def test_a_population_knows_the_separator_and_the_words_of_contexts():
    rows = [Example(tokens=("me",), context=("who",), label=label, user_id="ann") for label in ("reply", "other")] * 2
    part = Dataset.from_examples(rows, name="tiny", split="train")
    model = models.settings("bag", {"vocabulary": "train"})
    found = Population.of(ReplyPrediction(), DataSplits("tiny", train=part, validation=part, test=part), model=model)
    ids = {int(number) for number in found.featuriser.encode([["who", SEPARATOR, "me"]]).pieces[0]}
    unknown = {int(number) for number in found.featuriser.encode([["bus"]]).pieces[0]}
    assert len(ids) == 3
    assert not ids & unknown
