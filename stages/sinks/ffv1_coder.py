"""Compiled loops that encode gray images in FFV1's Golomb Rice mode (RFC 9043, 3 and 3.8.2).

An image is divided into slices, each of which is coded independently: a pixel is predicted by the
median of its neighbors, and the difference is coded by Golomb Rice with a parameter that adapts in
each of 666 contexts, or, where the neighbors agree, as part of a run of correctly predicted pixels.
All differences of a row are computed first, with vector instructions; only pixels between runs are
processed one by one.
"""

import numpy as np
from numpy.typing import NDArray

from icstream.model.jit import compiled

_LEVELS = np.repeat(np.arange(6), (1, 1, 3, 7, 23, 93))
# Differences in 11 levels, -5 to 5, as in FFmpeg's quantization; index 255 means -1.
_QUANTIZED = np.concatenate((_LEVELS, [-5], -_LEVELS[:0:-1]))
_NUM_CONTEXTS = (11**3 + 1) // 2
_INITIAL_STATE = np.array((0, 4, 0, 1))  # drift, error sum, bias, count
# Bits of a run's length, by the run index, which adapts to earlier runs.
_LOG2_RUN = np.repeat(np.arange(25), (4,) * 4 + (2,) * 4 + (1,) * 17)
_BLOCK = 64  # pixels per vector instruction
_MAX_PREFIX = 12  # this many zeros mark an uncoded difference


def _crc_table() -> NDArray[np.int64]:
    """Return the CRC remainders of all bytes by 0x04C11DB7, highest bit first."""
    remainders = np.arange(256) << 24
    for _ in range(8):
        remainders = (remainders << 1) ^ (remainders >> 31) * 0x1_04C1_1DB7
    return remainders


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
    """Write all slices of an image, row by row; return the number of bytes.

    Slice (i, j) is `ids[rows[i]:rows[i + 1], columns[j]:columns[j + 1]]`; slice number n begins
    with `headers[header_starts[n]:header_starts[n + 1]]`. 4 bytes for each pixel are enough.
    """
    states = np.empty((_NUM_CONTEXTS, 4), np.int64)
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
    ids: NDArray[np.uint8], states: NDArray[np.int64], out: NDArray[np.uint8], end: int
) -> int:
    """Append a slice's pixels, padded to a whole byte, and return their end."""
    height, width = ids.shape
    num_blocks = width // _BLOCK + 1
    # Two alternating rows, bordered by a pixel and padded to whole blocks.
    lines = np.zeros((2, num_blocks * _BLOCK + 2), np.uint8)
    words = np.empty(num_blocks * _BLOCK // 8, np.uint64)
    differences = words.view(np.uint8)
    run_index, bits, num_bits = 0, 0, 0
    for y in range(height):
        now = y & 1
        lines[now, 0] = lines[1 - now, 1]
        for x in range(width):
            lines[now, 1 + x] = ids[y, x]
        lines[now, 1 + width] = lines[now, width]
        _take_differences(lines, now, differences)
        differences[width] = 1  # ends a run at the row's end
        x = 0
        while x < width:
            context = _context(lines, now, x)
            in_run = context == 0
            if in_run:
                start, x = x, _run_end(words, x)
                ones, rest, run_index = _run_steps(x - start, run_index)
                end, bits, num_bits = _put(out, end, bits, num_bits, (1 << ones) - 1, ones)
                if x == width:
                    end, bits, num_bits = _put(out, end, bits, num_bits, rest > 0, rest > 0)
                    break
                length = 1 + _LOG2_RUN[run_index]
                end, bits, num_bits = _put(out, end, bits, num_bits, rest, length)
                run_index = max(run_index - 1, 0)
                context = _context(lines, now, x)
            difference = _signed(differences[x]) * (1 if context >= 0 else -1)
            if in_run:  # a run does not end with 0
                difference -= _signed(difference) > 0
            code, length = _code(states, abs(context), _signed(difference))
            end, bits, num_bits = _put(out, end, bits, num_bits, code, length)
            x += 1
    end, bits, num_bits = _put(out, end, bits, num_bits, 0, -num_bits & 7)
    for shift in range(num_bits - 8, -1, -8):
        out[end] = (bits >> shift) & 255
        end += 1
    return end


@compiled
def _take_differences(lines: NDArray[np.uint8], now: int, differences: NDArray[np.uint8]) -> None:
    """Write each pixel minus the median of left, top and left + top - top left, modulo 256."""
    line, above = lines[now], lines[1 - now]
    for x in range(len(differences)):
        left, top, top_left = line[x], above[x + 1], above[x]
        low, high = min(left, top), max(left, top)
        median = np.uint8(left + top - top_left)
        if top_left >= high:
            median = low
        if top_left <= low:
            median = high
        differences[x] = np.uint8(line[x + 1] - median)


@compiled
def _run_end(words: NDArray[np.uint64], x: int) -> int:
    """Return the position of the first nonzero byte from x on; words hold eight, lowest first."""
    n, shift = x >> 3, np.uint64(8 * (x & 7))
    word = words[n] >> shift << shift
    while word == 0:
        n += 1
        word = words[n]
    # All bits below the lowest set bit become 1, and the highest bit of each byte is counted by a
    # product whose top byte is the sum of all bytes.
    below = (word & -word) - np.uint64(1)
    below = (below & np.uint64(0x8080808080808080)) >> np.uint64(7)
    return int(8 * n + np.int64(below * np.uint64(0x0101010101010101) >> np.uint64(56)))


@compiled
def _context(lines: NDArray[np.uint8], now: int, x: int) -> int:
    """Return the context of a pixel, negative if the difference changes sign."""
    left, top_left = np.int64(lines[now, x]), np.int64(lines[1 - now, x])
    top, top_right = np.int64(lines[1 - now, x + 1]), np.int64(lines[1 - now, x + 2])
    return int(
        _QUANTIZED[(left - top_left) & 255]
        + 11 * _QUANTIZED[(top_left - top) & 255]
        + 121 * _QUANTIZED[(top - top_right) & 255]
    )


@compiled
def _code(states: NDArray[np.int64], context: int, difference: int) -> tuple[int, int]:
    """Return a difference's code and its length in bits, and adapt the context."""
    drift, error_sum = states[context, 0], states[context, 1]
    bias, count = states[context, 2], states[context, 3]
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
    states[context, 0], states[context, 1] = drift, error_sum
    states[context, 2], states[context, 3] = bias, count
    return code, length


@compiled
def _signed(difference: int) -> int:
    """Return the equal value modulo 256 in [-128, 128)."""
    return int(((np.int64(difference) + 128) & 255) - 128)


@compiled
def _run_steps(count: int, run_index: int) -> tuple[int, int, int]:
    """Return the number of steps for a run's length, the remainder, and the new run index.

    Images in MP4 are at most 65,535 pixels wide, so there are at most 31 steps.
    """
    ones = 0
    while count >= 1 << _LOG2_RUN[run_index]:
        count -= 1 << _LOG2_RUN[run_index]
        run_index += 1
        ones += 1
    return ones, count, run_index


@compiled
def _put(
    out: NDArray[np.uint8], end: int, bits: int, num_bits: int, value: int, length: int
) -> tuple[int, int, int]:
    """Append up to 32 bits; fewer than 32 stay in `bits` until more follow."""
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
    """Append a slice's size, error status and checksum, and return its end."""
    size = end - start
    for shift in (16, 8, 0):
        out[end] = (size >> shift) & 255
        end += 1
    out[end] = 0
    end += 1
    crc = np.int64(0)
    for k in range(start, end):
        crc = ((crc << 8) & 0xFFFFFFFF) ^ _CRC[(crc >> 24) ^ out[k]]
    for shift in (24, 16, 8, 0):
        out[end] = (crc >> shift) & 255
        end += 1
    return end
