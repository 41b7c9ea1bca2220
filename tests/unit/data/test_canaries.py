from collections import Counter

import pytest

from holdfast.core.errors import DataError, InputError
from holdfast.core.randomness import Streams
from holdfast.data import Dataset, Example, plant_canaries

BASE = Dataset.from_examples([Example(tokens=(f"w{i}",), label="x") for i in range(100)], name="n", split="train")
CANARIES = [Example(tokens=("my", "pin", "is", digit), label="pin") for digit in ("one", "two")]


def test_every_canary_stands_so_many_times_and_the_rest_keeps_its_order():
    planted = plant_canaries(BASE, CANARIES, copies=5, streams=Streams(0))
    count = Counter(planted)
    assert len(planted) == 110
    assert [count[canary] for canary in CANARIES] == [5, 5]
    assert [example for example in planted if example not in CANARIES] == list(BASE)
    assert (planted.name, planted.split) == ("n", "train")


def test_places_are_random_but_depend_on_the_seed_alone():
    def places(seed):
        planted = plant_canaries(BASE, CANARIES, copies=5, streams=Streams(seed))
        return [at for at, label in enumerate(planted.labels()) if label == "pin"]

    assert places(1) == places(1)
    assert places(1) != places(2)
    assert max(places(1)) - min(places(1)) > 30


def test_no_canaries_leave_the_data_alone():
    assert plant_canaries(BASE, [], copies=1, streams=Streams(0)) is BASE


@pytest.mark.parametrize("copies", [0, -1, True, 1.5])
def test_copies_below_one_are_refused(copies):
    with pytest.raises(InputError, match="copies"):
        plant_canaries(BASE, CANARIES, copies=copies, streams=Streams(0))


def test_a_canary_must_have_the_attributes_of_the_data():
    with pytest.raises(DataError, match="the canaries have tokens, the data have tokens, label"):
        plant_canaries(BASE, [Example(tokens=("a",))], copies=1, streams=Streams(0))
