"""The file of a partition: small, whole, tied to its data, and refused where it is damaged."""

import zlib

import numpy as np
import pytest

from holdfast.core.errors import DataError, InputError, RunError
from holdfast.data import Dataset, Example
from holdfast.federated.partition import Partition, iid, read_partition


def dataset(size=1000):
    return Dataset.from_examples([Example(tokens=("go", str(row)), user_id=f"ann{row}") for row in range(size)], name="tiny", split="train")


def test_a_file_gives_back_what_was_saved(tmp_path):
    data = dataset()
    made = iid(data, clients=30, seed=5)
    made.save(tmp_path / "deep" / "iid.partition")
    found = read_partition(tmp_path / "deep" / "iid.partition")
    assert (found.assignment_n == made.assignment_n).all()
    assert found.assignment_n.dtype == np.int32
    assert found.describe() == made.describe()
    assert found.describe() == {
        "scheme": "iid",
        "parameters": {},
        "seed": 5,
        "data_hash": data.content_hash,
        "clients": 30,
        "examples": 1000,
    }
    found.check(data)


@pytest.mark.parametrize("clients", [1, 256, 257, 65_536, 65_537])
def test_every_width_holds_its_largest_client(tmp_path, clients):
    made = Partition("mine", {"a": [1, "b"]}, 0, "0" * 64, np.array([0, clients - 1, clients // 2], dtype=np.int32), clients)
    made.save(tmp_path / "p")
    assert read_partition(tmp_path / "p").assignment_n.tolist() == made.assignment_n.tolist()


def test_the_file_is_small_and_holds_no_id(tmp_path):
    made = iid(dataset(20_000), clients=100, seed=1)
    made.save(tmp_path / "p")
    content = (tmp_path / "p").read_bytes()
    assert len(content) < 20_000 + 500, "a byte for each example"
    assert b"ann1" not in content


def test_a_stale_file_is_refused_with_both_hashes():
    data, other = dataset(), dataset(999)
    made = iid(data, clients=3, seed=0)
    with pytest.raises(DataError, match=f"made for data {data.content_hash[:12]}, but 'tiny' .* is {other.content_hash[:12]}; make the"):
        made.check(other)


def test_what_is_no_partition_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"clients from 0 to 3; give numbers in \[0, 3\)"):
        Partition("mine", {}, 0, "", np.array([0, 3], dtype=np.int32), 3)
    with pytest.raises(InputError, match="at least one client"):
        Partition("mine", {}, 0, "", np.array([], dtype=np.int32), 0)
    with pytest.raises(InputError, match="cannot be written as JSON"):
        Partition("mine", {"a": {1}}, 0, "", np.array([0], dtype=np.int32), 1).save(tmp_path / "p")
    assert not (tmp_path / "p").exists()


def test_damage_is_named(tmp_path):
    path = tmp_path / "p"
    with pytest.raises(RunError, match="make the partition and save it there"):
        read_partition(path)
    iid(dataset(50), clients=3, seed=0).save(path)
    good = path.read_bytes()
    magic, header, packed = good.split(b"\n", 2)
    other = bytearray(zlib.decompress(packed))
    other[0] = (other[0] + 1) % 3
    for content, message in [
        (b"", "not a partition of this version"),
        (b"holdfast.partition 2\n", "not a partition of this version"),
        (good[:-4], "damaged"),
        (b"\n".join([magic, header[:-9], packed]), "damaged"),
        (b"\n".join([magic, header, zlib.compress(bytes(other))]), "damaged .the checksum differs"),
        (b"\n".join([magic, header.replace(b'"examples": 50', b'"examples": 51'), packed]), "the number of examples differs"),
        (b"\n".join([magic, header.replace(b'"clients": 3', b'"clients": 2'), packed]), "damaged"),
        (b"\n".join([magic, header.replace(b'"seed"', b'"sed"'), packed]), "damaged"),
        (b"\n".join([magic, b"[]", packed]), "damaged"),
    ]:
        path.write_bytes(content)
        with pytest.raises(RunError, match=message):
            read_partition(path)
