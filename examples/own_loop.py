"""Make a training loop of your own private: any model, any data set, batches larger than memory.

Run it with ``python examples/own_loop.py``; it takes about half a minute on two cores and needs no network.
"""

import zlib
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

import holdfast
from holdfast import privacy

WORDS = 2048  # words are hashed to rows of the embedding, so that the vocabulary gives nothing away


class Intent(nn.Module):
    """A transformer layer over words, averaged: an ordinary module that knows nothing of privacy."""

    def __init__(self, intents: int, width: int = 64) -> None:
        super().__init__()
        self.words = nn.Embedding(WORDS + 1, width, padding_idx=0)
        self.layer = nn.TransformerEncoderLayer(width, 4, 2 * width, dropout=0.0, batch_first=True)
        self.head = nn.Linear(width, intents)

    def forward(self, words_BT: torch.Tensor) -> torch.Tensor:
        """Scores of the intents, (B, K)."""
        padding_BT = words_BT == 0
        x_BTD = self.layer(self.words(words_BT), src_key_padding_mask=padding_BT)
        kept_BT1 = (~padding_BT)[..., None]
        return self.head((x_BTD * kept_BT1).sum(1) / kept_BT1.sum(1))


def encode(example: Any, intents: list[str]) -> tuple[torch.Tensor, int]:
    return torch.tensor([1 + zlib.crc32(word.encode()) % WORDS for word in example.tokens]), intents.index(example.label)


def collate(rows: list[tuple[torch.Tensor, int]]) -> tuple[torch.Tensor, torch.Tensor]:
    words, intents = zip(*rows, strict=True)
    return nn.utils.rnn.pad_sequence(words, batch_first=True), torch.tensor(intents)


def main() -> None:
    torch.manual_seed(7)
    data = holdfast.load_data("assistant:train=3000,validation=300,test=1000")
    intents = sorted({example.label for example in data.train})
    train, test = ([encode(example, intents) for example in part if example.label in intents] for part in (data.train, data.test))
    model = Intent(len(intents))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    mechanism = privacy.dp_sgd(examples=len(train), batch_size=512, epochs=16, clip_norm=1.0, target=privacy.Budget(epsilon=8, delta=1e-5))

    with privacy.attach(model, mechanism) as private:
        for words, labels in private.batches(train, collate_fn=collate, physical_batch_size=128):
            losses = F.cross_entropy(model(words), labels, reduction="none")
            private.step(losses, optimizer)
        print(private.claim("intents"))

    model.eval()
    words, labels = collate(test)
    with torch.no_grad():
        accuracy = (model(words).argmax(1) == labels).float().mean()
    print(f"accuracy on {len(test)} utterances: {accuracy:.3f}")


if __name__ == "__main__":
    main()
