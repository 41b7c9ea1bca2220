"""A population on disk: what is read is what was written, a killed writer leaves the old one, and damage is named."""

import json
import os
import subprocess
import sys
import time

import numpy as np
import pytest
import torch

from holdfast import models, tasks
from holdfast.core.errors import InputError, RunError, TrainingStopped
from holdfast.data import Dataset, Example
from holdfast.federated.population import Clients, open_store, write_store, write_synthetic
from holdfast.federated.population import store as room
from holdfast.models import Labels
from holdfast.models.features import Encoded
from holdfast.models.ragged import Ragged
from holdfast.tasks import EncodedDataset


def encoded(task="intent-slot", model="bilstm", rows=12):
    examples = [
        Example(
            tokens=tuple(f"w{(row * 7 + word) % 11}" for word in range(1 + row % 4)),
            label=f"l{row % 3}",
            tags=["O"] * (row % 4) + ["B-x"],
            user_id=f"u{row % 5}",
        )
        for row in range(rows)
    ]
    data = Dataset.from_examples(examples, name="tiny", split="train")
    made = {"intent-slot": tasks.IntentSlot(), "words": tasks.LanguageModel()}[task]
    featuriser = models.settings(model).featuriser(data.tokens())
    return made.encode(data, featuriser, made.labels(data)), Clients.of_column(data), data


def same_batch(found, wanted):
    for name in ("ids_BT", "mask_BT", "characters_BTL", "words_BW", "word_mask_BW", "states_BTD"):
        ours, theirs = getattr(found.features, name), getattr(wanted.features, name)
        assert (ours is None) == (theirs is None), name
        assert ours is None or torch.equal(ours, theirs), name
    for name in ("sentence_B", "tokens_BW"):
        ours, theirs = getattr(found, name), getattr(wanted, name)
        assert (ours is None) == (theirs is None), name
        assert ours is None or torch.equal(ours, theirs), name
    assert found.words.tolist() == wanted.words.tolist()
    assert found.labels == wanted.labels


@pytest.mark.parametrize(("task", "model"), [("intent-slot", "bilstm"), ("intent-slot", "bag"), ("words", "lstm-lm")])
def test_what_is_opened_is_what_was_written(tmp_path, task, model):
    examples, clients, data = encoded(task, model)
    moments = np.datetime64("2020-01-01T00:00:00") + np.arange(12)
    write_store(tmp_path / "store", examples, clients, moments=moments, data_hash=data.content_hash)
    store = open_store(tmp_path / "store")
    assert store.data_hash == data.content_hash
    assert (store.moments == moments).all()
    assert store.moments.dtype == np.dtype("datetime64[s]")
    assert len(store.clients) == 5
    for client in range(5):
        assert store.clients.of(client).tolist() == clients.of(client).tolist()
        same_batch(store.encoded.batch(store.clients.of(client)), examples.batch(clients.of(client)))
    assert store.encoded.featuriser == examples.featuriser
    store.verify()


def test_frozen_states_and_first_pieces_are_kept(tmp_path):
    pieces = Ragged.from_rows([[1, 2, 3], [4]])
    inner = Encoded(pieces, padding=9, words=Ragged.from_rows([[0, 2], [0]]), states=np.arange(8, dtype=np.float32).reshape(4, 2))
    plain, _, _ = encoded()
    examples = EncodedDataset(inner, plain.featuriser, Labels(("a",)), np.array([2, 1]), np.array([0, 0]), None)
    write_store(tmp_path, examples, Clients(np.array([0, 2]), None))
    store = open_store(tmp_path)
    same_batch(store.encoded.batch(np.array([1, 0])), examples.batch(np.array([1, 0])))
    assert store.encoded.encoded.padding == 9
    assert store.clients.examples is None
    assert store.clients.names is None
    assert store.moments is None
    assert store.data_hash is None


def test_columns_are_mapped_and_not_loaded(tmp_path):
    examples, clients, _ = encoded()
    write_store(tmp_path, examples, clients)
    store = open_store(tmp_path)
    for column in (store.encoded.encoded.pieces.values, store.encoded.sentence, store.clients.offsets, store.clients.examples):
        base = column
        while base is not None and not isinstance(base, np.memmap):
            base = base.base
        assert isinstance(base, np.memmap)
        assert not column.flags.writeable


def test_names_are_hashed_on_disk(tmp_path):
    examples, clients, _ = encoded()
    write_store(tmp_path, examples, clients)
    names = open_store(tmp_path).clients.names
    assert len(set(names)) == len(names) == 5
    assert all(len(name) == 16 and set(name) <= set("0123456789abcdef") for name in names)
    assert not any(user.encode() in path.read_bytes() for path in tmp_path.rglob("clients.*") for user in ("u0", "u3"))
    hashed = Clients(clients.offsets, clients.examples, ["0123456789abcdef", *names[1:]])
    write_store(tmp_path, examples, hashed)
    assert open_store(tmp_path).clients.names[:2] == ["0123456789abcdef", names[1]], "hashed ones stay as they are"


def test_a_new_population_takes_the_place_of_the_old(tmp_path):
    examples, clients, _ = encoded()
    write_store(tmp_path, examples, clients, data_hash="old")
    opened = open_store(tmp_path)
    write_store(tmp_path, examples, Clients(np.array([0, 12]), None), data_hash="new")
    assert open_store(tmp_path).data_hash == "new"
    assert len(list(tmp_path.glob("columns-*"))) == 1, "the old columns are gone"
    assert opened.clients.of(0).tolist() == clients.of(0).tolist(), "who has them open reads on"


def test_a_writer_that_is_killed_leaves_the_old_population(tmp_path):
    examples, clients, _ = encoded()
    write_store(tmp_path, examples, clients, data_hash="old")
    script = (
        "import os, signal, sys\n"
        "from holdfast.federated.population import open_store, store, write_store\n"
        "old = open_store(sys.argv[1])\n"
        "real, calls = store.write_column, []\n"
        "def killed(*values, **named):\n"
        "    calls.append(1)\n"
        "    if len(calls) == 4: os.kill(os.getpid(), signal.SIGKILL)\n"
        "    return real(*values, **named)\n"
        "store.write_column = killed\n"
        "write_store(sys.argv[1], old.encoded, old.clients, data_hash='new')\n"
    )
    ended = subprocess.run([sys.executable, "-c", script, str(tmp_path)], env={**os.environ, "OMP_NUM_THREADS": "1"}, check=False)
    assert ended.returncode == -9
    assert len(list(tmp_path.glob("columns-*"))) == 2, "what the killed one left"
    store = open_store(tmp_path)
    assert store.data_hash == "old"
    store.verify()
    write_store(tmp_path, examples, clients, data_hash="newer")
    assert len(list(tmp_path.glob("columns-*"))) == 1
    assert open_store(tmp_path).data_hash == "newer"


def test_a_full_disk_leaves_the_old_population(tmp_path, monkeypatch):
    examples, clients, _ = encoded()
    write_store(tmp_path, examples, clients, data_hash="old")

    def full(path, *_, **__):
        raise room.explain(path, OSError(28, "No space left on device"), size=100)

    monkeypatch.setattr(room, "write_column", full)
    with pytest.raises(TrainingStopped, match="no room"):
        write_store(tmp_path, examples, clients, data_hash="new")
    assert open_store(tmp_path).data_hash == "old"
    assert len(list(tmp_path.glob("columns-*"))) == 1


def test_files_of_somebody_else_are_left_alone(tmp_path):
    examples, clients, _ = encoded()
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(RunError, match=r"holds 'thesis.txt' and no population; give an empty folder"):
        write_store(tmp_path, examples, clients)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "header.json").write_text('{"schema": "something"}')
    with pytest.raises(RunError, match="not a population"):
        write_store(tmp_path / "other", examples, clients)
    assert (tmp_path / "thesis.txt").read_text() == "mine"


def test_examples_and_moments_must_be_there(tmp_path):
    examples, _, _ = encoded()
    with pytest.raises(InputError, match=r"examples from 0 to 12, but there are 12; give positions in \[0, 12\)"):
        write_store(tmp_path / "a", examples, Clients(np.array([0, 13]), None))
    with pytest.raises(InputError, match="examples from -1 to 3"):
        write_store(tmp_path / "a", examples, Clients(np.array([0, 2]), np.array([3, -1])))
    with pytest.raises(InputError, match="give one for each"):
        write_store(tmp_path / "a", examples, Clients(np.array([0, 12]), None), moments=np.arange(3).astype("datetime64[s]"))
    assert not (tmp_path / "a").exists()


def changed(place, **values):
    path = place / "header.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def test_damage_is_named(tmp_path):
    examples, clients, _ = encoded()
    write_store(tmp_path, examples, clients)
    header = json.loads((tmp_path / "header.json").read_text())
    columns = tmp_path / header["folder"]

    for values, message in [
        ({"schema": "other"}, "not a population"),
        ({"version": 2}, "version 2, this holdfast reads 1"),
        ({"clients": "many"}, r"damaged \(clients\)"),
        ({"folder": "../elsewhere"}, "names of files"),
        ({"columns": {"../../secret": {}}}, "names of files"),
        ({"clients": 6}, "the columns have 5 clients, the header 6"),
        ({"featuriser": "Mine"}, "featuriser is a Mine.*give open_store the featuriser"),
        ({"columns": {}}, "is damaged"),
    ]:
        changed(tmp_path, **values)
        with pytest.raises(RunError, match=message):
            open_store(tmp_path)
        changed(tmp_path, **header)

    kept = (columns / "words.npy").read_bytes()
    for content, message in [(kept[:-8], "missing or damaged"), (b"", "missing or damaged"), (b"text", "missing or damaged")]:
        (columns / "words.npy").write_bytes(content)
        with pytest.raises(RunError, match=message):
            open_store(tmp_path)
    np.save(columns / "words.npy", np.zeros(3, dtype=np.int64))
    with pytest.raises(RunError, match="but the header says"):
        open_store(tmp_path)
    np.save(columns / "words.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(RunError, match="missing or damaged"):
        open_store(tmp_path)
    (columns / "words.npy").write_bytes(kept[:-1] + bytes([kept[-1] ^ 1]))
    store = open_store(tmp_path)
    with pytest.raises(RunError, match=r"words\.npy: damaged, its numbers are not those"):
        store.verify()
    (columns / "words.npy").unlink()
    with pytest.raises(RunError, match=r"words\.npy: missing"):
        open_store(tmp_path)
    (tmp_path / "header.json").write_text("{")
    with pytest.raises(RunError, match="damaged"):
        open_store(tmp_path)
    with pytest.raises(RunError, match="give a folder that write_store wrote"):
        open_store(tmp_path / "nothing")


def test_rows_that_do_not_end_at_their_values_are_damage(tmp_path):
    examples, clients, _ = encoded()
    write_store(tmp_path, examples, clients)
    columns = tmp_path / json.loads((tmp_path / "header.json").read_text())["folder"]
    offsets = np.load(columns / "pieces.offsets.npy")
    offsets[-1] += 1
    np.save(columns / "pieces.offsets.npy", offsets)
    with pytest.raises(RunError, match="offsets of rows do not go from 0"):
        open_store(tmp_path)


def test_a_synthetic_population_is_zipf_and_reproducible(tmp_path):
    pool, _, _ = encoded()
    write_synthetic(tmp_path / "a", pool, clients=20_000, seed=3, exponent=2.0, most_examples=50)
    store = open_store(tmp_path / "a")
    counts = store.clients.counts
    law = np.arange(1, 51.0) ** -2
    law /= law.sum()
    assert (counts.min(), counts.max() <= 50) == (1, True)
    for many in (1, 2, 5):
        assert abs((counts == many).mean() - law[many - 1]) < 5 * np.sqrt(law[many - 1] / 20_000)
    used = np.bincount(store.clients.examples, minlength=12) / store.clients.total
    assert np.abs(used - 1 / 12).max() < 0.005, "each utterance of the pool as often"
    assert store.clients.examples.dtype == np.int32
    same_batch(store.encoded.batch(np.arange(12)), pool.batch(np.arange(12)))
    write_synthetic(tmp_path / "b", pool, clients=20_000, seed=3, exponent=2.0, most_examples=50)
    assert (open_store(tmp_path / "b").clients.examples == store.clients.examples).all()
    write_synthetic(tmp_path / "c", pool, clients=20_000, seed=4, exponent=2.0, most_examples=50)
    assert open_store(tmp_path / "c").clients.total != store.clients.total


def test_chunks_join_without_a_seam(tmp_path, monkeypatch):
    from holdfast.federated.population import synthetic

    pool, _, _ = encoded()
    monkeypatch.setattr(synthetic, "CHUNK", 64)
    write_synthetic(tmp_path / "a", pool, clients=150, seed=3)
    write_synthetic(tmp_path / "b", pool, clients=130, seed=3)
    whole, part = (open_store(tmp_path / name).clients for name in "ab")
    assert len(whole) == 150
    assert whole.counts[:130].tolist() == part.counts.tolist(), "more clients change none of the first"
    assert whole.total == len(whole.examples) == whole.counts.sum()
    open_store(tmp_path / "a").verify()


@pytest.mark.parametrize(("options", "message"), [({"clients": 0}, "clients is 0"), ({"clients": 3, "most_examples": 0}, "most_examples")])
def test_a_synthetic_population_has_bounds(tmp_path, options, message):
    with pytest.raises(InputError, match=message):
        write_synthetic(tmp_path / "a", encoded()[0], seed=1, **options)


@pytest.mark.slow
def test_a_million_clients_open_at_once_and_a_round_costs_what_it_touches(tmp_path):
    pool, _, _ = encoded(rows=500)
    seconds = {}
    for clients in (10_000, 1_000_000):
        folder = tmp_path / str(clients)
        write_synthetic(folder, pool, clients=clients, seed=1)
        open_store(folder)  # imports and such
        opening, touching = [], []
        for attempt in range(5):
            begun = time.perf_counter()
            store = open_store(folder)
            opening.append(time.perf_counter() - begun)
            cohort = np.random.default_rng(attempt).integers(0, clients, 100)
            begun = time.perf_counter()
            store.encoded.batch(np.concatenate([store.clients.of(int(client)) for client in cohort]))
            touching.append(time.perf_counter() - begun)
        seconds[clients] = (min(opening), min(touching))
    assert seconds[1_000_000][0] < 0.5, seconds
    assert seconds[1_000_000][0] < 10 * seconds[10_000][0] + 0.02, seconds
    assert seconds[1_000_000][1] < 10 * seconds[10_000][1] + 0.02, seconds
    assert sum(path.stat().st_size for path in (tmp_path / "1000000").rglob("*.npy")) < 40 * 2**20
