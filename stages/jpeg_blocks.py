"""Compiled loops that walk through the blocks in a scan of a JPEG without computing its pixels.

They follow ITU-T T.81, annexes F and G. `words` is the scan without markers and stuffed bytes, 32
bits each; part n between two restart markers begins at word `starts[n]`, ends before bit `ends[n]`,
and has the blocks of `interval` units. Behind the last part are `NUM_SPARE_WORDS` zeros. Each loop
returns the last bit's end, or -1 where blocks are missing or a code is invalid, and whether more
follows than encoders pad with.
"""

import numpy as np
from numpy.typing import NDArray

from icstream.model.jit import compiled

NUM_SPARE_WORDS = 80
"""More words than a block has, after which its end is checked."""
_MISSING = -1, False
_MAX_PADDING = 7 + 3 * 8  # some encoders align to 32 bits; the standard pads to whole bytes only
_MAX_SIZE = 15  # bits of a DC coefficient
_LAST = 63  # the number of the last coefficient
_ZEROS = 15  # the run of 16 zeros, if no coefficient follows


@compiled
def walk_whole(
    words: NDArray[np.uint64],
    starts: NDArray[np.int64],
    ends: NDArray[np.int64],
    interval: int,
    num_units: int,
    dc_tables: NDArray[np.int64],
    ac_tables: NDArray[np.int64],
    tables: NDArray[np.uint16],
) -> tuple[int, bool]:
    """Walk through whole blocks, or DC coefficients alone where the table of AC is -1.

    A unit (MCU) has a block for each of `dc_tables`, or one bit of its DC coefficient where the
    table is -1.
    """
    at, bits, count, end, has_excess = 0, np.uint64(0), 0, 0, False
    for unit in range(num_units):
        if unit % interval == 0:
            has_excess |= end - (32 * at - count) > _MAX_PADDING
            at, end = starts[unit // interval], ends[unit // interval]
            bits, count = np.uint64(0), 0
        for block in range(len(dc_tables)):
            dc, ac = dc_tables[block], ac_tables[block]
            at, bits, count = _read_ahead(words, at, bits, count)
            code = np.int64(tables[dc, bits >> np.uint64(48)]) if dc >= 0 else 1 << 8
            used = (code >> 8) + (code & 255)
            if code == 0 or code & 255 > _MAX_SIZE:
                return _MISSING
            bits, count = bits << np.uint64(used), count - used
            k = np.int64(1 if ac >= 0 else _LAST + 1)
            while k <= _LAST:
                at, bits, count = _read_ahead(words, at, bits, count)
                code = np.int64(tables[ac, bits >> np.uint64(48)])
                run, size = (code >> 4) & 15, code & 15
                used = (code >> 8) + size
                bits, count = bits << np.uint64(used), count - used
                k += run + 1
                if code == 0 or (size and k > _LAST + 1):
                    return _MISSING
                if size == 0 and run < _ZEROS:
                    break
            if 32 * at - count > end:
                return _MISSING
    place = 32 * at - count
    return place, has_excess or end - place > _MAX_PADDING


@compiled
def walk_first(
    words: NDArray[np.uint64],
    starts: NDArray[np.int64],
    ends: NDArray[np.int64],
    interval: int,
    first: int,
    last: int,
    table: NDArray[np.uint16],
    filled: NDArray[np.uint64],
) -> tuple[int, bool]:
    """Walk through the first bits of AC coefficients, and note in `filled` which are not zero.

    `filled` has a bit for each coefficient of each block of the component.
    """
    at, bits, count, end, has_excess = 0, np.uint64(0), 0, 0, False
    num_empty = np.int64(0)
    for block in range(len(filled)):
        if block % interval == 0:
            has_excess |= end - (32 * at - count) > _MAX_PADDING
            at, end = starts[block // interval], ends[block // interval]
            bits, count = np.uint64(0), 0
            num_empty = np.int64(0)
        k = np.int64(first if num_empty == 0 else last + 1)
        num_empty -= num_empty > 0
        while k <= last:
            at, bits, count = _read_ahead(words, at, bits, count)
            code = np.int64(table[bits >> np.uint64(48)])
            run, size = (code >> 4) & 15, code & 15
            bits, count = bits << np.uint64(code >> 8), count - (code >> 8)
            k += run
            if code == 0 or (size and k > _LAST):
                return _MISSING
            if size:
                filled[block] |= np.uint64(1) << np.uint64(k)
            elif run < _ZEROS:
                num_empty = (1 << run) - 1 + _top(bits, run)
                k, size = np.int64(last), run
            bits, count = bits << np.uint64(size), count - size
            k += 1
        if 32 * at - count > end:
            return _MISSING
    place = 32 * at - count
    return place, has_excess or end - place > _MAX_PADDING


@compiled
def walk_refined(
    words: NDArray[np.uint64],
    starts: NDArray[np.int64],
    ends: NDArray[np.int64],
    interval: int,
    first: int,
    last: int,
    table: NDArray[np.uint16],
    filled: NDArray[np.uint64],
) -> tuple[int, bool]:
    """Walk through a further bit of AC coefficients, as `walk_first` (ITU-T T.81, G.1.2.3)."""
    at, bits, count, end, has_excess = 0, np.uint64(0), 0, 0, False
    num_empty = np.int64(0)
    for block in range(len(filled)):
        if block % interval == 0:
            has_excess |= end - (32 * at - count) > _MAX_PADDING
            at, end = starts[block // interval], ends[block // interval]
            bits, count = np.uint64(0), 0
            num_empty = np.int64(0)
        before, k = filled[block], np.int64(first)
        while k <= last and num_empty == 0:
            at, bits, count = _read_ahead(words, at, bits, count)
            code = np.int64(table[bits >> np.uint64(48)])
            if code == 0:
                return _MISSING
            run, size = (code >> 4) & 15, code & 15
            bits, count = bits << np.uint64(code >> 8), count - (code >> 8)
            if size == 0 and run < _ZEROS:
                num_empty = (1 << run) + _top(bits, run)
                bits, count = bits << np.uint64(run), count - run
                break
            used = np.int64(size > 0)
            while k <= last and (run or _is_set(before, k)):
                used += _is_set(before, k)
                run -= 1 - _is_set(before, k)
                k += 1
            if size and k <= last:
                filled[block] |= np.uint64(1) << np.uint64(k)
            k += 1
            at, bits, count = _skip(words, at, bits, count, used)
        if num_empty:
            num_empty -= 1
            used = np.int64(0)
            while k <= last:
                used += _is_set(before, k)
                k += 1
            at, bits, count = _skip(words, at, bits, count, used)
        if 32 * at - count > end:
            return _MISSING
    place = 32 * at - count
    return place, has_excess or end - place > _MAX_PADDING


@compiled
def _read_ahead(
    words: NDArray[np.uint64], at: int, bits: np.uint64, count: int
) -> tuple[int, np.uint64, int]:
    """Return the next word, the bits before it, and their number, which is at least 32."""
    if count < 32:
        return at + 1, bits | words[at] << np.uint64(32 - count), count + 32
    return at, bits, count


@compiled
def _skip(
    words: NDArray[np.uint64], at: int, bits: np.uint64, count: int, used: int
) -> tuple[int, np.uint64, int]:
    """Leave out up to 64 bits."""
    while used > 0:
        at, bits, count = _read_ahead(words, at, bits, count)
        step = min(used, 32)
        bits, count, used = bits << np.uint64(step), count - step, used - step
    return at, bits, count


@compiled
def _top(bits: np.uint64, count: np.int64) -> np.int64:
    """Return the first bits as a number, where at most 15 are asked for."""
    return np.int64(bits >> np.uint64(48)) >> (16 - count)


@compiled
def _is_set(mask: np.uint64, k: np.int64) -> np.int64:
    return np.int64((mask >> np.uint64(k)) & np.uint64(1))
