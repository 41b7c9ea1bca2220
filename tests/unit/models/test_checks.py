import math
import re

import pytest

from holdfast.core.errors import InputError
from holdfast.models import BiLSTM, checks


@pytest.mark.parametrize("value", [0, -3, 1.5, "2", True, None])
def test_a_whole_number_is_whole_and_in_bounds(value: object):
    with pytest.raises(InputError, match=re.escape(f"owner: size is {value!r}; give a whole number >= 1")):
        checks.integer("owner", least=1, size=value)


def test_a_whole_number_may_have_an_upper_bound():
    checks.integer("owner", least=1, most=3, size=3)
    with pytest.raises(InputError, match="size is 4; give a whole number from 1 to 3"):
        checks.integer("owner", least=1, most=3, size=4)


@pytest.mark.parametrize("value", [-0.1, 1, 1.0, math.nan, math.inf, "0.5", True])
def test_a_number_is_finite_and_in_bounds(value: object):
    with pytest.raises(InputError, match=r"share is .*; give a number in \[0, 1\)"):
        checks.number("owner", least=0, below=1, share=value)


def test_a_number_without_upper_bound_is_still_finite():
    checks.number("owner", least=0, weight=1e9)
    with pytest.raises(InputError, match="weight is inf; give a number >= 0"):
        checks.number("owner", least=0, weight=math.inf)


def test_a_choice_names_the_nearest():
    checks.choice("owner", ["train", "hashed"], vocabulary="train")
    with pytest.raises(InputError, match="vocabulary is 'hash'; did you mean 'hashed'"):
        checks.choice("owner", ["train", "hashed"], vocabulary="hash")


@pytest.mark.parametrize("value", [0, 1, "yes", None])
def test_a_flag_is_true_or_false(value: object):
    with pytest.raises(InputError, match="give true or false"):
        checks.flag("owner", lowercase=value)


def test_an_unknown_option_names_the_nearest():
    checks.known_options("bilstm", BiLSTM, {"hidden": 3})
    with pytest.raises(InputError, match="unknown option 'droput'; did you mean 'dropout'"):
        checks.known_options("bilstm", BiLSTM, {"hidden": 3, "droput": 0.1})
