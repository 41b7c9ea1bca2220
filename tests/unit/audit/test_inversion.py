"""The searches of the inversion attack, held to objectives whose best fill is known."""

import dataclasses
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import nn

from holdfast.audit.canaries.fills import AskedFills, open_fills, random_fills
from holdfast.audit.canaries.tables import FillTable, SecretTables
from holdfast.audit.inversion import InversionSettings, invert_secrets
from holdfast.audit.inversion.relaxed import mixed, relaxed_search
from holdfast.audit.inversion.searches import coordinate_search, random_search
from holdfast.core.errors import InputError
from holdfast.core.randomness import Streams
from holdfast.data import Secret, SecretPattern, pattern
from holdfast.models import Featuriser, Labels, Logits
from holdfast.models.vocabulary import KnownWords
from holdfast.models.words import WordFeaturiser
from holdfast.tasks import Classification

STREAMS = Streams.from_seed(5)
RELAXED = [InversionSettings(), InversionSettings(variant="gumbel"), InversionSettings(variant="gumbel", straight_through=True)]


class Lookup(nn.Module):
    """A model whose loss at a sentence grows with the distance of its words from one sentence, which is all it knows."""

    def __init__(self, words: int, truth: list[int]) -> None:
        super().__init__()
        self.words = nn.Embedding(words, 16)
        nn.init.normal_(self.words.weight, generator=torch.Generator().manual_seed(1))
        self.truth = truth
        self.seen = 0

    def forward(self, features) -> Logits:
        return self.read(self.embed(features), features)

    def embed(self, features) -> torch.Tensor:
        return self.words(features.ids_BT)

    def read(self, states_BTD, features) -> Logits:
        self.seen += len(states_BTD)
        away_B = (states_BTD - self.words.weight[self.truth]).square().mean(2).sum(1)
        return Logits(torch.stack([-away_B, torch.zeros_like(away_B)], 1), None)


class WithoutMixing(nn.Module):
    """The same without `embed` and `read`."""

    def __init__(self, inner: Lookup) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, features) -> Logits:
        return self.inner(features)


@dataclass
class Opened:
    """All that an open model has."""

    module: nn.Module
    featuriser: Featuriser
    task: Classification = dataclasses.field(default_factory=Classification)
    labels: Labels = dataclasses.field(default_factory=lambda: Labels(sentence=("canary", "other")))
    device: str = "cpu"


def lookup(secret: Secret) -> Opened:
    one = secret.pattern
    words = WordFeaturiser(
        KnownWords.of_training([[*one.before, *one.candidates, *one.after]], min_count=1, lowercase=False),
        lowercase=False,
        word_bytes=0,
        max_words=0,
    )
    truth = [words.vocabulary.id_of(word) for word in secret.words]
    return Opened(Lookup(words.vocabulary.size, truth), words)


@pytest.fixture
def secret() -> Secret:
    return Secret(pattern=pattern("pin", length=6), places=(4, 1, 7, 2, 9, 0), repetitions=10)


@pytest.mark.parametrize("settings", RELAXED, ids=["softmax", "gumbel", "straight-through"])
def test_the_relaxed_search_finds_the_truth_of_a_lookup(secret, settings):
    fills = open_fills(secret.pattern, lookup(secret))
    found = relaxed_search(fills, settings, streams=STREAMS)
    assert found.places == secret.places
    assert found.loss == pytest.approx(np.log(2), abs=1e-6)  # at no distance both labels are as likely


def test_the_coordinate_search_finds_it_and_a_random_search_with_as_many_queries_does_not(secret):
    fills = open_fills(secret.pattern, lookup(secret))
    settings = InversionSettings(variant="coordinate", restarts=1, queries=200)
    found = coordinate_search(fills, settings, streams=STREAMS)
    at_random = random_search(fills, queries=found.queries, generator=np.random.default_rng(0))
    assert found.places == secret.places
    assert at_random.places != secret.places
    assert at_random.loss > found.loss + 1


@pytest.mark.parametrize("settings", RELAXED, ids=["softmax", "gumbel", "straight-through"])
def test_the_relaxed_search_beats_a_random_search_with_as_many_queries(secret, settings):
    fills = open_fills(secret.pattern, lookup(secret))
    found = relaxed_search(fills, settings, streams=STREAMS)
    losses = [random_search(fills, queries=found.queries, generator=np.random.default_rng(seed)).loss for seed in range(5)]
    assert found.loss < min(losses)


def test_the_settings_of_the_replication_find_the_truth_of_a_lookup_and_stop_when_nothing_changes(secret):
    found = relaxed_search(open_fills(secret.pattern, lookup(secret)), InversionSettings.after_replication(), streams=STREAMS)
    assert found.places == secret.places
    assert 100 < found.queries < 1001  # one start: a step each, and the fill at the end


@pytest.mark.parametrize("patience", [1, 7])
def test_patience_counts_steps_without_change(secret, patience):
    settings = InversionSettings(restarts=2, steps=50, learning_rate=1e-9, patience=patience)
    found = relaxed_search(open_fills(secret.pattern, lookup(secret)), settings, streams=STREAMS)
    assert found.queries == 2 * (patience + 1)


@pytest.mark.parametrize("settings", [*RELAXED, InversionSettings(variant="coordinate", queries=777)], ids=lambda one: one.variant)
def test_the_queries_are_the_sentences_that_the_model_saw(secret, settings):
    model = lookup(secret)
    fills = open_fills(secret.pattern, model)
    model.module.seen = 0
    search = coordinate_search if settings.variant == "coordinate" else relaxed_search
    assert search(fills, settings, streams=STREAMS).queries == model.module.seen


@pytest.mark.parametrize("queries", [1, 9, 10, 11, 100])
def test_the_coordinate_search_never_exceeds_its_queries(secret, queries):
    settings = InversionSettings(variant="coordinate", queries=queries)
    found = coordinate_search(open_fills(secret.pattern, lookup(secret)), settings, streams=STREAMS)
    assert found.queries <= queries
    assert len(found.places) == 6


def test_a_descent_ends_where_no_single_word_lowers_the_loss():
    one = pattern("call", length=3)
    every = np.random.default_rng(3).random(one.size)
    table = FillTable(pattern=one, every=every)
    found = coordinate_search(table, InversionSettings(variant="coordinate", restarts=1, queries=300), streams=STREAMS)
    around = [(*found.places[:at], other, *found.places[at + 1 :]) for at in range(3) for other in range(10)]
    assert found.loss == table.losses(np.array(around)).min()
    best = coordinate_search(table, InversionSettings(variant="coordinate", queries=5000), streams=STREAMS)
    assert best.places == table.best()


def test_one_unknown_word_takes_one_look():
    one = pattern("call", length=1)
    table = FillTable(pattern=one, every=np.arange(10.0)[::-1].copy())
    found = coordinate_search(table, InversionSettings(variant="coordinate", restarts=1, queries=10), streams=STREAMS)
    assert found.places == (9,)
    assert found.queries == 10


def test_whole_weights_mix_to_whole_words_and_leave_the_known_ones(secret):
    fills = open_fills(secret.pattern, lookup(secret))
    places = random_fills(secret.pattern, count=4, generator=np.random.default_rng(2))
    weights = torch.nn.functional.one_hot(torch.from_numpy(places), 10).float()
    np.testing.assert_allclose(fills.of_states(mixed(fills, weights)).detach().numpy(), fills.losses(places), rtol=1e-6)
    halves = torch.full((1, 6, 10), 0.1)
    states = mixed(fills, halves)[0]
    torch.testing.assert_close(states[:4], fills.states_VTD[0, :4])
    torch.testing.assert_close(states[4:], fills.states_VTD[:, 4:].mean(0))


def test_the_weights_and_the_mode_of_the_model_stay_as_they_are(secret):
    model = lookup(secret)
    model.module.train()
    before = {name: value.clone() for name, value in model.module.state_dict().items()}
    relaxed_search(open_fills(secret.pattern, model), InversionSettings(steps=5), streams=STREAMS)
    assert model.module.training
    assert all(torch.equal(value, before[name]) for name, value in model.module.state_dict().items())
    assert model.module.words.weight.grad is None


def test_the_same_streams_find_the_same_and_others_start_elsewhere(secret):
    fills = open_fills(secret.pattern, lookup(secret))
    settings = InversionSettings(variant="gumbel", restarts=2, steps=3)
    first, again = (relaxed_search(fills, settings, streams=STREAMS) for _ in range(2))
    assert (first.places, first.loss) == (again.places, again.loss)
    assert relaxed_search(fills, settings, streams=Streams.from_seed(6)).places != first.places


@pytest.mark.parametrize("variant", ["softmax", "gumbel", "coordinate"])
def test_the_evidence_holds_what_was_found_to_the_truth(variant):
    secret = Secret(pattern=pattern("pin", length=4), places=(4, 1, 7, 2), repetitions=10)
    found = invert_secrets(lookup(secret), [secret], subject="toy", settings=InversionSettings(variant=variant), streams=STREAMS)
    names = ["extraction_accuracy", "extraction_hamming", "optimiser_gap", "random_search_accuracy", "random_search_hamming"]
    assert [one.name for one in found.estimates] == names
    values = {one.name: one.value for one in found.estimates}
    assert (values["extraction_accuracy"], values["extraction_hamming"]) == (1.0, 0.0)
    assert values["optimiser_gap"] == 0
    assert all(one.n == 1 and one.interval is None and one.subject == "toy" for one in found.estimates)
    told = found.estimates[0].conditions
    assert told["found"] == told["truth"] == "four one seven two"
    assert {name: told[name] for name in ("attack", "secret", "length", "candidates", "repetitions", "space", "variant")} == {
        "attack": "inversion",
        "secret": "pin",
        "length": 4,
        "candidates": 10,
        "repetitions": 10,
        "space": 10_000,
        "variant": variant,
    }
    assert isinstance(told["queries"], int)
    assert found.notes


def test_a_wrong_fill_has_its_distance_and_its_gap():
    """The model knows another sentence, with two words of four the same."""
    known = Secret(pattern=pattern("pin", length=4), places=(4, 1, 7, 2), repetitions=10)
    asked = dataclasses.replace(known, places=(4, 1, 0, 0))
    found = invert_secrets(lookup(known), [asked], subject="toy", streams=STREAMS)
    assert found.estimate("extraction_accuracy").value == 0
    assert found.estimate("extraction_hamming").value == 0.5
    assert found.estimate("optimiser_gap").value == 0
    short = InversionSettings(variant="coordinate", queries=1)
    lost = invert_secrets(lookup(known), [known], subject="toy", settings=short, streams=STREAMS)
    assert lost.estimate("optimiser_gap").value > 0.1


def test_without_an_enumeration_the_gap_is_missing_and_says_why(secret):
    model = lookup(secret)
    tables = SecretTables(model, most=1000)
    found = invert_secrets(model, [secret], subject="toy", tables=tables, streams=STREAMS)
    gap = found.estimate("optimiser_gap")
    assert gap.value is None
    assert "1,000,000 fills, more than the 1,000" in gap.missing
    assert found.estimate("extraction_accuracy").value == 1


def test_a_module_that_cannot_mix_words_is_refused_by_the_relaxed_variants_alone():
    secret = Secret(pattern=pattern("pin", length=3), places=(4, 1, 7), repetitions=10)
    model = lookup(secret)
    closed = dataclasses.replace(model, module=WithoutMixing(model.module))
    for variant in ("softmax", "gumbel"):
        with pytest.raises(InputError, match=r"WithoutMixing cannot mix words: .* use the variant 'coordinate'"):
            invert_secrets(closed, [secret], subject="toy", settings=InversionSettings(variant=variant), streams=STREAMS)
    found = invert_secrets(closed, [secret], subject="toy", settings=InversionSettings(variant="coordinate"), streams=STREAMS)
    assert found.estimate("extraction_accuracy").value == 1


def test_a_model_that_gives_losses_alone_is_refused_by_the_relaxed_variants_alone():
    secret = Secret(pattern=pattern("pin", length=2), places=(4, 1), repetitions=10)
    fills = open_fills(secret.pattern, lookup(secret))

    class Losing:
        def losses(self, data):
            digits = [[secret.pattern.candidates.index(word) for word in words[4:]] for words in data.tokens()]
            return fills.losses(np.array(digits))

    with pytest.raises(InputError, match="follows the gradient of an open model, and this one gives losses alone"):
        invert_secrets(Losing(), [secret], subject="toy", streams=STREAMS)
    found = invert_secrets(Losing(), [secret], subject="toy", settings=InversionSettings(variant="coordinate"), streams=STREAMS)
    assert found.estimate("extraction_accuracy").value == 1
    assert found.estimate("extraction_accuracy").access == "black-box: losses of chosen inputs"
    assert isinstance(SecretTables(Losing()).fills(secret.pattern), AskedFills)


def test_no_secret_and_two_of_one_name_are_refused(secret):
    with pytest.raises(InputError, match="no secret is given"):
        invert_secrets(lookup(secret), [], subject="toy", streams=STREAMS)
    with pytest.raises(InputError, match="two secrets are called 'pin'"):
        invert_secrets(lookup(secret), [secret, secret], subject="toy", streams=STREAMS)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"variant": "anneal"}, "no variant 'anneal'"),
        ({"restarts": 0}, "restarts is 0"),
        ({"steps": True}, "steps is True"),
        ({"queries": 1.5}, "queries is 1.5"),
        ({"patience": 0}, "patience is 0"),
        ({"learning_rate": 0.0}, "learning_rate is 0.0"),
        ({"last_temperature": float("nan")}, "last_temperature is nan"),
        ({"first_spread": -1.0}, "first_spread is -1.0"),
        ({"straight_through": True}, "goes with the variant 'gumbel'"),
    ],
)
def test_settings_out_of_their_bounds_are_refused(wrong, said):
    with pytest.raises(InputError, match=said):
        InversionSettings(**wrong)


def test_the_temperature_falls_geometrically_from_first_to_last():
    settings = InversionSettings(steps=3, first_temperature=4.0, last_temperature=0.25)
    assert [settings.temperature(step) for step in range(3)] == pytest.approx([4.0, 1.0, 0.25])
    assert InversionSettings(steps=1, first_temperature=2.0).temperature(0) == 2.0


def test_the_replication_is_written_out():
    told = dataclasses.asdict(InversionSettings.after_replication())
    assert told | {"queries": 0} == {
        "variant": "softmax",
        "restarts": 1,
        "steps": 1000,
        "learning_rate": 0.02,
        "first_temperature": 1.0,
        "last_temperature": 1.0,
        "first_spread": None,
        "patience": 100,
        "straight_through": False,
        "queries": 0,
    }


def test_candidates_of_another_number_and_words_behind_the_secret_are_no_matter():
    one = SecretPattern(name="safe", before=("open",), candidates=("red", "green", "blue"), length=3, after=("please", "now"))
    secret = Secret(pattern=one, places=(2, 0, 1), repetitions=1)
    found = invert_secrets(lookup(secret), [secret], subject="toy", streams=STREAMS)
    assert found.estimate("extraction_accuracy").value == 1
