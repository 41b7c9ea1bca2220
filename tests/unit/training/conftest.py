"""A corpus and a model small enough to train in a blink."""

import pytest

from holdfast import privacy
from holdfast.data import DataSplits, load_data
from holdfast.models import BiLSTM
from holdfast.tasks import IntentSlot

TASK = IntentSlot(unseen_labels="count as wrong")  # 160 utterances do not hold every label


@pytest.fixture(scope="session")
def data() -> DataSplits:
    return load_data("assistant:train=160,validation=30,test=60,users=20", seed=3)


@pytest.fixture(scope="session")
def model() -> BiLSTM:
    return BiLSTM(embedding=6, hidden=5, characters=4, character_width=3, dropout=0.3, word_dropout=0.1)


@pytest.fixture(params=["none", "dp-sgd", "edp-sgd"])
def mechanism(request, data) -> privacy.Mechanism:
    return make_mechanism(request.param, data)


def make_mechanism(name: str, data: DataSplits, **change) -> privacy.Mechanism:
    plan = {"examples": len(data.train), "batch_size": 20, "epochs": 3} | change
    if name == "none":
        return privacy.non_private(**plan)
    plan |= {"clip_norm": 0.5, "noise_multiplier": 0.8, "delta": 1e-4}
    return (
        privacy.dp_sgd(**plan)
        if name == "dp-sgd"
        else privacy.edp_sgd(**plan, micro_batch_size=5, noise_decay="exponential", noise_decay_rate=0.1)
    )
