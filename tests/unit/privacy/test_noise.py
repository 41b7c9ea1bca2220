"""Noise: ChaCha20 against its RFC, the transform against exact logarithms, and the same bits whoever computes them."""

import math
from decimal import Decimal, localcontext

import pytest
import torch
from torch import Tensor

from holdfast.core.errors import InputError
from holdfast.core.randomness import Streams
from holdfast.privacy import NoiseSchedule, kernels
from holdfast.privacy.kernels import portable_noise
from holdfast.privacy.noise import add_noise

pytestmark = pytest.mark.slow

KEY = tuple(range(100, 108))


def drawn(count: int, *, key=KEY, nonce: int = 0, draws: int = 1, dtype: torch.dtype = torch.float64) -> Tensor:
    """Standard normals."""
    total = torch.zeros(count, dtype=dtype)
    kernels.add_noise(total, 1.0, key=key, nonce=nonce, draws=draws)
    return total


def words(text: str) -> list[int]:
    return [int.from_bytes(bytes.fromhex(word), "little") for word in text.split()]


VECTORS = [  # RFC 8439, section 2.3.2, then numbers 2, 3 and 5 of appendix A.1: key, nonce, counter, block
    (
        "00010203 04050607 08090a0b 0c0d0e0f 10111213 14151617 18191a1b 1c1d1e1f",
        "00000009 0000004a 00000000",
        1,
        "10f1e7e4 d13b5915 500fdd1f a32071c4 c7d1f4c7 33c06803 0422aa9a c3d46c4e"
        " d2826446 079faa09 14c2d705 d98b02a2 b5129cd1 de164eb9 cbd083e8 a2503c4e",
    ),
    (
        "00000000 " * 8,
        "00000000 " * 3,
        1,
        "9f07e7be 5551387a 98ba977c 732d080d cb0f29a0 48e36569 12c6533e 32ee7aed"
        " 29b72176 9ce64e43 d57133b0 74d839d5 31ed1f28 510afb45 ace10a1f 4b794d6f",
    ),
    (
        "00000000 " * 7 + "00000001",
        "00000000 " * 3,
        1,
        "3aeb5224 ecf84992 9b9d828d b1ced4dd 832025e8 018b8160 b82284f3 c949aa5a"
        " 8eca00bb b4a73bda d192b5c4 2f73f2fd 4e273644 c8b36125 a64addeb 006c13a0",
    ),
    (
        "00000000 " * 8,
        "00000000 00000000 00000002",
        0,
        "c2c64d37 8cd53637 4ae204b9 ef933fcd 1a8b2288 b3dfa496 72ab765b 54ee27c7"
        " 8a970e0e 955c14f3 a88e741b 97c286f7 5f8fc299 e8148362 fa198a39 531bed6d",
    ),
]


@pytest.mark.parametrize(("key", "nonce", "counter", "block"), VECTORS)
def test_the_key_stream_is_that_of_the_rfc(implementation, key, nonce, counter, block):
    low, high, draw = words(nonce)
    found = kernels.key_stream(words(key), low | high << 32, blocks=2, first=counter, draw=draw)[0]
    assert [word & 0xFFFFFFFF for word in found.tolist()] == words(block)


def test_blocks_do_not_depend_on_how_many_are_drawn(implementation):
    whole = kernels.key_stream(KEY, 5, blocks=50)
    assert torch.equal(kernels.key_stream(KEY, 5, blocks=7, first=20), whole[20:27])
    assert kernels.key_stream(KEY, 5, blocks=0).shape == (0, 16)
    assert len(torch.unique(kernels.key_stream(KEY, 5, blocks=2, first=2**32 - 2))) == 32  # the last two of the nonce


@pytest.mark.parametrize("draws", [1, 4])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_everybody_computes_the_same_bits(implementation, draws, dtype):
    start = torch.linspace(-3, 3, 70_001, dtype=dtype)
    for count in (0, 1, 127, 129, 70_001):
        found, expected = start[:count].clone(), start[:count].clone()
        kernels.add_noise(found, 1.7, key=KEY, nonce=2**40, scale=0.3, draws=draws)
        with kernels.using("torch"):
            kernels.add_noise(expected, 1.7, key=KEY, nonce=2**40, scale=0.3, draws=draws)
        assert torch.equal(found, expected)


def test_tensors_that_go_through_together_get_the_noise_that_each_gets_alone(implementation, monkeypatch):
    sizes, nonces = (300_000, 0, 1, 129, 5_000), (7, 2**33, 0, 1, 2**40 + 3)
    for most in (2**15, 2**10, 64):  # long tensors are cut, short ones share a call
        monkeypatch.setattr(portable_noise, "chunk_of", lambda device, most=most: most)
        together = [torch.linspace(-1, 1, size, dtype=torch.float64) for size in sizes]
        apart = [total.clone() for total in together]
        kernels.add_noise_to_all(together, 1.3, key=KEY, nonces=nonces, scale=0.5)
        for total, nonce in zip(apart, nonces, strict=True):
            kernels.add_noise(total, 1.3, key=KEY, nonce=nonce, scale=0.5)
        assert all(torch.equal(one, other) for one, other in zip(together, apart, strict=True))


def test_the_number_of_threads_changes_nothing(implementation):
    found = []
    for threads in (1, 2, 3):
        torch.set_num_threads(threads)
        try:
            found.append(drawn(40_000))
        finally:
            torch.set_num_threads(1)
    assert torch.equal(found[0], found[1])
    assert torch.equal(found[0], found[2])


def test_a_value_belongs_to_its_position(implementation):
    assert torch.equal(drawn(1000)[:300], drawn(300))
    turned = torch.zeros(20, 50, dtype=torch.float64).T
    kernels.add_noise(turned, 1.0, key=KEY, nonce=0)
    assert torch.equal(turned.flatten(), drawn(1000))
    every_other = torch.zeros(600, dtype=torch.float64)
    kernels.add_noise(every_other[::2], 1.0, key=KEY, nonce=0)
    assert torch.equal(every_other[::2], drawn(300))
    assert not every_other[1::2].any()


def test_one_pass_adds_and_scales(implementation):
    total = torch.linspace(-1, 1, 500)
    expected = ((total.double() + 0.3 * drawn(500)) * 0.125).float()
    kernels.add_noise(total, 0.3, key=KEY, nonce=0, scale=0.125)
    assert torch.equal(total, expected)
    scalar = torch.ones(())
    kernels.add_noise(scalar, 1.0, key=KEY, nonce=0)
    assert float(scalar) == float((1 + drawn(1)).float())


def test_without_deviation_nothing_is_drawn(implementation):
    total = torch.tensor([1.0, -2.0, 0.1])
    untouched = total.clone()
    kernels.add_noise(total, 0.0, key=KEY, nonce=0)
    assert torch.equal(total, untouched)
    kernels.add_noise(total, 0.0, key=KEY, nonce=0, scale=0.5)
    assert torch.equal(total, untouched / 2)


def test_half_precision_gets_noise_of_full_precision(implementation):
    total = torch.ones(300, dtype=torch.bfloat16)
    kernels.add_noise(total, 1.0, key=KEY, nonce=0)
    assert torch.equal(total, (1 + drawn(300)).bfloat16())


def test_the_hardened_noise_is_half_the_sum_of_four_draws(implementation):
    piece = portable_noise._Piece(torch.empty(0), 9, 0, 64)
    single = torch.stack([portable_noise._normals(portable_noise._words(KEY, [piece], draw, torch.device("cpu"))) for draw in range(4)])
    assert torch.equal(drawn(512, nonce=9), single[0])
    torch.testing.assert_close(drawn(512, nonce=9, draws=4), single.sum(0) / 2, rtol=1e-14, atol=1e-14)


BITS = [
    0,
    1,
    2,
    3,
    2**20,
    2**31,
    2**32 - 1,
    2**32,
    2**53 + 1,
    2**62,
    2**63,
    3 * 2**62,
    2**64 - 2**55,
    2**64 - 2**40,
    2**64 - 2**12,
    2**64 - 1,
]


@pytest.mark.parametrize(("quarter", "along", "sign"), [(0, 0, 1), (1, 1, 1), (2, 0, -1), (3, 1, -1)])
def test_the_radius_is_right_from_the_middle_to_the_end_of_the_tail(quarter, along, sign):
    """64 random bits reach 9.49 standard deviations; 24 would end at 5.8."""
    high, low = (torch.tensor([_signed(bits >> shift) for bits in BITS], dtype=torch.int32) for shift in (32, 0))
    turn = torch.full_like(high, _signed(quarter << 30 | 1 << 29))  # the middle of a quarter lies on an axis
    z = portable_noise._normals([high, low, turn, torch.zeros_like(high)] * 4)[:32].view(2, 16)
    exact = torch.tensor([_radius(bits) for bits in BITS], dtype=torch.float64)
    torch.testing.assert_close(sign * z[along], exact, rtol=1e-15, atol=1e-8)  # u = 1 - 2^-64 is rounded to 1, a radius of 3e-10 to 0
    torch.testing.assert_close(sign * z[along, :13], exact[:13], rtol=4e-16, atol=0)
    assert float(z[1 - along].abs().max()) < 1e-16
    assert float(exact[0]) > 9.48


def _signed(word: int) -> int:
    word &= 0xFFFFFFFF
    return word - 2**32 if word >= 2**31 else word


def _radius(bits: int) -> float:
    """The root of -2 ln((bits + 1/2) / 2^64), to 50 digits before the last rounding."""
    with localcontext(prec=50):
        return float((-2 * (Decimal(2 * bits + 1) / 2**65).ln()).sqrt())


def test_refuses_what_is_out_of_range(implementation):
    total = torch.zeros(3)
    for wrong, message in (
        ({"key": KEY[:7]}, "eight words"),
        ({"key": (*KEY[:7], 2**32)}, "eight words"),
        ({"nonce": -1}, "nonce is -1"),
        ({"nonce": 2**64}, "must lie in"),
        ({"draws": 2}, "draws is 2"),
        ({"scale": math.inf}, "must be finite"),
    ):
        with pytest.raises(InputError, match=message):
            kernels.add_noise(total, 1.0, **{"key": KEY, "nonce": 0, **wrong})
    for deviation in (-1.0, math.nan, math.inf):
        with pytest.raises(InputError, match="must be finite"):
            kernels.add_noise(total, deviation, key=KEY, nonce=0)
    with pytest.raises(InputError, match=r"torch\.int64"):
        kernels.add_noise(torch.zeros(3, dtype=torch.int64), 1.0, key=KEY, nonce=0)
    with pytest.raises(InputError, match="more than the 2\\^32"):
        kernels.key_stream(KEY, 0, blocks=2, first=2**32 - 1)
    assert not total.any()


def test_steps_parameters_and_keys_have_noise_of_their_own():
    found = set()
    for seed, step in ((1, 0), (1, 1), (2, 0)):
        total = {"b": torch.zeros(2), "a": torch.zeros(2)}
        add_noise(total, 1.0, streams=Streams.from_seed(seed), step=step)
        found |= {float(value) for noise in total.values() for value in noise}
    assert len(found) == 12


def test_replaying_a_step_draws_its_noise_again_in_any_order_of_the_names():
    one, other = {"b": torch.zeros(9), "a": torch.zeros(3, 3)}, {"a": torch.zeros(3, 3), "b": torch.zeros(9)}
    add_noise(one, 2.0, streams=Streams.from_seed(1), step=7, scale=0.5)
    add_noise(other, 2.0, streams=Streams.from_seed(1), step=7, scale=0.5)
    assert all(torch.equal(one[name], other[name]) for name in "ab")


def test_hardening_is_part_of_the_schedule():
    plain, hardened = NoiseSchedule(noise_multiplier=1.0), NoiseSchedule(noise_multiplier=1.0, hardening="sum-of-four")
    assert (str(plain), str(hardened)) == ("constant", "constant, sum of four draws")
    with pytest.raises(InputError, match="noise hardening is 'twice'"):
        NoiseSchedule(noise_multiplier=1.0, hardening="twice")
