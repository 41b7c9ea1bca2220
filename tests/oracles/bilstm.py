"""The BiLSTM tagger written out in numpy for one sentence: gates, both directions, spelling, pooling, heads. Slow and plain."""

import numpy as np
from numpy.typing import NDArray

Weights = dict[str, NDArray[np.float64]]


def sigmoid(x: NDArray) -> NDArray:
    return 1 / (1 + np.exp(-x))


def run(weights: Weights, prefix: str, inputs: list[NDArray]) -> list[NDArray]:
    """The states of one LSTM: input, forget, cell and output gate, in torch's order."""
    into, back = weights[f"{prefix}.weight_ih_l0"], weights[f"{prefix}.weight_hh_l0"]
    bias = weights[f"{prefix}.bias_ih_l0"] + weights[f"{prefix}.bias_hh_l0"]
    h = c = np.zeros(back.shape[1])
    states = []
    for x in inputs:
        enter, forget, new, leave = np.split(into @ x + back @ h + bias, 4)
        c = sigmoid(forget) * c + sigmoid(enter) * np.tanh(new)
        h = sigmoid(leave) * np.tanh(c)
        states.append(h)
    return states


def spell(weights: Weights, word: bytes) -> NDArray:
    """The largest answer of each filter over the bytes of one word, at least 0, with blanks on both sides."""
    table, filters, bias = (weights[f"characters.{name}"] for name in ("bytes.weight", "filters.weight", "filters.bias"))
    reach = filters.shape[2] // 2
    blank = [np.zeros(table.shape[1])] * reach
    letters = [*blank, *(table[byte + 1] for byte in word), *blank]
    answers = []
    for place in range(len(word)):
        window = np.stack(letters[place : place + 2 * reach + 1], 1)
        answers.append((filters * window[None]).sum((1, 2)) + bias)
    return np.maximum(np.max(answers, 0), 0)


def logits(weights: Weights, ids: list[int], words: list[bytes], layers: int) -> tuple[NDArray, NDArray]:
    """Scores of the sentence (K,) and of each word (W, S)."""
    states = [np.concatenate([weights["words.trained.weight"][i], spell(weights, word)]) for i, word in zip(ids, words, strict=True)]
    for layer in range(layers):
        forth = run(weights, f"layers.{layer}.forth", states)
        back = run(weights, f"layers.{layer}.back", states[::-1])[::-1]
        states = [np.concatenate(pair) for pair in zip(forth, back, strict=True)]
    sentence = np.concatenate([forth[-1], back[0], np.max(states, 0)])
    heads = {
        name: weights[f"heads.{name}"] for name in ("sentence.weight", "sentence.bias", "words.weight", "words.bias", "context.weight")
    }
    tags = [heads["words.weight"] @ state + heads["words.bias"] + heads["context.weight"] @ sentence for state in states]
    return heads["sentence.weight"] @ sentence + heads["sentence.bias"], np.stack(tags)
