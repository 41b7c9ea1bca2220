"""What a simulation does round by round: who counts, what is refused, and that it can be interrupted and goes on."""

import os
import signal
from dataclasses import replace

import numpy as np
import pytest
import torch
from tests.oracles.federations import tiny_data, tiny_population

from holdfast import federated, models
from holdfast.core.errors import InputError, Interrupted, RunError, TrainingStopped
from holdfast.core.progress import Progress
from holdfast.core.randomness import Streams
from holdfast.federated import LocalSolver, algorithm, simulate
from holdfast.federated.local import Updates
from holdfast.federated.local.training import LocalTraining

SIZES = [7, 1, 12, 5, 3, 9]
LOCAL = LocalSolver(learning_rate=0.3, batch_size=4)
FEDAVG = algorithm("fedavg", local=LOCAL)


def run(population=None, *, algo=FEDAVG, cohort=3, rounds=4, kernel="sequential", seed=5, **options):
    return simulate(
        algo, population or tiny_population(SIZES), cohort=cohort, rounds=rounds, seed=seed, kernel=kernel, evaluate_every=2, **options
    )


def weights(found) -> dict[str, np.ndarray]:
    return {name: value.numpy().copy() for name, value in found.state.server.weights.items()}


def test_it_learns_and_tells_of_it():
    told: list[Progress] = []
    found = run(tiny_population([60] * 6), rounds=30, cohort=6, on_progress=told.append)
    losses = [loss for _, loss, _ in found.state.history.convergence]
    assert losses[-1] < 0.75 * losses[0]
    assert [one.done for one in told] == list(range(1, 31))
    assert told[-1].phase == "federate fedavg"
    assert "score" in told[-1].note
    assert found.evidence().estimate("accuracy", "fedavg").value > 0.7


def test_the_same_seed_gives_the_same_weights_and_another_does_not():
    one, again, other = weights(run()), weights(run()), weights(run(seed=6))
    assert all((one[name] == again[name]).all() for name in one)
    assert any((one[name] != other[name]).any() for name in one)


def test_the_module_holds_the_last_weights():
    found = run()
    module = dict(found.module.named_parameters())
    assert all(torch.equal(module[name], value) for name, value in found.state.server.weights.items())


class Spoiled(LocalTraining):
    """Clients 2 and 4 hand back what is not finite."""

    bad = (2, 4)

    def train(self, weights, examples, clients, **options):
        for updates in super().train(weights, examples, clients, **options):
            dense = {name: value.clone() for name, value in updates.dense.items()}
            for row, place in enumerate(updates.positions):
                if int(clients[place]) in self.bad:
                    next(iter(dense.values()))[row] = float("nan") if int(clients[place]) == 2 else float("inf")
            yield Updates(updates.positions, dense, updates.tables, updates.steps, updates.losses)


def test_an_update_that_is_not_finite_is_left_out_and_counted(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("holdfast.federated.simulation.simulating.LocalTraining", Spoiled)
    found = run(cohort=6)
    assert found.state.history.left_out["not finite"] == 2 * 4
    assert found.state.history.counted == 4 * 4
    left_out = found.evidence().estimate("clients_left_out", "fedavg", conditions={"reason": "not finite"})
    assert left_out.value == 8
    assert all(np.isfinite(value).all() for value in weights(found).values())
    assert found.state.signals.times[[2, 4]].tolist() == [0, 0]
    monkeypatch.undo()
    # The others weigh as if the two had never been drawn.
    only = run(tiny_population([7, 1, 12, 5, 3, 9]), cohort=6, rounds=1, stragglers=federated.stragglers({"failing": [2, 4]}))
    monkeypatch.setattr("holdfast.federated.simulation.simulating.LocalTraining", Spoiled)
    spoiled = run(cohort=6, rounds=1)
    for name, value in weights(only).items():
        np.testing.assert_allclose(value, weights(spoiled)[name], atol=1e-6)


def test_a_round_of_bad_clients_alone_moves_nothing(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("holdfast.federated.simulation.simulating.LocalTraining", Spoiled)
    monkeypatch.setattr(Spoiled, "bad", tuple(range(6)))
    found = run(rounds=2)
    first = dict(tiny_population(SIZES).module(Streams.from_seed(5)).named_parameters())
    assert all((value == first[name].detach().numpy()).all() for name, value in weights(found).items())
    assert found.state.server.rounds == 0


def test_a_client_that_always_fails_never_counts():
    found = run(cohort=6, stragglers=federated.stragglers({"failing": [2]}))
    assert found.state.history.left_out["failed"] == 4
    assert found.state.signals.times.tolist() == [4, 4, 0, 4, 4, 4]


def test_diverging_stops_with_words_and_keeps_the_checkpoint(tmp_path):
    wild = algorithm("fedavg", local=LOCAL, server={"learning_rate": 1e38})
    with pytest.raises(TrainingStopped, match="lower the learning rate of clients or server"):
        run(algo=wild, rounds=20, folder=tmp_path, checkpoint_every=1)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: run(cohort=7), "a cohort of 7 clients, but 6 of the 6 clients have examples"),
        (lambda: run(tiny_population(SIZES[:2]), cohort=3), "give a cohort of 2 at most"),
        (lambda: run(select="activty"), "did you mean 'activity'"),
        (lambda: run(weights="example"), "there is no weighting 'example'"),
        (lambda: run(kernel="fast"), "kernel"),
        (lambda: run(trainable={"only": ["head"]}), "heads"),
        (lambda: tiny_population(SIZES, holdout=1.0), r"\[0, 1\)"),
        (lambda: run(select="top-k", weights="inverse-propensity"), "had no chance"),
    ],
)
def test_bad_input_is_refused_before_any_work(call, words: str):
    with pytest.raises(InputError, match=words):
        call()


def test_data_without_users_need_a_partition():
    data = tiny_data(SIZES)
    table = data.train.table.drop_columns(["user_id"])
    bare = replace(data, train=replace(data.train, table=table))
    from holdfast.tasks import Classification

    with pytest.raises(InputError, match="user_id"):
        federated.Population.of(Classification(), bare)
    made = federated.partitioned("iid", bare.train, clients=4, seed=1)
    population = federated.Population.of(Classification(), bare, partition=made, holdout=0.2)
    assert len(population.clients) == 4
    assert population.clients.total + len(population.own.data) == len(bare.train)
    assert run(population).evidence().estimate("clients", "fedavg").conditions == {"partition": "iid"}


def test_held_out_examples_are_never_trained_on():
    data = tiny_data([40, 30, 30])
    made = federated.partitioned("iid", data.train, clients=5, seed=1)
    from holdfast.tasks import Classification

    population = federated.Population.of(Classification(), data, partition=made, holdout=0.25)
    inside = np.concatenate([population.clients.of(client) for client in range(5)])
    everything = made.clients_of()
    for client in range(5):
        assert set(population.clients.of(client)) < set(everything.of(client))
    assert len(set(inside)) == len(inside) == 75


def test_interrupted_it_goes_on_to_the_same_weights(tmp_path):
    whole = weights(run(rounds=6))

    def stop(progress: Progress) -> None:
        if progress.done == 3:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(Interrupted, match="after round 3 of 6; resume"):
        run(rounds=6, folder=tmp_path, on_progress=stop)
    found = run(rounds=6, folder=tmp_path, resume=True)
    assert all((weights(found)[name] == value).all() for name, value in whole.items())
    assert found.state.history.convergence == run(rounds=6).state.history.convergence
    assert found.state.signals.times.tolist() == run(rounds=6).state.signals.times.tolist()


@pytest.mark.parametrize("name", ["scaffold", "fedadam"])
def test_what_the_server_remembers_survives(tmp_path, name: str):
    algo = algorithm(name, local=LOCAL, server={"learning_rate": 0.1})
    whole = run(algo=algo, rounds=5)

    def stop(progress: Progress) -> None:
        if progress.done == 2:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(Interrupted):
        run(algo=algo, rounds=5, folder=tmp_path, on_progress=stop)
    found = run(algo=algo, rounds=5, folder=tmp_path, resume=True)
    assert all((weights(found)[key] == value).all() for key, value in weights(whole).items())
    assert found.state.server.clients.keys() == whole.state.server.clients.keys()


def test_error_feedback_survives(tmp_path):
    def asked() -> dict:
        return {"compressor": federated.ErrorFeedback(federated.compressor("top-k", {"share": 0.1})), "rounds": 5}

    whole = run(**asked())

    def stop(progress: Progress) -> None:
        if progress.done == 2:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(Interrupted):
        run(**asked(), folder=tmp_path, on_progress=stop)
    found = run(**asked(), folder=tmp_path, resume=True)
    assert all((weights(found)[key] == value).all() for key, value in weights(whole).items())


def test_a_secret_seed_is_kept_until_the_end(tmp_path):
    def stop(progress: Progress) -> None:
        if progress.done == 2:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(Interrupted):
        run(seed=None, folder=tmp_path, on_progress=stop)
    assert (tmp_path / "randomness.key").exists()
    run(seed=None, folder=tmp_path, resume=True)
    assert not (tmp_path / "randomness.key").exists()


def test_the_checkpoint_of_another_simulation_is_refused(tmp_path):
    run(folder=tmp_path)
    with pytest.raises(RunError, match=r"conditions was .* give another folder"):
        run(folder=tmp_path, resume=True, cohort=2)
    with pytest.raises(RunError, match="data was"):
        run(tiny_population([7, 1, 12, 5, 3, 8]), folder=tmp_path, resume=True)
    (tmp_path / "federated.safetensors").write_bytes(b"nothing")
    with pytest.raises(RunError, match="cannot be read"):
        run(folder=tmp_path, resume=True)


def test_a_frozen_part_neither_moves_nor_travels():
    whole, heads = run(), run(trainable="heads")
    assert set(heads.state.server.weights) == {"heads.sentence.weight", "heads.sentence.bias"}
    assert heads.state.history.bytes_down < whole.state.history.bytes_down / 2
    first = dict(tiny_population(SIZES).module(Streams.from_seed(5)).named_parameters())
    assert torch.equal(dict(heads.module.named_parameters())["sentence.weight"], first["sentence.weight"])


def test_low_rank_pairs_train_and_are_folded_in():
    found = run(lora={"rank": 2, "alpha": 4.0, "train": "b"}, rounds=8)
    assert all("lora_b" in name for name in found.state.server.weights)
    assert not any("lora" in name for name, _ in found.module.named_parameters())
    first = dict(tiny_population(SIZES).module(Streams.from_seed(5)).named_parameters())
    assert not torch.equal(dict(found.module.named_parameters())["sentence.weight"], first["sentence.weight"])


def test_compression_sends_less_and_robust_rules_run():
    plain = run()
    small = run(compressor=federated.compressor("8-bit"))
    assert small.state.history.bytes_up < 0.6 * plain.state.history.bytes_up
    for name in ("median", "trimmed-mean", "norm-bound"):
        options = {"bound": 0.5} if name == "norm-bound" else {"share": 0.2} if name == "trimmed-mean" else {}
        found = run(cohort=5, rule=federated.rule(name, options))
        assert found.evidence().notes[-1].startswith("A robust rule cannot tell")


def test_a_vocabulary_of_the_clients_words_is_named():
    from holdfast.tasks import Classification

    assert any("read off the text of all clients" in note for note in run().evidence().notes)
    model = {"embedding": 4, "hidden": 5, "dropout": 0.0, "word_dropout": 0.0, "vocabulary": "hashed", "buckets": 32}
    public = federated.Population.of(Classification(), tiny_data(SIZES), model=models.settings("bag", model))
    assert not any("read off the text of all clients" in note for note in run(public).evidence().notes)


def test_heavy_clients_that_count_twice_are_named():
    notes = " ".join(run(select="activity").evidence().notes)
    assert "twice" in notes
    assert "twice" not in " ".join(run(select="activity", weights="uniform").evidence().notes)


def test_a_population_on_disk_gives_the_same_weights(tmp_path):
    whole = tiny_population(SIZES)
    federated.write_store(
        tmp_path / "store", whole.encoded, whole.clients, moments=whole.data.train.timestamps(), data_hash=whole.data.train.content_hash
    )
    stored = federated.Population.of_store(whole.task, federated.open_store(tmp_path / "store"), whole.data, model=whole.settings)
    one, other = run(whole), run(stored)
    for name, value in weights(one).items():
        np.testing.assert_array_equal(value, weights(other)[name])
    mine, theirs = one.evidence(), other.evidence()
    assert mine.estimate("accuracy", "fedavg") == theirs.estimate("accuracy", "fedavg")
    assert mine.estimate("mean_js_distance", "fedavg") == theirs.estimate("mean_js_distance", "fedavg")
    assert (stored.moments == whole.moments).all()
    run(whole, folder=tmp_path / "run")
    with pytest.raises(RunError, match="data was"):
        run(stored, folder=tmp_path / "run", resume=True)


def test_the_clock_of_a_population_on_disk_scores_no_events(tmp_path):
    whole = tiny_population(SIZES)
    federated.write_store(tmp_path / "store", whole.encoded, whole.clients, moments=whole.data.train.timestamps())
    stored = federated.Population.of_store(whole.task, federated.open_store(tmp_path / "store"), whole.data, model=whole.settings)
    clock = federated.schedule(
        "continual", {"periods": 2, "rounds_per_period": 2}, clients=stored.clients, times_n=stored.moments, streams=Streams.from_seed(0)
    )
    found = run(stored, rounds=None, cohort=2, schedule=clock)
    assert found.state.history.periods == []
    assert found.evidence().estimate("prequential_score", "fedavg") is None
