"""Proof that a JPEG has all its blocks, which decoders fill with gray where they are missing."""

import io
import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from icstream.model.geometry import MAX_PIXELS
from icstream.stages import jpeg_blocks

_START, _END_OF_IMAGE = b"\xff\xd8", 0xD9
_SEQUENTIAL, _PROGRESSIVE = (0xC0, 0xC1), 0xC2
_OTHER_FRAMES = (0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF)
"""The markers of lossless, hierarchical and arithmetic frames (ITU-T T.81, table B.1)."""
_TABLES, _SCAN, _RESTART_INTERVAL, _LINES = 0xC4, 0xDA, 0xDD, 0xDC
# FF 00 is the value FF in a scan, FF D0 to FF D7 are restarts, FF FF is fill before a marker, and
# FF 01 and FF D8 have no content (B.1.1.2, B.1.1.3 and B.1.1.5).
_MARKER = re.compile(rb"\xff([^\x00\x01\xd0-\xd8\xff])", re.DOTALL)
_RESTART = re.compile(rb"\xff([\xd0-\xd7])")
_FIRST_RESTART, _NUM_RESTARTS = 0xD0, 8
_NUM_COEFFICIENTS = 64
_MAX_COMPONENTS = _MAX_SAMPLING = 4
_MAX_BLOCKS = 4 * MAX_PIXELS // _NUM_COEFFICIENTS
_NO_TABLE = np.zeros(1 << 16, np.uint16)
_SPARE = bytes(4 * jpeg_blocks.NUM_SPARE_WORDS)
_ZEROS = bytes(8)
"""Zeros that a scan with the usual codes does not contain."""


class _Component(NamedTuple):
    """A component of a frame, in blocks."""

    sampling: tuple[int, int]
    """The horizontal and vertical sampling factors."""
    num_blocks: int
    """The number of blocks in a scan of this component alone."""
    filled: NDArray[np.uint64]
    """A bit for each AC coefficient of each block, in progressive frames."""
    missing: set[int]
    """The coefficients without a scan to their last bit."""


class _Segment(NamedTuple):
    """A marker with what follows it."""

    marker: int
    content: bytes
    start: int
    """The place after the content."""
    end: int | None
    """The place of the next marker but for restarts, or None where the file ends before."""


class _UnknownCodingError(Exception):
    """The coding is none whose blocks are counted here."""


class _DamageError(Exception):
    """Blocks are missing, or the content of a segment is invalid."""


def is_whole_jpeg(data: bytes) -> bool:
    """Return whether all blocks of the first image in a JPEG are there, to their last bit.

    Its end marker may be missing if nothing else is. A JPEG in arithmetic, lossless or
    hierarchical coding is taken as whole if it has an end marker.
    """
    try:
        return _Walk(data).is_whole()
    except _UnknownCodingError:
        return any(segment.marker == _END_OF_IMAGE for segment in _segments(data))
    except (_DamageError, ArithmeticError, LookupError, ValueError):
        return False


def load_loops() -> None:
    """Load the compiled loops, which otherwise delays the first JPEG of a process."""
    for progressive in (False, True):
        file = io.BytesIO()
        Image.new("RGB", (8, 8)).save(file, "JPEG", progressive=progressive)
        is_whole_jpeg(file.getvalue())


def _segments(data: bytes) -> Iterator[_Segment]:
    """Yield each segment up to the end of the first image."""
    found = _MARKER.search(data, len(_START))
    while found:
        marker, place = found.group(1)[0], found.end()
        if marker == _END_OF_IMAGE:
            yield _Segment(marker, b"", place, place)
            return
        content_end = place + int.from_bytes(data[place : place + 2], "big")
        content = data[place + 2 : content_end]
        found = _MARKER.search(data, content_end)
        yield _Segment(marker, content, content_end, found.start() if found else None)


class _Scan:
    """The coded blocks of a scan."""

    def __init__(self, content: bytes, num_units: int, interval: int) -> None:
        """Split a scan at its restart markers.

        Args:
            content: The bytes after the header of the scan.
            num_units: The number of units in the scan.
            interval: The number of units between restarts, or 0.
        """
        self._num_units = num_units
        self._interval = interval or num_units
        num_parts = -(-num_units // self._interval)
        pieces = _RESTART.split(content)
        marks = pieces[1 : 2 * num_parts - 1 : 2]
        if len(marks) < num_parts - 1 or any(
            mark[0] != _FIRST_RESTART + n % _NUM_RESTARTS for n, mark in enumerate(marks)
        ):
            raise _DamageError
        self._has_further = len(pieces) > 2 * num_parts - 1
        parts = [
            part.rstrip(b"\xff").replace(b"\xff\0", b"\xff") for part in pieces[: 2 * num_parts : 2]
        ]
        self._bytes = b"".join([*(part + bytes(-len(part) % 4) for part in parts), _SPARE])
        self._words = np.frombuffer(self._bytes, ">u4").astype(np.uint64)
        lengths = np.array([len(part) for part in parts])
        self._starts = np.cumsum([0, *(-(-lengths // 4))])
        self._ends = 32 * self._starts[:-1] + 8 * lengths

    def walk_whole(self, places: NDArray[np.int64], tables: NDArray[np.uint16]) -> tuple[int, bool]:
        """Walk through blocks or DC coefficients, with the tables of DC and AC by block."""
        numbers = np.ascontiguousarray(places.T)
        return self._walk(jpeg_blocks.walk_whole, self._num_units, numbers[0], numbers[1], tables)

    def walk_ac(
        self, *, first: int, last: int, is_first: bool, component: "_Component", codes: bytes
    ) -> tuple[int, bool]:
        """Walk through AC coefficients of one component."""
        loop = jpeg_blocks.walk_first if is_first else jpeg_blocks.walk_refined
        return self._walk(loop, first, last, code_table(codes), component.filled)

    def _walk(self, loop: Callable[..., tuple[int, bool]], *arguments: object) -> tuple[int, bool]:
        place, has_excess = loop(self._words, self._starts, self._ends, self._interval, *arguments)
        return (place + 7) // 8 if place >= 0 else place, has_excess or self._has_further

    def has_zeros(self, used: int) -> bool:
        """Return whether there are zeros within the used bytes that a cut file was filled with."""
        return self._bytes.find(_ZEROS, 0, used) >= 0


class _Walk:
    """A walk through the segments of a JPEG."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._components: dict[int, _Component] = {}
        self._num_units = 0
        """The number of units in a scan of several components."""
        self._is_progressive = False
        self._interval = 0
        self._tables: dict[int, bytes] = {}
        """The definitions of codes, by class (DC 0, AC 1) times 16 plus number."""

    def is_whole(self) -> bool:
        """Return whether all blocks are there.

        Raises:
            _DamageError: Blocks are missing.
            _UnknownCodingError: The coding is none that is known here.
        """
        for segment in _segments(self._data):
            marker, content = segment.marker, segment.content
            if marker in (*_SEQUENTIAL, _PROGRESSIVE):
                self._begin_frame(content, is_progressive=marker == _PROGRESSIVE)
            elif marker in (*_OTHER_FRAMES, _LINES):
                raise _UnknownCodingError
            elif marker == _TABLES:
                self._tables.update(_split_tables(content))
            elif marker == _RESTART_INTERVAL:
                self._interval = int.from_bytes(content[:2], "big")
            elif marker == _SCAN:
                self._walk_scan(segment)
        components = self._components.values()
        return bool(components) and not any(component.missing for component in components)

    def _begin_frame(self, content: bytes, *, is_progressive: bool) -> None:
        """Take the size and components of a frame (ITU-T T.81, B.2.2)."""
        height, width = (int.from_bytes(content[at : at + 2], "big") for at in (1, 3))
        if height == 0:  # it is stated after the first scan
            raise _UnknownCodingError
        factors = {c[0]: (c[1] >> 4, c[1] & 15) for c in _split(content[6:], 3)}
        if self._components or len(factors) > _MAX_COMPONENTS:
            raise _DamageError
        across, down = (max(pair[i] for pair in factors.values()) for i in (0, 1))
        if not all(1 <= f <= _MAX_SAMPLING for pair in factors.values() for f in pair):
            raise _DamageError
        self._is_progressive = is_progressive
        self._num_units = -(-width // (8 * across)) * -(-height // (8 * down))
        for number, (h, v) in factors.items():
            columns, rows = -(-width * h // across), -(-height * v // down)
            num_blocks = -(-columns // 8) * -(-rows // 8)
            if num_blocks > _MAX_BLOCKS:
                raise _DamageError
            filled = np.zeros(num_blocks if is_progressive else 0, np.uint64)
            missing = set(range(_NUM_COEFFICIENTS))
            self._components[number] = _Component((h, v), num_blocks, filled, missing)

    def _walk_scan(self, segment: _Segment) -> None:
        """Walk through a scan (ITU-T T.81, B.2.3)."""
        content = segment.content
        numbers = [(c[0], c[1] >> 4, c[1] & 15) for c in _split(content[1:-3], 2)]
        if not 0 < len(numbers) == content[0]:
            raise _DamageError
        first, last, bits = content[-3:]
        if not self._is_progressive:
            first, last, bits = 0, _NUM_COEFFICIENTS - 1, 0
        is_alone, is_first = len(numbers) == 1, bits >> 4 == 0
        component = self._components[numbers[0][0]]
        num_units = component.num_blocks if is_alone else self._num_units
        scan = _Scan(self._data[segment.start : segment.end], num_units, self._interval)
        if first == 0:
            used, has_excess = self._walk_units(scan, numbers, is_first=is_first)
        elif is_alone and first <= last < _NUM_COEFFICIENTS:
            codes = self._table(16 + numbers[0][2])
            used, has_excess = scan.walk_ac(
                first=first, last=last, is_first=is_first, component=component, codes=codes
            )
        else:
            raise _DamageError
        # More bytes than needed are no damage, as some cameras write them; zeros after a cut are.
        if used < 0 or (has_excess and (segment.end is None or scan.has_zeros(used))):
            raise _DamageError
        if bits & 15 == 0:
            for number, _, _ in numbers:
                self._components[number].missing.difference_update(range(first, last + 1))

    def _walk_units(
        self, scan: "_Scan", numbers: list[tuple[int, int, int]], *, is_first: bool
    ) -> tuple[int, bool]:
        """Walk through a scan with DC coefficients: of several components, or of one alone."""
        pairs: list[tuple[int, int]] = []
        for number, dc, ac in numbers:
            across, down = self._components[number].sampling if len(numbers) > 1 else (1, 1)
            pair = (dc if is_first else -1, -1 if self._is_progressive else 16 + ac)
            pairs += [pair] * (across * down)
        names = sorted({name for pair in pairs for name in pair if name >= 0})
        tables = _stacked(tuple(self._table(name) for name in names))
        places = [[names.index(name) if name >= 0 else -1 for name in pair] for pair in pairs]
        return scan.walk_whole(np.array(places, np.int64), tables)

    def _table(self, name: int) -> bytes:
        definition = self._tables.get(name)
        return usual_tables()[name] if definition is None else definition


def _split(content: bytes, length: int) -> list[bytes]:
    return [content[at : at + length] for at in range(0, len(content) - length + 1, length)]


def _split_tables(content: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the name and definition of each table in a segment (ITU-T T.81, B.2.4.2)."""
    while len(content) >= 17:
        length = 17 + sum(content[1:17])
        yield content[0], content[1:length]
        content = content[length:]


@lru_cache(maxsize=64)
def code_table(definition: bytes) -> NDArray[np.uint16]:
    """Return 256 times the length plus the symbol of the code in each combination of 16 bits.

    Args:
        definition: The numbers of codes of 1 to 16 bits, followed by their symbols.
    """
    lengths = np.repeat(np.arange(1, 17), np.frombuffer(definition[:16], np.uint8))
    symbols = np.frombuffer(definition[16:], np.uint8)
    if len(symbols) < len(lengths):
        raise _DamageError
    spans = 1 << (16 - lengths)
    if spans.sum() > 1 << 16:
        raise _DamageError
    table = np.zeros(1 << 16, np.uint16)
    table[: spans.sum()] = np.repeat(lengths << 8 | symbols[: len(lengths)], spans)
    return table


@lru_cache(maxsize=16)
def _stacked(definitions: tuple[bytes, ...]) -> NDArray[np.uint16]:
    return np.stack([code_table(definition) for definition in definitions] or [_NO_TABLE])


@lru_cache(maxsize=1)
def usual_tables() -> dict[int, bytes]:
    """Return the tables of ITU-T T.81, K.3, which frames of Motion JPEG leave out."""
    file = io.BytesIO()
    Image.new("RGB", (8, 8)).save(file, "JPEG")
    found = [segment for segment in _segments(file.getvalue()) if segment.marker == _TABLES]
    return dict(pair for segment in found for pair in _split_tables(segment.content))
