"""Synthetic and natural ways to share a data set out among clients, each reproducible from a small file."""

from holdfast.federated.partition.assignment import Partition, read_partition
from holdfast.federated.partition.clusters import cluster_codes, feature_clusters, hashed_words
from holdfast.federated.partition.dirichlet import label_dirichlet, label_dirichlet_by_label
from holdfast.federated.partition.divergence import JsMap, MeanDistance, js_distances, js_map, label_shares, mean_pairwise
from holdfast.federated.partition.named import SCHEMES, partition
from holdfast.federated.partition.plain import iid, natural, quantity_dirichlet, shards, temporal

__all__ = [
    "SCHEMES",
    "JsMap",
    "MeanDistance",
    "Partition",
    "cluster_codes",
    "feature_clusters",
    "hashed_words",
    "iid",
    "js_distances",
    "js_map",
    "label_dirichlet",
    "label_dirichlet_by_label",
    "label_shares",
    "mean_pairwise",
    "natural",
    "partition",
    "quantity_dirichlet",
    "read_partition",
    "shards",
    "temporal",
]
