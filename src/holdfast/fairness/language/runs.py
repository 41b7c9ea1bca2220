"""Our own models as the metrics of language models see them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from holdfast.core.access import OpenModel
from holdfast.core.randomness import Streams
from holdfast.fairness.language import networks, scoring
from holdfast.fairness.language.access import Floats, Masked, Pieces
from holdfast.fairness.language.encoding import encoded, encoded_within
from holdfast.fairness.language.reading import pieces_of, text_of_bytes, words_of
from holdfast.fairness.language.sampling import Voice, generate
from holdfast.fairness.language.scoring import Ids
from holdfast.models.causal import CausalLSTM, CausalTransformer
from holdfast.models.masked import MaskedTransformer
from holdfast.models.vocabulary import UNKNOWN
from holdfast.training.evaluation import evaluating

BYTES_A_WORD = 24
"""Bytes that are drawn at most for each word that is asked for."""


def of_run(fitted: OpenModel) -> OwnEncoder:
    """Shows a trained model of ours to the metrics of language models.

    Args:
        fitted: What `holdfast.train` returns, or a run that was read back; its module is used as it is and not copied.

    Returns:
        `OwnCausal` for "lstm-lm" and "decoder", `OwnMasked` for "encoder-mlm", `OwnEncoder` for models that label sentences or words.

    Raises:
        InputError: For a model or featuriser that is none of ours.
    """
    module = fitted.module
    kind = OwnCausal if isinstance(module, CausalLSTM | CausalTransformer) else OwnMasked if isinstance(module, MaskedTransformer) else None
    if kind is None:
        networks.check_tagger(module)
    pieces_of(fitted.featuriser, [])
    name = str(getattr(fitted, "name", "run"))
    return (kind or OwnEncoder)(name, module, fitted.featuriser, torch.device(fitted.device))


@dataclass(frozen=True, eq=False)
class OwnEncoder:
    """A model of ours that turns words into states. Text is cut as `fairness.language.words.cut` says, with the model's vocabulary.

    The state of a piece is the last one before the heads: of an LSTM both directions, of a transformer or a pretrained encoder its last
    layer, of a bag of words the vector of the word.

    Args:
        name: What to call it.
        module: The model.
        featuriser: What makes its input.
        device: Where it is.
    """

    name: str
    module: nn.Module
    featuriser: Any
    device: torch.device

    def pieces(self, texts: Sequence[str]) -> list[Pieces]:
        """Cuts texts into pieces; InputError for a text without words."""
        return pieces_of(self.featuriser, texts)

    def encode(self, texts: Sequence[str], *, pooling: str) -> Floats:
        """See `EncodingAccess`; "cls" is the first word, for our models have no piece before it."""
        pieces, states = self._states(texts)
        return encoded(pieces, states, pooling=pooling)

    def encode_within(self, texts: Sequence[str], spans: Sequence[tuple[int, int]], *, pooling: str) -> Floats:
        """See `EncodingAccess`."""
        pieces, states = self._states(texts)
        return encoded_within(pieces, states, spans, pooling=pooling)

    def _states(self, texts: Sequence[str]) -> tuple[list[Pieces], networks.States]:
        known = self.featuriser.encode(words_of(self.featuriser, texts)[0])

        def states(rows: Ids) -> Tensor:
            with evaluating(self.module):
                return networks.tagger_states(self.module, self.featuriser.collate(known, rows).to(self.device))

        return self.pieces(texts), states


@dataclass(frozen=True, eq=False)
class OwnMasked(OwnEncoder):
    """A model of ours that says which words are hidden."""

    module: MaskedTransformer

    def masked(self, questions: Sequence[Masked]) -> list[Floats]:
        """See `MaskedAccess`."""
        return scoring.masked(self._network(), questions, mask=self.module.pieces)

    def unmasked(self, rows: Sequence[Ids]) -> list[Floats]:
        """See `MaskedAccess`."""
        return scoring.everywhere(self._network(), rows)

    def _network(self) -> scoring.Network:
        return networks.masked_network(self.module, self.device)

    def _states(self, texts: Sequence[str]) -> tuple[list[Pieces], networks.States]:
        pieces = self.pieces(texts)

        def states(rows: Ids) -> Tensor:
            ids_BT, mask_BT = networks.tensors([pieces[row].ids for row in rows], self.device)
            with evaluating(self.module):
                return self.module.states(ids_BT, mask_BT, torch.zeros_like(mask_BT))

        return pieces, states


@dataclass(frozen=True, eq=False)
class OwnCausal(OwnEncoder):
    """A model of ours that predicts each word from those before it; what stands before the first is its own boundary.

    Its pieces end with an end marker, a special piece, unless the text was cut.
    """

    module: CausalLSTM | CausalTransformer

    def causal(self, rows: Sequence[Ids]) -> list[Floats]:
        """See `CausalAccess`; the first piece has a number."""
        return scoring.everywhere(networks.causal_network(self.module, self.device), rows)

    def generate(
        self, prompts: Sequence[str], *, samples: int, most_words: int, top_p: float, temperature: float, streams: Streams
    ) -> list[list[str]]:
        """See `GeneratingAccess`; a prompt may be empty, the unknown word is never drawn, and words stand with blanks between them."""
        whole = replace(self.featuriser, max_length=2**31 - 1)
        made = iter(pieces_of(whole, [prompt for prompt in prompts if prompt.strip()]))
        rows = [next(made).ids[:-1] if prompt.strip() else np.empty(0, dtype=np.int64) for prompt in prompts]
        given: dict[str, Any] = {"samples": samples, "most_words": most_words, "top_p": top_p, "temperature": temperature}
        return generate(self._voice(), rows, **given, streams=streams)

    def _voice(self) -> Voice:
        boundary, vocabulary, module = self.featuriser.boundary, self.featuriser.vocabulary, self.module
        return Voice(
            module=module,
            begin=lambda: networks.causal_feed(module),
            lead=lambda ids: np.concatenate([[boundary], ids]).astype(np.int64),
            ends=(boundary,),
            never=(UNKNOWN,),
            pieces_a_word=BYTES_A_WORD if vocabulary is None else 1,
            text=text_of_bytes if vocabulary is None else lambda ids: " ".join(vocabulary.words[each - 1] for each in ids),
            longest=networks.longest_of(module),
            device=self.device,
        )

    def _states(self, texts: Sequence[str]) -> tuple[list[Pieces], networks.States]:
        """The state behind each piece is that from which the next one is predicted: one more place than there are pieces."""
        longest = self.featuriser.max_length
        pieces = pieces_of(replace(self.featuriser, max_length=max(1, longest - 1)), texts)

        def states(rows: Ids) -> Tensor:
            ids = [np.append(pieces[row].ids[~pieces[row].special], UNKNOWN) for row in rows]
            with evaluating(self.module):
                return networks.causal_states(self.module, *networks.tensors(ids, self.device))[:, 1:]

        return pieces, states
