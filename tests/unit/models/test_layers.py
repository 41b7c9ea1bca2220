import pytest
import torch

from holdfast.core.randomness import Streams
from holdfast.models import Labels
from holdfast.models.layers import Heads, WordDropout, first_weights, max_pool, mean_pool

STATES = torch.tensor([[[1.0, -5.0], [3.0, -7.0], [100.0, 100.0]], [[2.0, 4.0], [0.0, 6.0], [-1.0, 5.0]]])
MASK = torch.tensor([[True, True, False], [True, True, True]])


def test_pooling_looks_at_real_positions_only():
    assert torch.equal(mean_pool(STATES, MASK), torch.tensor([[2.0, -6.0], [1 / 3, 5.0]]))
    assert torch.equal(max_pool(STATES, MASK), torch.tensor([[3.0, -5.0], [2.0, 6.0]]))


def test_words_are_dropped_in_training_only_and_about_as_often_as_asked():
    ids = torch.ones(200, 100, dtype=torch.int64)
    layer = WordDropout(0.2, unknown=0)
    torch.manual_seed(0)
    assert (layer(ids) == 0).float().mean().item() == pytest.approx(0.2, abs=0.015)  # five standard deviations
    assert layer.eval()(ids) is ids
    assert WordDropout(0.0, unknown=0)(ids) is ids


@pytest.mark.parametrize(
    ("labels", "sentence", "tokens"),
    [(Labels(("a", "b"), ("O",)), 2, 1), (Labels(("a", "b")), 2, None), (Labels((), ("O", "B-x")), None, 2)],
)
def test_a_kind_without_labels_gets_no_head(labels: Labels, sentence: int | None, tokens: int | None):
    heads = Heads(labels, sentence_width=3, word_width=5, dropout=0.0)
    logits = heads(torch.zeros(4, 3), torch.zeros(4, 7, 5))
    assert (None if logits.sentence_BK is None else logits.sentence_BK.shape[1]) == sentence
    assert (None if logits.tokens_BWS is None else tuple(logits.tokens_BWS.shape)) == (None if tokens is None else (4, 7, tokens))


def test_a_tag_depends_on_the_sentence():
    heads = Heads(Labels(("a",), ("O", "B-x")), sentence_width=3, word_width=5, dropout=0.0)
    words = torch.zeros(1, 2, 5)
    one, other = (heads(sentence, words).tokens_BWS for sentence in (torch.zeros(1, 3), torch.ones(1, 3)))
    assert not torch.equal(one, other)


def test_first_weights_come_from_the_streams_and_leave_torch_alone():
    def draw(key: int) -> torch.Tensor:
        with first_weights(Streams(key)):
            return torch.rand(3)

    before = torch.random.get_rng_state()
    assert torch.equal(draw(1), draw(1))
    assert not torch.equal(draw(1), draw(2))
    assert torch.equal(before, torch.random.get_rng_state())
