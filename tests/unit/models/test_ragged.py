import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.core.errors import InputError
from holdfast.models.ragged import Ragged

ROWS = st.lists(st.lists(st.integers(-5, 2**31 - 1), max_size=6), max_size=6)


@given(ROWS)
def test_rows_come_back(rows: list[list[int]]):
    ragged = Ragged.from_rows(rows)
    assert [ragged[row].tolist() for row in range(len(ragged))] == rows
    assert ragged.lengths.tolist() == [len(row) for row in rows]
    assert (ragged.values.dtype, ragged.offsets.dtype) == (np.int32, np.int64)


@given(ROWS, st.data())
def test_padding_agrees_with_a_plain_loop(rows: list[list[int]], data: st.DataObject):
    indices = data.draw(st.lists(st.integers(0, len(rows) - 1), max_size=8)) if rows else []
    values, mask = Ragged.from_rows(rows).padded(np.array(indices, dtype=np.int64), fill=-9)
    width = max([1, *(len(rows[index]) for index in indices)])
    assert values.tolist() == [rows[index] + [-9] * (width - len(rows[index])) for index in indices]
    assert mask.tolist() == [[place < len(rows[index]) for place in range(width)] for index in indices]
    assert values.shape == mask.shape == (len(indices), width)


@pytest.mark.parametrize("offsets", [[], [0], [1, 3], [0, 2], [0, 4, 3], [[0, 3]]])
def test_offsets_must_ascend_to_the_number_of_values(offsets: list[int]):
    with pytest.raises(InputError, match="offsets must ascend"):
        Ragged(np.arange(3, dtype=np.int32), np.array(offsets, dtype=np.int64))
