"""What travels between clients and server: which parameters, in how many bytes, and what arrives of them."""

from holdfast.federated.updates.compression import COMPRESSORS, Compression, Compressor, arrived, compressor
from holdfast.federated.updates.feedback import ErrorFeedback
from holdfast.federated.updates.layout import Layout
from holdfast.federated.updates.ledger import Ledger, Sent, Traffic, message, sent
from holdfast.federated.updates.lora import averaging_gap, fold, merge, with_lora
from holdfast.federated.updates.subsets import describe, label, trainable
from holdfast.federated.updates.wire import serialised, unpack

__all__ = [
    "COMPRESSORS",
    "Compression",
    "Compressor",
    "ErrorFeedback",
    "Layout",
    "Ledger",
    "Sent",
    "Traffic",
    "arrived",
    "averaging_gap",
    "compressor",
    "describe",
    "fold",
    "label",
    "merge",
    "message",
    "sent",
    "serialised",
    "trainable",
    "unpack",
    "with_lora",
]
