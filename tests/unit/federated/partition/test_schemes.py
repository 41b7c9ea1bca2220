"""Partitions: sizes, skews and limits that are known beforehand, and errors that name the cure."""

import math
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest

from holdfast.core.errors import DataError, InputError
from holdfast.core.randomness import Streams
from holdfast.data import Dataset
from holdfast.federated.partition import (
    SCHEMES,
    cluster_codes,
    feature_clusters,
    hashed_words,
    iid,
    label_dirichlet,
    label_dirichlet_by_label,
    label_shares,
    mean_pairwise,
    natural,
    partition,
    quantity_dirichlet,
    shards,
    temporal,
)
from holdfast.federated.partition.dirichlet import lifted, skewed
from holdfast.federated.partition.sizes import apportion, dirichlet_sizes, equal_sizes, refill

TOPICS = [["play", "song", "loud"], ["rain", "sun", "wind"], ["bank", "card", "money"], ["bus", "train", "late"]]


def dataset(size=1200, labels=6, seed=0, **columns):
    rng = np.random.default_rng(seed)
    codes = rng.choice(labels, size, p=rng.dirichlet(np.full(labels, 3.0)))
    words = [[TOPICS[code % 4][place] for place in rng.integers(0, 3, 6)] for code in codes]
    table = {"tokens": pa.array(words), "label": pa.array([f"l{code}" for code in codes])}
    return Dataset.from_table(pa.table(table | {name: pa.array(values) for name, values in columns.items()}), name="tiny", split="train")


def shares_of(made, data):
    return label_shares(data.labels(), made.clients_of())


def distance(made, data):
    return mean_pairwise(shares_of(made, data)).value


def test_iid_sizes_differ_by_one_at_most():
    data = dataset(1003)
    counts = iid(data, clients=20, seed=1).clients_of().counts
    assert sorted(set(counts.tolist())) == [50, 51]
    assert (iid(data, clients=20, seed=1).assignment_n != iid(data, clients=20, seed=2).assignment_n).any()


def test_label_dirichlet_leaves_quantity_alone():
    data = dataset(1203)
    counts = label_dirichlet(data, clients=50, seed=1, alpha=0.1).clients_of().counts
    assert counts[:-1].tolist() == [24] * 49
    assert counts[-1] == 24 + 3, "the last takes what is left over"


def test_label_dirichlet_takes_sizes():
    data, sizes = dataset(100), [5, 50, 0, 45]
    made = label_dirichlet(data, clients=4, seed=1, alpha=0.5, sizes=sizes)
    assert made.clients_of().counts.tolist() == sizes
    assert made.parameters == {"alpha": 0.5, "sizes": sizes}
    for wrong in ([5, 50, 45], [5, 50, 0, 46], [5, 96, 0, -1], [25.0] * 4):
        with pytest.raises(InputError, match="give 4 whole numbers >= 0 of sum 100"):
            label_dirichlet(data, clients=4, seed=1, sizes=wrong)


def test_a_small_alpha_gives_nearly_one_label_and_a_large_one_is_nearly_iid():
    data = dataset(6000)
    narrow, wide = (label_dirichlet(data, clients=60, seed=2, alpha=alpha) for alpha in (1e-3, 1e6))
    commonest = shares_of(narrow, data).max(1)
    assert np.median(commonest) == 1.0
    assert (commonest > 0.99).mean() > 0.8, "but for the last ones, who take what is left"
    even = distance(iid(data, clients=60, seed=2), data)
    assert even < distance(wide, data) < 1.25 * even
    assert distance(narrow, data) > 5 * even


def test_the_mix_of_a_client_has_the_moments_of_the_dirichlet():
    """Pools far larger than what clients take, so that none is ever used up: then a client's shares are p ~ Dir(alpha * prior)."""
    labels, alpha = 4, 2.0
    codes = np.repeat(np.arange(labels), [8000, 16000, 24000, 32000])
    prior = np.bincount(codes) / len(codes)
    first = []
    for seed in range(150):
        sizes = np.array([400, 400, len(codes) - 800])
        assignment = skewed(codes, labels, sizes, alpha=alpha, streams=Streams.from_seed(seed))
        first += [np.bincount(codes[assignment == client], minlength=labels) / 400 for client in (0, 1)]
    drawn = np.array(first)
    spread = np.sqrt(prior * (1 - prior) / (alpha + 1))
    assert (np.abs(drawn.mean(0) - prior) < 4 * spread / math.sqrt(len(drawn))).all()
    expected = prior * (1 - prior) * (1 / (alpha + 1) + (1 - 1 / (alpha + 1)) / 400)  # and the draw of 400 examples from p
    assert (np.abs(drawn.var(0) / expected - 1) < 0.3).all(), "concentration alpha in total, not alpha for each label"


def test_the_mean_distance_falls_with_alpha():
    data = dataset(6000)
    found = [distance(label_dirichlet(data, clients=60, seed=3, alpha=alpha), data) for alpha in (0.01, 0.5, 5, 100)]
    assert found == sorted(found, reverse=True)
    assert found[0] > 2 * found[-1]


def test_by_label_skews_quantity_too():
    data = dataset(6000)
    narrow, wide = (label_dirichlet_by_label(data, clients=60, seed=2, alpha=alpha) for alpha in (0.1, 1e6))
    assert wide.clients_of().counts.std() < 3
    assert narrow.clients_of().counts.std() > 50
    assert distance(narrow, data) > 0.5 > 0.1 > distance(wide, data)
    least = label_dirichlet_by_label(data, clients=60, seed=2, alpha=0.01, least=7).clients_of().counts
    assert least.min() == 7
    assert label_dirichlet_by_label(data, clients=60, seed=2, alpha=0.01).clients_of().counts.min() == 0


def test_the_same_alpha_means_something_else_in_the_two():
    data = dataset(6000)
    ours = [distance(scheme(data, clients=60, seed=2, alpha=1.0), data) for scheme in (label_dirichlet, label_dirichlet_by_label)]
    assert ours[0] > 1.5 * ours[1]


def test_quantity_is_skewed_and_labels_are_not():
    data = dataset(6000)
    made = quantity_dirichlet(data, clients=60, seed=4, beta=0.5, least=3)
    counts = made.clients_of().counts
    assert counts.min() >= 3
    assert counts.max() > 4 * np.median(counts)
    heavy = np.flatnonzero(counts > 100)
    prior = label_shares(data.labels(), iid(data, clients=1, seed=0).clients_of())[0]
    assert np.abs(shares_of(made, data)[heavy] - prior).max() < 0.2
    assert quantity_dirichlet(data, clients=60, seed=4, beta=1e9).clients_of().counts.std() < 1
    with pytest.raises(InputError, match="6000 examples for 60 clients allow a whole number from 0 to 100"):
        quantity_dirichlet(data, clients=60, seed=4, least=101)


def test_a_beta_at_which_drawing_again_would_not_end_ends():
    sizes = dirichlet_sizes(1000, 100, beta=1e-6, least=10, generator=Streams.from_seed(1).generator("sizes"))
    assert sizes.tolist() == [10] * 100, "every example is spoken for"
    sizes = dirichlet_sizes(2000, 100, beta=1e-6, least=10, generator=Streams.from_seed(1).generator("sizes"))
    assert (sizes.sum(), sizes.min(), sizes.max()) == (2000, 10, 1010)


def test_shards_give_few_labels():
    data = dataset(1200)
    made = shards(data, clients=60, seed=5, shards_per_client=2)
    assert made.clients_of().counts.tolist() == [20] * 60
    labels = (shares_of(made, data) > 0).sum(1)
    assert labels.max() <= 4, "a shard spans a border between labels at most"
    assert np.median(labels) <= 2
    assert sorted(set(shards(dataset(1003), clients=10, seed=5).clients_of().counts.tolist())) in ([100, 101], [100, 101, 102])
    with pytest.raises(InputError, match="give at most 600 clients"):
        shards(data, clients=601, seed=5)


def test_natural_is_the_users_or_a_group():
    users = [f"u{number % 7}" for number in range(1200)]
    data = dataset(user_id=users, **{"group:domain": ["a", "b"] * 600})
    made = natural(data)
    assert made.clients == 7
    assert made.assignment_n[:9].tolist() == [0, 1, 2, 3, 4, 5, 6, 0, 1]
    for name in ("domain", "group:domain"):
        assert natural(data, column=name).assignment_n[:4].tolist() == [0, 1, 0, 1]
    assert natural(data, clients=7).clients == 7
    with pytest.raises(InputError, match="clients is 8, but column 'user_id' has 7 values"):
        natural(data, clients=8)
    with pytest.raises(InputError, match="name that column when loading, or give a partition"):
        natural(dataset())


def test_temporal_gives_the_oldest_to_the_first():
    moments = np.random.default_rng(0).permutation(1200) ** 2
    data = dataset(timestamp=moments.astype("datetime64[s]"))
    made = temporal(data, clients=5)
    assert made.clients_of().counts.tolist() == [240] * 5
    ends = [(moments[made.assignment_n == client].min(), moments[made.assignment_n == client].max()) for client in range(5)]
    assert all(before[1] < after[0] for before, after in pairwise(ends))
    spans = temporal(data, clients=5, by="time").assignment_n
    width = (moments.max() + 1) / 5
    assert (spans == moments // width).all()
    with pytest.raises(InputError, match="no column 'timestamp'"):
        temporal(dataset(), clients=5)


def test_clusters_find_topics_without_labels():
    data = dataset(labels=4)
    codes, count = cluster_codes(data, clusters=4, seed=1)
    assert count == 4
    labels = np.array([int(label[1]) for label in data.labels()])
    table = np.histogram2d(labels, codes, bins=4)[0]
    assert table.max(1).sum() / len(data) > 0.9, "words of different topics do not meet"
    narrow = feature_clusters(data, clients=30, seed=1, alpha=0.01, clusters=4)
    assert np.median(label_shares(codes, narrow.clients_of()).max(1)) == 1.0
    assert narrow.parameters == {"alpha": 0.01, "clusters": 4, "embedding": "hashed_words"}


def test_any_embedding_can_be_given():
    data = dataset(400)

    def first_letter(sentences):
        return np.array([[float(ord(words[0][0]))] for words in sentences])

    codes, _ = cluster_codes(data, clusters=3, seed=1, embed=first_letter)
    by_letter = {}
    for words, code in zip(data.tokens(), codes.tolist(), strict=True):
        assert by_letter.setdefault(words[0][0], code) == code
    assert feature_clusters(data, clients=5, seed=1, clusters=3, embed=first_letter).parameters["embedding"] == "first_letter"
    with pytest.raises(InputError, match=r"give \(400, D\) finite ones"):
        feature_clusters(data, clients=5, seed=1, embed=lambda sentences: np.zeros((3, 2)))
    with pytest.raises(InputError, match="not finite"):
        feature_clusters(data, clients=5, seed=1, embed=lambda sentences: np.full((400, 2), np.nan))


def test_fewer_kinds_of_text_than_clusters_are_no_error():
    data = Dataset.from_table(pa.table({"tokens": pa.array([["yes"], ["no"]] * 10)}), name="two", split="train")
    assert cluster_codes(data, clusters=5, seed=0)[1] == 2


def test_hashed_words_are_bags_of_length_one():
    rows = hashed_words([["Play", "song"], ["song", "play"], ["rain"]])
    assert rows.shape == (3, 128)
    assert np.allclose(np.linalg.norm(rows, axis=1), 1)
    assert (rows[0] == rows[1]).all()
    assert abs(float(rows[0] @ rows[2])) < 1e-6
    assert hashed_words([]).shape == (0, 128)


@pytest.mark.parametrize("scheme", sorted(set(SCHEMES) - {"natural"}))
def test_numbers_of_clients_have_bounds(scheme):
    data = dataset(40, timestamp=np.arange(40).astype("datetime64[s]"))
    with pytest.raises(InputError, match=f"{scheme}: clients is 41; give a whole number from 1 to 40"):
        partition(scheme, data, clients=41)
    with pytest.raises(InputError, match=f"{scheme}: clients is 0"):
        partition(scheme, data, clients=0)
    with pytest.raises(InputError, match=f"{scheme}: needs a number of clients"):
        partition(scheme, data)
    with pytest.raises(InputError, match=f"{scheme}: the data set is empty"):
        partition(scheme, data.take([]), clients=1)
    if scheme != "temporal":
        with pytest.raises(InputError, match="seed is -1"):
            partition(scheme, data, clients=2, seed=-1)


@pytest.mark.parametrize("scheme", ["label_dirichlet", "label_dirichlet_by_label", "shards"])
def test_data_without_labels_name_the_cure(scheme):
    data = Dataset.from_table(pa.table({"tokens": pa.array([["yes"], ["no"]])}), name="two", split="train")
    with pytest.raises(InputError, match="has no labels; name that column when loading, or take 'feature_clusters'"):
        partition(scheme, data, clients=2)


@pytest.mark.parametrize(
    ("scheme", "options", "message"),
    [
        ("label_dirichlit", {}, "unknown partition 'label_dirichlit'; did you mean 'label_dirichlet'"),
        ("label_dirichlet", {"alhpa": 1}, "partition 'label_dirichlet': unknown option 'alhpa'; did you mean 'alpha'"),
        ("iid", {"alpha": 1}, "unknown option 'alpha'; it takes none"),
        ("label_dirichlet", {"seed": 1}, "unknown option 'seed'"),
        ("label_dirichlet", {"alpha": 0}, "alpha is 0; give a number from 1e-09 to 1e"),
        ("label_dirichlet", {"alpha": "1"}, "alpha is '1'"),
        ("quantity_dirichlet", {"beta": -1.0}, "beta is -1.0"),
        ("quantity_dirichlet", {"least": 0.5}, "least is 0.5"),
        ("shards", {"shards_per_client": 0}, "shards_per_client is 0"),
        ("feature_clusters", {"clusters": 1}, "clusters is 1; give a whole number from 2 to 40"),
        ("temporal", {"by": "tiem"}, "did you mean 'time'"),
    ],
)
def test_what_is_wrong_is_named(scheme, options, message):
    data = dataset(40, timestamp=np.arange(40).astype("datetime64[s]"))
    with pytest.raises(InputError, match=message):
        partition(scheme, data, options, clients=4)


def test_a_partition_does_not_depend_on_how_arrow_holds_the_labels():
    data = dataset(300)
    labels = data.labels()
    turned = sorted(set(labels), reverse=True)
    codes = pa.array([turned.index(label) for label in labels], pa.int32())
    other = Dataset.from_table(
        data.table.set_column(1, "label", pa.DictionaryArray.from_arrays(codes, pa.array(turned))), name="other", split="test"
    )
    assert other.content_hash == data.content_hash
    for scheme in ("label_dirichlet", "label_dirichlet_by_label", "shards"):
        ours, theirs = (partition(scheme, each, clients=7, seed=3) for each in (data, other))
        assert (ours.assignment_n == theirs.assignment_n).all()
        theirs.check(data)
    with pytest.raises(DataError, match="make the partition again"):
        iid(data, clients=3, seed=0).check(data.take(np.arange(299)))


def test_small_parts_of_the_procedures():
    assert apportion(10, np.array([0.25, 0.25, 0.5])).tolist() == [3, 2, 5]
    assert refill(0, np.array([0, 0])).tolist() == [0, 0]
    assert refill(5, np.array([3, 0, 2])).tolist() == [3, 0, 2]
    assert refill(1, np.array([1, 5])).tolist() == [0, 1]
    assert equal_sizes(2, 3).tolist() == [1, 1, 0]
    assignment = np.array([0] * 8 + [2], dtype=np.int32)
    lifted(assignment, 3, least=3, generator=Streams.from_seed(0).generator("least"))
    assert np.bincount(assignment).tolist() == [3, 3, 3]
