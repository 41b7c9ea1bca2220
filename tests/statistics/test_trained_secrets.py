"""Secrets planted in a model that is really trained: they stand out where they were in, and do not where they were not."""

import dataclasses
import math
from dataclasses import dataclass

import numpy as np
import pytest

from holdfast.audit.canaries import SecretTables, exact_exposure, rank_secrets
from holdfast.audit.canaries.fills import place_of
from holdfast.audit.inversion import InversionSettings, invert_secrets
from holdfast.core.evidence import Evidence
from holdfast.core.randomness import Streams
from holdfast.data import Secret, draw_secrets, load_data, pattern, plant_secrets
from holdfast.models import BiLSTM
from holdfast.privacy import non_private
from holdfast.tasks import IntentSlot
from holdfast.training import TrainingSettings, train

pytestmark = pytest.mark.slow

SEEDS = range(5)
MODEL = BiLSTM(hidden=64, vocabulary="hashed")
VARIANTS = ("softmax", "gumbel", "coordinate")
CONTROLS = 20


@dataclass(frozen=True)
class Run:
    """A model with one secret of four digits in it ten times, and what was found."""

    secret: Secret
    tables: SecretTables
    ranking: Evidence
    inversions: dict[str, Evidence]


@pytest.fixture(scope="module")
def runs() -> list[Run]:
    data = load_data("assistant:train=1000,validation=20,test=20")
    return [_run(data, Streams.from_seed(seed)) for seed in SEEDS]


def _run(data, streams: Streams) -> Run:
    secrets = draw_secrets([(pattern("pin", length=4), 10)], streams=streams)
    planted = dataclasses.replace(data, train=plant_secrets(data, secrets, streams=streams, min_count=None).train)
    mechanism = non_private(examples=len(planted.train), batch_size=32, epochs=10)
    settings = TrainingSettings(evaluate_every=0)
    fitted = train(IntentSlot(), planted, mechanism=mechanism, model=MODEL, settings=settings, seed=streams.integer("training"))
    tables = SecretTables(fitted)
    inversions = {
        variant: invert_secrets(
            fitted,
            secrets,
            subject="plain",
            settings=InversionSettings(variant=variant),
            streams=streams.child(variant),
            tables=tables,
        )
        for variant in VARIANTS
    }
    return Run(secrets[0], tables, rank_secrets(fitted, secrets, subject="plain", tables=tables), inversions)


def test_a_secret_of_ten_copies_is_among_the_fifty_likeliest_of_ten_thousand(runs):
    ranks = [run.ranking.estimate("secret_rank").value for run in runs]
    assert np.mean([rank <= 50 for rank in ranks]) >= 0.8, ranks
    assert max(run.ranking.estimate("secrets_p_value").value for run in runs) < 0.05


def test_secrets_that_were_not_planted_have_the_exposure_of_chance(runs):
    """Another secret of the same pattern stood in the text; each of these was drawn as that one was."""
    bits = []
    for seed, run in zip(SEEDS, runs, strict=True):
        one = run.secret.pattern
        controls = [
            draw_secrets([(one, 0)], streams=Streams.from_seed(seed).child("controls", number))[0].places for number in range(CONTROLS)
        ]
        table = run.tables.table(one)
        bits += [exact_exposure(table.every, truth=place_of(places, one)).bits for places in controls if places != run.secret.places]
    mean = float(np.mean(bits))
    assert 0.5 <= mean <= 3
    assert abs(mean - 1 / math.log(2)) < 4 / math.log(2) / math.sqrt(len(bits)), bits  # the law is exponential: its deviation is its mean


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_search_comes_closer_to_the_least_loss_than_random_fills_of_as_many_queries(runs, variant):
    gaps, random_gaps = [], []
    for run in runs:
        found, table = run.inversions[variant], run.tables.table(run.secret.pattern)
        gap = found.estimate("optimiser_gap")
        gaps.append(gap.value)
        drawn = table.every[np.random.default_rng(3).integers(0, table.every.size, (20, int(gap.conditions["queries"])))]
        random_gaps.append(float(drawn.min(1).mean()) - table.least)
    assert min(gaps) >= 0
    assert np.mean(gaps) < np.mean(random_gaps) / 2, (gaps, random_gaps)


def test_the_coordinate_search_finds_the_fill_of_least_loss(runs):
    assert np.mean([run.inversions["coordinate"].estimate("optimiser_gap").value == 0 for run in runs]) >= 0.8


def test_a_search_that_finds_the_least_loss_is_right_where_the_truth_ranks_first_and_nowhere_else(runs):
    for run in runs:
        found = run.inversions["coordinate"]
        likeliest = run.ranking.estimate("secret_rank").value == 1 and found.estimate("optimiser_gap").value == 0
        assert found.estimate("extraction_accuracy").value == float(likeliest)
        assert (found.estimate("extraction_hamming").value == 0) == likeliest
    wrong = [run.inversions["coordinate"].estimate("extraction_hamming").value for run in runs]
    assert np.mean(wrong) < 0.75, wrong  # random digits are wrong at nine positions of ten
