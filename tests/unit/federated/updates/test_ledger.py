"""Bytes are those that are really sent: equal to the length of real byte strings, whole or as rows."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import save

from holdfast.core.errors import InputError, RunError
from holdfast.federated.local import TableRows, Updates
from holdfast.federated.updates import Ledger, message, sent, serialised, unpack, wire

DTYPES = [torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.int8, torch.int32, torch.int64, torch.uint8, torch.bool]


@pytest.mark.parametrize(
    "weights",
    [
        {},
        {"a": torch.zeros(())},
        {"a": torch.zeros(0, 3)},
        {f"layers.{i}.weight": torch.zeros(i + 1, 7) for i in range(13)},
        {f"n{i}": torch.zeros(3, dtype=dtype) for i, dtype in enumerate(DTYPES)},
        {'quote"and\\backslash': torch.zeros(1), "Grüße": torch.zeros(2), "tab\there": torch.zeros(3)},
        {"large": torch.zeros(300, 400)},
    ],
)
def test_counted_bytes_are_the_bytes(weights):
    assert serialised(weights) == len(save(weights)) == len(wire.write(weights))


def test_one_number_more_is_four_bytes_more_or_the_test_above_shows_nothing():
    assert serialised({"a": torch.zeros(102)}) - serialised({"a": torch.zeros(100)}) == 8


def test_a_type_that_does_not_travel_is_refused():
    with pytest.raises(InputError, match="complex64"):
        serialised({"a": torch.zeros(1, dtype=torch.complex64)})


def test_each_client_of_a_block_sends_what_is_counted_and_the_server_reads_it(block, like):
    counted = sent(block, like)
    for client in range(3):
        data = message(block, client, like)
        assert len(data) == counted.bytes[client]
        read = unpack(data, like)
        whole = block.whole(client, like)
        assert all(torch.equal(read[name], whole[name]) for name in like)
    assert counted.forms == {"rows": 3}
    assert counted.bytes[1] < counted.bytes[0] <= counted.bytes[2] < serialised(like)


def test_a_table_of_which_most_rows_moved_travels_whole(like):
    rows_CR = torch.stack([torch.arange(50), torch.arange(50)])
    values_CRD = torch.ones(2, 50, 2)
    values_CRD[1, 4:] = 0
    block = Updates(np.arange(2), {}, {"table": TableRows(rows_CR, values_CRD, 50)}, np.ones(2, dtype=np.int64), np.zeros(2))
    table = {"table": like["table"]}
    counted = sent(block, table)
    assert counted.forms == {"whole": 1, "rows": 1}
    assert counted.bytes.tolist() == [serialised(table), len(message(block, 1, table))]
    assert len(message(block, 0, table)) == serialised(table)


def test_a_number_that_is_not_finite_travels_too(like):
    values_CRD = torch.zeros(1, 2, 2)
    values_CRD[0, 1, 0] = torch.nan
    block = Updates(np.arange(1), {}, {"table": TableRows(torch.tensor([[3, 9]]), values_CRD, 50)}, np.ones(1, dtype=np.int64), np.zeros(1))
    read = unpack(message(block, 0, {"table": like["table"]}), {"table": like["table"]})
    assert torch.isnan(read["table"][9, 0])
    assert read["table"].isnan().sum() == 1


def bad_messages(like):
    rows, values = torch.tensor([1, 2], dtype=torch.int32), torch.ones(2, 2)
    rest = {name: value for name, value in like.items() if name != "table"}
    yield b"", "no safetensors"
    yield b"\x80\x04K\x01.", "no safetensors"
    yield wire.write(rest), "no 'table'"
    yield wire.write({**like, "more": torch.zeros(1)}), "'more', which is none"
    yield wire.write({**like, "table": torch.zeros(50, 3)}), "no 'table'"
    yield wire.write({**like, "table": torch.zeros(50, 2, dtype=torch.float64)}), "no 'table'"
    yield wire.write(like, mark="top-k 1"), "marked 'top-k 1'"
    for bad_rows, bad_values in [
        (rows + 48, values),
        (rows - 2, values),
        (rows.long(), values),
        (rows, values[:1]),
        (rows, values.double()),
    ]:
        yield wire.write({**rest, "table/rows": bad_rows, "table/values": bad_values}), "do not fit a table"


def test_bytes_that_do_not_fit_are_refused(like):
    for data, words in bad_messages(like):
        with pytest.raises(RunError, match=words):
            unpack(data, like)


def test_a_ledger_adds_up_by_round_and_by_message():
    ledger = Ledger()
    ledger.add(0, down=[100, 100, 100])
    ledger.add(0, up=np.array([10, 20]), forms={"rows": 2})
    ledger.add(3, up=[30], down=[100], forms={"rows": 1, "whole": 4})
    assert (ledger.bytes_up, ledger.bytes_down) == (60, 400)
    assert (ledger.bytes_up_per_client, ledger.bytes_down_per_client) == (20.0, 100.0)
    assert (ledger.rounds[0].bytes_up, ledger.rounds[0].messages_down, ledger.rounds[3].messages_up) == (30, 3, 1)
    assert ledger.forms == {"rows": 3, "whole": 4}
    assert Ledger().bytes_up_per_client is None


def test_a_ledger_is_plain_json():
    ledger = Ledger()
    ledger.add(np.int64(2), up=np.array([2**40, 1]), down=[5], forms={"rows": 1})
    text = json.dumps(ledger.to_json())
    assert Ledger.from_json(json.loads(text)) == ledger
    again = Ledger.from_json(json.loads(text))
    again.add(3, up=[1])
    assert again.bytes_up == 2**40 + 2


@pytest.mark.parametrize("document", [{}, {"rounds": [{}], "forms": {}}, {"rounds": [{"round": 0, "sent": 1}], "forms": {}}, {"rounds": 3}])
def test_another_document_is_refused(document):
    with pytest.raises(RunError, match="no ledger of bytes"):
        Ledger.from_json(document)


def test_messages_below_nothing_are_refused():
    with pytest.raises(InputError, match="numbers >= 0"):
        Ledger().add(0, up=[-1])
    with pytest.raises(InputError, match="round -1"):
        Ledger().add(-1)
