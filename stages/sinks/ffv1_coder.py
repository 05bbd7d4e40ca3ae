"""Compiled loops that code a gray picture in FFV1's Golomb Rice mode (RFC 9043).

A picture is cut into slices, and each is coded alone: a pixel is predicted by the median of its
neighbours (3.3), and the difference goes into a Golomb Rice code whose parameter adapts in each of
666 contexts (3.8.2), or, where the neighbours agree, into the length of a run of pixels that are
as predicted. All differences of a row are taken first, in vector instructions; what is looked at
pixel by pixel is only what lies between runs.
"""

import numpy as np
from numpy.typing import NDArray

from icstream.model.jit import compiled

_LEVELS = np.repeat(np.arange(6), (1, 1, 3, 7, 68, 48))
# Differences in 11 levels, -5 to 5, as FFmpeg's quantisation has them; index 255 stands for -1.
_QUANTISED = np.concatenate((_LEVELS, [-5], -_LEVELS[:0:-1]))
_NUM_CONTEXTS = (11**3 + 1) // 2
_INITIAL_STATE = np.array((0, 4, 0, 1), np.int32)  # drift, error sum, bias, count (3.8.2.5)
# Bits of a run's length, by how well runs have gone so far (3.8.2.2.1).
_LOG2_RUN = np.repeat(np.arange(25), (4,) * 4 + (2,) * 4 + (1,) * 17)
_MAX_PREFIX = 12  # zeros before an escaped difference (3.8.2.1)


def _crc_table() -> NDArray[np.uint32]:
    """Gives the remainders of all bytes by 0x04C11DB7, highest bit first (4.9.3)."""
    remainders = np.arange(256) << 24
    for _ in range(8):
        remainders = (remainders << 1) ^ (remainders >> 31) * 0x1_04C1_1DB7
    return remainders.astype(np.uint32)


_CRC = _crc_table()


@compiled
def encode_slices(
    ids: NDArray[np.uint8],
    rows: NDArray[np.int64],
    columns: NDArray[np.int64],
    headers: NDArray[np.uint8],
    header_starts: NDArray[np.int64],
    out: NDArray[np.uint8],
) -> int:
    """Writes all slices of a picture, row by row; gives the number of bytes.

    Slice (i, j) is `ids[rows[i]:rows[i + 1], columns[j]:columns[j + 1]]`; slice number n begins
    with `headers[header_starts[n]:header_starts[n + 1]]`. 4 bytes for each pixel are enough.
    """
    states = np.empty((_NUM_CONTEXTS, 4), np.int32)
    end, number = 0, 0
    for i in range(len(rows) - 1):
        for j in range(len(columns) - 1):
            start = end
            for k in range(header_starts[number], header_starts[number + 1]):
                out[end] = headers[k]
                end += 1
            states[:] = _INITIAL_STATE
            part = ids[rows[i] : rows[i + 1], columns[j] : columns[j + 1]]
            end = _encode_pixels(part, states, out, end)
            end = _write_footer(out, start, end)
            number += 1
    return end


@compiled
def _encode_pixels(
    ids: NDArray[np.uint8], states: NDArray[np.int32], out: NDArray[np.uint8], end: int
) -> int:
    """Appends a slice's pixels, filled up to a whole byte; gives where they end."""
    height, width = ids.shape
    # One pixel of border on both sides (3.1): above[1 + x] lies over line[1 + x].
    above, line = np.zeros(width + 2, np.uint8), np.zeros(width + 2, np.uint8)
    differences = np.ones(width + 1, np.uint8)  # the last is never 0, and so ends every run
    run_index, bits, num_bits = 0, 0, 0
    for y in range(height):
        line[0] = above[1]
        line[1:-1] = ids[y]
        line[-1] = line[-2]
        _take_differences(line, above, differences)
        x = 0
        while x < width:
            context = _context(line, above, x)
            in_run = context == 0
            if in_run:
                start = x
                while differences[x] == 0:
                    x += 1
                count = x - start
                while count >= 1 << _LOG2_RUN[run_index]:
                    count -= 1 << _LOG2_RUN[run_index]
                    run_index += 1
                    end, bits, num_bits = _put(out, end, bits, num_bits, 1, 1)
                if x == width:
                    if count:
                        end, bits, num_bits = _put(out, end, bits, num_bits, 1, 1)
                    break
                length = 1 + _LOG2_RUN[run_index]
                end, bits, num_bits = _put(out, end, bits, num_bits, count, length)
                run_index = max(run_index - 1, 0)
                context = _context(line, above, x)
            difference = _signed(differences[x])
            if context < 0:
                context, difference = -context, _signed(-difference)
            if in_run and difference > 0:  # it is not 0
                difference -= 1
            code, length = _code(states[context], difference)
            end, bits, num_bits = _put(out, end, bits, num_bits, code, length)
            x += 1
        line, above = above, line
    for shift in range(num_bits - 8, -8, -8):
        out[end] = (bits >> shift if shift >= 0 else bits << -shift) & 255
        end += 1
    return end


@compiled
def _take_differences(
    line: NDArray[np.uint8], above: NDArray[np.uint8], differences: NDArray[np.uint8]
) -> None:
    """Gives each pixel less the median of left, top and left + top - top left, modulo 256."""
    for x in range(len(line) - 2):
        left, top, top_left = line[x], above[x + 1], above[x]
        low, high = min(left, top), max(left, top)
        median = np.uint8(left + top - top_left)
        if top_left >= high:
            median = low
        if top_left <= low:
            median = high
        differences[x] = np.uint8(line[x + 1] - median)


@compiled
def _context(line: NDArray[np.uint8], above: NDArray[np.uint8], x: int) -> int:
    """Gives the context of a pixel: its number, negative if differences change sign (3.5)."""
    left, top_left = np.int64(line[x]), np.int64(above[x])
    top, top_right = np.int64(above[x + 1]), np.int64(above[x + 2])
    return int(
        _QUANTISED[(left - top_left) & 255]
        + 11 * _QUANTISED[(top_left - top) & 255]
        + 121 * _QUANTISED[(top - top_right) & 255]
    )


@compiled
def _code(state: NDArray[np.int32], difference: int) -> tuple[int, int]:
    """Gives a difference's code and its length in bits, and adapts the context (3.8.2.4)."""
    drift, error_sum, bias, count = (
        np.int64(state[0]),
        np.int64(state[1]),
        np.int64(state[2]),
        np.int64(state[3]),
    )
    value = _signed(difference - bias)
    k = 0
    while count << k < error_sum:
        k += 1
    mapped = ~value if 2 * drift < -count else value
    mapped = 2 * mapped if mapped >= 0 else -2 * mapped - 1
    prefix = mapped >> k
    if prefix < _MAX_PREFIX:
        code, length = (1 << k) | (mapped & ((1 << k) - 1)), prefix + 1 + k
    else:
        code, length = mapped - _MAX_PREFIX + 1, _MAX_PREFIX + 8
    error_sum += abs(value)
    drift += value
    if count == 128:
        count, drift, error_sum = 64, drift >> 1, error_sum >> 1
    count += 1
    if drift <= -count:
        bias = max(bias - 1, -128)
        drift = max(drift + count, 1 - count)
    elif drift > 0:
        bias = min(bias + 1, 127)
        drift = min(drift - count, 0)
    state[0], state[1], state[2], state[3] = drift, error_sum, bias, count
    return code, length


@compiled
def _signed(difference: int) -> int:
    """Gives what lies in [-128, 128) and is the same modulo 256."""
    return ((np.int64(difference) + 128) & 255) - 128


@compiled
def _put(
    out: NDArray[np.uint8], end: int, bits: int, num_bits: int, value: int, length: int
) -> tuple[int, int, int]:
    """Appends up to 32 bits; fewer than 32 stay in `bits` until more come."""
    bits = (bits << length) | value
    num_bits += length
    if num_bits >= 32:
        num_bits -= 32
        word = bits >> num_bits
        out[end] = (word >> 24) & 255
        out[end + 1] = (word >> 16) & 255
        out[end + 2] = (word >> 8) & 255
        out[end + 3] = word & 255
        end += 4
    return end, bits, num_bits


@compiled
def _write_footer(out: NDArray[np.uint8], start: int, end: int) -> int:
    """Appends a slice's size, error status and checksum (4.9); gives where it ends."""
    size = end - start
    out[end], out[end + 1], out[end + 2], out[end + 3] = size >> 16, size >> 8, size, 0
    crc = np.uint32(0)
    for k in range(start, end + 4):
        crc = np.uint32(crc << 8) ^ _CRC[(crc >> 24) ^ out[k]]
    end += 4
    out[end], out[end + 1], out[end + 2], out[end + 3] = crc >> 24, crc >> 16, crc >> 8, crc
    return end + 4
