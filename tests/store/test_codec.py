import hypothesis.extra.numpy as arrays
import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings
from numpy.typing import NDArray

from engine.store import codec

SHAPES = st.tuples(st.integers(1, 40), st.integers(1, 3), st.integers(1, 9))
CHUNKS = SHAPES.flatmap(lambda shape: arrays.arrays(np.int8, shape))
READINGS = st.tuples(st.integers(1, 9), st.integers(1, 5), st.integers(0, 3))


@settings(deadline=None)
@given(CHUNKS)
def test_a_chunk_comes_back_bit_for_bit(steps: NDArray[np.int8]) -> None:
    blob = codec.pack_chunk(steps)
    flat = steps.reshape(len(steps), -1)
    np.testing.assert_array_equal(codec.unpack_chunk(blob, len(steps)), flat)
    for place in range(flat.shape[1]):
        np.testing.assert_array_equal(codec.unpack_series(blob, len(steps), place), flat[:, place])


def test_differences_wrap_over_the_whole_range() -> None:
    steps = np.array([-128, 127, -128, 0, -1, 127], np.int8).reshape(6, 1)
    assert codec.unpack_series(codec.pack_chunk(steps), 6, 0).tolist() == steps[:, 0].tolist()


def test_a_view_over_symbols_needs_no_copy_by_the_caller() -> None:
    block = np.arange(120, dtype=np.int8).reshape(5, 2, 3, 4)
    blob = codec.pack_chunk(block[..., 2])
    np.testing.assert_array_equal(codec.unpack_chunk(blob, 5), block[..., 2].reshape(5, 6))


@settings(deadline=None)
@given(st.lists(st.integers(-(2**62), 2**62), min_size=1, max_size=40))
def test_times_come_back_whatever_their_order(times: list[int]) -> None:
    assert codec.unpack_times(codec.pack_times(times)).tolist() == times


@settings(deadline=None)
@given(READINGS.flatmap(lambda n: st.tuples(
    arrays.arrays(np.int8, n[:2]),
    arrays.arrays(np.bool_, n[:2]),
    arrays.arrays(np.int16, n[1]),
    arrays.arrays(np.float64, (n[2], n[1])),
)))  # fmt: skip
def test_readings_come_back_bit_for_bit(
    parts: tuple[NDArray[np.int8], NDArray[np.bool_], NDArray[np.int16], NDArray[np.float64]],
) -> None:
    confidence, _, _, lines = parts
    cards, symbols = confidence.shape
    found = codec.unpack_readings(codec.pack_readings(*parts), cards, symbols, len(lines))
    for written, read in zip(map(np.asarray, parts), map(np.asarray, found), strict=True):
        assert written.tobytes() == read.tobytes()
        assert written.shape == read.shape


@given(st.lists(st.sampled_from([-1, 0, 1, -128]), max_size=6))
def test_window_signs_come_back(signs: list[int]) -> None:
    expected = [None if sign == -128 else sign for sign in signs]
    assert codec.unpack_windows(codec.pack_windows(signs), len(signs)) == expected


@given(arrays.arrays(np.bool_, st.tuples(st.integers(1, 9), st.integers(1, 9))))
def test_flags_come_back(flags: NDArray[np.bool_]) -> None:
    found = codec.unpack_bits(codec.pack_bits(flags), (flags.shape[0], flags.shape[1]))
    np.testing.assert_array_equal(found, flags)


@settings(deadline=None)
@given(st.binary(max_size=80))
def test_rubbish_is_told_from_data(blob: bytes) -> None:
    for read in (
        lambda: codec.unpack_chunk(blob, 3),
        lambda: codec.unpack_times(blob),
        lambda: codec.unpack_readings(blob, 3, 3, 1),
    ):
        with pytest.raises(codec.CodecError):
            read()


def test_a_blob_of_another_size_is_refused() -> None:
    blob = codec.pack_chunk(np.zeros((5, 2, 3), np.int8))
    with pytest.raises(codec.CodecError, match="no chunk of 7"):
        codec.unpack_chunk(blob, 7)
    with pytest.raises(codec.CodecError, match="no series 6"):
        codec.unpack_series(blob, 5, 6)
    with pytest.raises(codec.CodecError, match="belong"):
        codec.unpack_readings(blob, 2, 3, 0)
    with pytest.raises(codec.CodecError, match="belong"):
        codec.unpack_bits(b"\0", (3, 3))
