"""The norm is exact integer arithmetic over the object's own pixels, whatever holds or surrounds them."""

from math import isqrt
from random import Random

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from edge_runtime.errors import ConfigError, CropError
from edge_runtime.norm import (
    Q16_ONE,
    ClassNorms,
    NormSpec,
    check_norm_spec,
    class_norms,
    norm_drift,
    norm_q16,
    norm_sums,
)

Samples = tuple[NDArray[np.uint8], NDArray[np.bool_], NormSpec]
NORMS = st.lists(st.integers(0, Q16_ONE), max_size=40)


@st.composite
def samples(draw: st.DrawFn, *, least: int = 1) -> Samples:
    """Crops with 0 outside of masks that are not empty, and weights that fit them."""
    count, side, channels = draw(st.integers(least, 5)), draw(st.integers(1, 9)), draw(st.integers(1, 5))
    masks = draw(hnp.arrays(np.bool_, (count, side, side)))
    masks[:, draw(st.integers(0, side - 1)), draw(st.integers(0, side - 1))] = True
    crops = draw(hnp.arrays(np.uint8, (count, side, side, channels))) * masks[..., None]
    weights = draw(st.lists(st.integers(0, 127), min_size=channels, max_size=channels).filter(any) | st.just([]))
    return crops, masks, NormSpec(channel_weights=tuple(weights))


def norms(crops: NDArray[np.uint8], masks: NDArray[np.bool_], spec: NormSpec) -> list[int]:
    return [int(norm) for norm in norm_q16(*norm_sums(crops, masks, spec))]


@given(samples())
def test_norm_equals_plain_integers_of_any_size(sample: Samples) -> None:
    crops, masks, spec = sample
    weights = spec.channel_weights or (1,) * crops.shape[3]
    expected = []
    for crop, mask in zip(crops.tolist(), masks.tolist(), strict=True):
        pixels = [pixel for row in crop for pixel in row]
        inside = sum(sum(row) for row in mask)
        numerator = sum(weight * value for pixel in pixels for weight, value in zip(weights, pixel, strict=True))
        expected.append((65536 * numerator) // (255 * inside * sum(weights)))
    assert norms(*sample) == expected


@given(samples())
def test_norm_lies_between_0_and_one(sample: Samples) -> None:
    assert all(0 <= norm <= Q16_ONE for norm in norms(*sample))


@given(samples())
def test_background_and_place_in_the_window_do_not_count(sample: Samples) -> None:
    crops, masks, spec = sample
    room = ((0, 0), (3, 1), (0, 4))
    assert norms(np.pad(crops, (*room, (0, 0))), np.pad(masks, room), spec) == norms(crops, masks, spec)


@given(samples(), st.sampled_from([1, 2, (1, 2)]))
def test_flips_do_not_count(sample: Samples, axis: int | tuple[int, int]) -> None:
    crops, masks, spec = sample
    assert norms(np.flip(crops, axis), np.flip(masks, axis), spec) == norms(crops, masks, spec)


@given(samples(least=2), st.randoms(use_true_random=False), st.integers(1, 4))
def test_any_order_and_chunking_gives_the_same_bits(sample: Samples, random: Random, chunk: int) -> None:
    crops, masks, spec = sample
    order = list(range(len(crops)))
    random.shuffle(order)
    chunked = [
        norm
        for start in range(0, len(order), chunk)
        for norm in norms(crops[order[start : start + chunk]], masks[order[start : start + chunk]], spec)
    ]
    assert chunked == [norms(*sample)[row] for row in order]


def test_uniform_object_has_its_value_as_norm_rounded_down() -> None:
    crops = np.repeat(np.arange(256, dtype=np.uint8), 27).reshape(256, 3, 3, 3)
    expected = [65536 * value // 255 for value in range(256)]
    assert norms(crops, np.ones((256, 3, 3), np.bool_), NormSpec()) == expected


def test_largest_crop_that_the_guard_allows_is_exact() -> None:
    spec = NormSpec(channel_weights=(127,))
    check_norm_spec(spec, 257, 1)
    crops = np.full((1, 257, 257, 1), 255, np.uint8)
    numerators, denominators = norm_sums(crops, np.ones((1, 257, 257), np.bool_), spec)
    assert int(numerators[0]) == 257 * 257 * 255 * 127
    assert norm_q16(numerators, denominators).tolist() == [Q16_ONE]


def test_sum_that_could_leave_32_bits_is_refused() -> None:
    with pytest.raises(ConfigError, match="norm sum may reach 2155675140, the limit is 2147483647"):
        check_norm_spec(NormSpec(channel_weights=(127,)), 258, 1)


@given(st.integers(8, 512), st.integers(1, 32), st.integers(1, 127))
def test_guard_is_the_inequality_it_states(side_px: int, channels: int, weight: int) -> None:
    spec = NormSpec(channel_weights=(weight,) * channels)
    if side_px * side_px * channels * 255 * weight < 2**31:
        check_norm_spec(spec, side_px, channels)
        assert spec.weights(channels).tolist() == [weight] * channels
    else:
        with pytest.raises(ConfigError, match="norm sum may reach"):
            check_norm_spec(spec, side_px, channels)


def test_empty_mask_is_an_error_that_names_the_crop() -> None:
    masks = np.ones((3, 2, 2), np.bool_)
    masks[1] = False
    with pytest.raises(CropError, match="crop 1 of 3 has an empty mask"):
        norm_sums(np.zeros((3, 2, 2, 1), np.uint8), masks, NormSpec())


def test_without_weights_each_channel_weighs_1() -> None:
    """The sums are stored beside the norm, so that they must not hide a common factor."""
    crops = np.array([[[[1, 2, 3], [4, 5, 6]], [[0, 0, 0], [7, 8, 9]]]], np.uint8)
    masks = np.array([[[True, True], [False, True]]])
    assert [part.tolist() for part in norm_sums(crops, masks, NormSpec())] == [[45], [9]]
    assert [part.tolist() for part in norm_sums(crops, masks, NormSpec(channel_weights=(2, 2, 2)))] == [[90], [18]]


def test_no_crops_have_no_norms() -> None:
    assert norms(np.zeros((0, 4, 4, 3), np.uint8), np.zeros((0, 4, 4), np.bool_), NormSpec()) == []


@pytest.mark.parametrize(
    ("weights", "why"), [((1, 1), "has 2 entries for 3 channels"), ((0, 0, 0), "are all 0: at least one")]
)
def test_weights_that_do_not_fit_are_refused(weights: tuple[int, ...], why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        NormSpec(channel_weights=weights).weights(3)


@given(NORMS, NORMS)
def test_class_norms_of_parts_add_up_to_those_of_all(first: list[int], second: list[int]) -> None:
    parts = [class_norms(np.array(values, np.int64)) for values in (first, second)]
    both = first + second
    assert parts[0].plus(parts[1]) == class_norms(np.array(both, np.int64))
    assert parts[0].plus(parts[1]) == ClassNorms(len(both), sum(both), sum(norm * norm for norm in both))


KINDS = st.sampled_from(["weighted_mean", "l1", "l2", "linf"])


@given(samples(), KINDS, st.just(0) | st.integers(0, 126))
def test_every_kind_equals_plain_integers_of_any_size(sample: Samples, kind: str, centre: int) -> None:
    """By the definition, pixel by pixel: no numpy, no floating point."""
    crops, masks, plain = sample
    side, channels = crops.shape[1], crops.shape[3]
    weights = plain.channel_weights or (1,) * channels
    spec = msgspec.convert({"kind": kind, "channel_weights": weights, "centre_weight": centre}, NormSpec)
    expected = []
    for crop, mask in zip(crops.tolist(), masks.tolist(), strict=True):
        terms, inside = [], []
        for i in range(side):
            for j in range(side):
                ring = max(abs(2 * i + 1 - side), abs(2 * j + 1 - side))
                place = 1 + centre * (side - ring) // side
                terms += [(place * weight, value) for weight, value in zip(weights, crop[i][j], strict=True)]
                inside += [place * weight for weight in weights if mask[i][j]]
        if kind == "linf":
            top, bottom = max(v * x for v, x in terms), max(inside)
        elif kind == "l2":
            top, bottom = isqrt(sum(v * x * x for v, x in terms) * sum(inside)), sum(inside)
        else:
            top, bottom = sum(v * x for v, x in terms), sum(inside)
        expected.append(65536 * top // (255 * bottom))
    assert norms(crops, masks, spec) == expected


@given(samples(), KINDS)
def test_a_kind_is_one_grey_level_on_an_even_object(sample: Samples, kind: str) -> None:
    """An object of one level has that level as its norm, whatever the kind; l2 may lose one part in 65,536."""
    _, masks, plain = sample
    spec = msgspec.convert({"kind": kind, "channel_weights": plain.channel_weights}, NormSpec)
    channels = len(plain.channel_weights) or 3
    level = 51  # a fifth of full scale
    crops = np.repeat((masks * np.uint8(level))[..., None], channels, axis=3)
    assert all(65536 // 5 - 1 <= norm <= 65536 // 5 for norm in norms(crops, masks, spec))


def test_the_largest_crop_of_white_pixels_overflows_nothing() -> None:
    crops, masks = np.full((1, 128, 128, 3), 255, np.uint8), np.ones((1, 128, 128), np.bool_)
    for kind in ("weighted_mean", "l1", "l2", "linf"):
        spec = msgspec.convert({"kind": kind, "channel_weights": (100, 127, 3)}, NormSpec)
        check_norm_spec(spec, 128, 3)
        assert norms(crops, masks, spec) == [Q16_ONE]


def test_a_centre_weight_looks_more_at_the_middle() -> None:
    crops, masks = np.zeros((1, 9, 9, 1), np.uint8), np.ones((1, 9, 9), np.bool_)
    crops[0, 4, 4] = 255
    plain, centred = (norms(crops, masks, NormSpec(centre_weight=weight))[0] for weight in (0, 20))
    assert centred > 2 * plain
    assert NormSpec(centre_weight=20).place_weights(9)[[0, 4], [0, 4]].tolist() == [1 + 20 // 9, 21]


def test_a_pixel_that_weighs_too_much_is_refused() -> None:
    check_norm_spec(NormSpec(channel_weights=(1, 1, 1), centre_weight=126), 64, 3)
    with pytest.raises(ConfigError, match="a pixel may weigh 128, the limit is 127"):
        check_norm_spec(NormSpec(channel_weights=(64, 1, 1), centre_weight=1), 64, 3)


def test_an_object_that_only_weightless_channels_see_has_no_norm() -> None:
    crops = np.ones((2, 3, 3, 2), np.uint8)
    masks = np.ones((2, 3, 3), np.bool_)
    assert len(norms(crops, masks, NormSpec("linf", (0, 5)))) == 2


@pytest.mark.parametrize("kind", ["weighted_mean", "l1", "l2", "linf"])
@pytest.mark.parametrize("centre", [0, 3])
def test_more_crops_than_are_computed_at_once_have_each_its_own_norm(kind: str, centre: int) -> None:
    rng = np.random.default_rng(2)
    crops = rng.integers(1, 256, (700, 4, 4, 3), np.uint8)
    masks = np.ones((700, 4, 4), np.bool_)
    spec = msgspec.convert({"kind": kind, "channel_weights": (1, 2, 3), "centre_weight": centre}, NormSpec)
    alone = [norms(crops[at : at + 1], masks[at : at + 1], spec)[0] for at in range(700)]
    assert norms(crops, masks, spec) == alone


def test_sums_of_no_samples_are_zero() -> None:
    assert msgspec.structs.astuple(ClassNorms()) == (0, 0, 0)


@given(st.lists(st.integers(0, 60_000), min_size=20, max_size=60), st.integers(-5_000, 5_000))
def test_drift_is_the_shift_in_standard_deviations(norms_q16: list[int], shift: int) -> None:
    trained = np.array(norms_q16, np.int64)
    live = np.maximum(trained + shift, 0)
    spread = max(Q16_ONE / 255, float(trained.std()))
    moved = norm_drift(class_norms(live), class_norms(trained))
    assert moved == pytest.approx((live.mean() - trained.mean()) / spread, abs=1e-6)


@pytest.mark.parametrize(("live", "trained"), [(19, 20), (20, 19), (0, 0)])
def test_a_few_objects_tell_no_drift(live: int, trained: int) -> None:
    few, many = class_norms(np.full(live, 9, np.int64)), class_norms(np.full(trained, 9, np.int64))
    assert norm_drift(few, many) is None
    assert norm_drift(class_norms(np.full(20, 9, np.int64)), class_norms(np.full(20, 9, np.int64))) == 0.0
