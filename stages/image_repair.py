"""Repair of image files that are complete in pixels but refused by decoders."""

import hashlib
import io
import re
import struct
import zlib
from collections.abc import Iterator, Sequence

from PIL import Image

from icstream.model.geometry import MAX_PIXELS

PILLOW_ERRORS = (
    *(OSError, ValueError, SyntaxError, EOFError, LookupError, TypeError, AttributeError),
    *(ArithmeticError, AssertionError, BufferError, MemoryError, NotImplementedError),
    *(RuntimeError, Warning, struct.error, zlib.error),
)
"""The exceptions of Pillow's readers on damaged files, besides its own errors."""

_JPEG_START, _JPEG_END = b"\xff\xd8", b"\xff\xd9"
_SCAN = 0xDA
_SCAN_START = bytes((0xFF, _SCAN))
_SEQUENTIAL, _PROGRESSIVE = (0xC0, 0xC1), 0xC2
_NUM_COEFFICIENTS = 64
_MARKER_IN_SCAN = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")
_RESTART = re.compile(rb"\xff([\xd0-\xd7])")
_NUM_RESTARTS = 8
_BITS = [
    bytes([n << 5]) + hashlib.shake_128(bytes([n])).digest(1000).replace(b"\xff", b"U")
    for n in range(8)
]
"""Patterns that begin with each combination of three bits and exceed the decoders' lookahead."""
_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_PNG_DATA = b"IDAT"
_PNG_PIXELS = (b"IHDR", b"PLTE", _PNG_DATA, b"tRNS", b"acTL", b"fcTL", b"fdAT")
"""The chunks that determine the pixels of a PNG (PNG specification, chapter 11)."""
_PNG_EXIF = b"eXIf"
_PNG_END = b"\0\0\0\0IEND\xae\x42\x60\x82"
_MAX_PNG_BYTES = 9 * MAX_PIXELS
"""The largest size of decompressed pixels: 8 bytes each, plus filters (section 9)."""
_STEP_BYTES = 2**20


def repair_image(data: bytes) -> bytes | None:
    """Return a readable file with the same pixels, or None if pixels may be missing.

    A JPEG gets an end marker, if all before it is proven to be complete. A PNG loses texts and
    profiles that do not affect its pixels, as they may be damaged or too large, and gets an end
    likewise.
    """
    if data.startswith(_PNG_SIGNATURE):
        chunks = list(_pixel_chunks(data))
        return b"".join([_PNG_SIGNATURE, *chunks, _PNG_END]) if _holds_all_pixels(chunks) else None
    if data.startswith(_JPEG_START):
        data = data.rstrip(b"\xff")
        return data + _JPEG_END if _has_all_scans(data) and _is_whole(data) else None
    return None


def _pixel_chunks(data: bytes) -> Iterator[bytes]:
    place = len(_PNG_SIGNATURE)
    while place + 8 <= len(data):
        length = int.from_bytes(data[place : place + 4], "big")
        chunk = data[place : place + 12 + length]
        kind = chunk[4:8]
        is_sound = zlib.crc32(chunk[4:-4]) == int.from_bytes(chunk[-4:], "big")
        if kind in _PNG_PIXELS or (kind == _PNG_EXIF and is_sound):
            yield chunk
        place += 12 + length


def _holds_all_pixels(chunks: Sequence[bytes]) -> bool:
    """Return whether the compressed pixels of a PNG have their end and checksum."""
    rest = b"".join(chunk[8:-4] for chunk in chunks if chunk[4:8] == _PNG_DATA)
    decompressor, num_bytes = zlib.decompressobj(), 0
    try:
        while rest and not decompressor.eof and num_bytes <= _MAX_PNG_BYTES:
            num_bytes += len(decompressor.decompress(rest, _STEP_BYTES))
            rest = decompressor.unconsumed_tail
    except zlib.error:
        return False
    return decompressor.eof


def _is_whole(data: bytes) -> bool:
    """Return whether no pixel of a JPEG depends on bytes after the data.

    Decoders fill missing parts without an error. If nothing is missing, the pixels are the same
    whatever follows: nothing, or any bits in each of the remaining restart intervals.
    """
    restarts = _RESTART.findall(data, data.rfind(_SCAN_START))
    first = restarts[-1][0] + 1 if restarts else 0
    marks = [bytes((0xFF, 0xD0 + (first + n) % _NUM_RESTARTS)) for n in range(2 * _NUM_RESTARTS)]
    pixels = _pixels(data)
    fillings = (bits.join([b"", *marks, b""]) for bits in _BITS)
    return pixels is not None and all(_pixels(data + filling) == pixels for filling in fillings)


def _pixels(data: bytes) -> bytes | None:
    """Return the pixels of a JPEG without an end marker, or None if it is refused."""
    try:
        with Image.open(io.BytesIO(data + _JPEG_END), formats=("JPEG",)) as image:
            return image.tobytes()
    except PILLOW_ERRORS:
        return None


def _has_all_scans(data: bytes) -> bool:
    """Return whether there is a scan for every coefficient, to its last bit (ITU-T T.81, G.1)."""
    missing: dict[int, set[int]] = {}
    has_frame = False
    for marker, segment in _jpeg_segments(data):
        if marker in (*_SEQUENTIAL, _PROGRESSIVE) and len(segment) >= 6:
            has_frame = True
            missing = {number: set(range(_NUM_COEFFICIENTS)) for number in segment[6::3]}
        elif marker == _SCAN and len(segment) >= 4:
            first, last, bits = segment[-3:]
            for number in segment[1 : 1 + 2 * segment[0] : 2]:
                if bits & 0xF == 0:  # all coefficients in a sequential frame: 0 to 63
                    missing.get(number, set()).difference_update(range(first, last + 1))
    return has_frame and not any(missing.values())


def _jpeg_segments(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the marker and content of each segment up to the end; for scans, that of the header."""
    place = len(_JPEG_START)
    while place + 4 <= len(data) and data[place] == 0xFF:
        marker = data[place + 1]
        length = int.from_bytes(data[place + 2 : place + 4], "big")
        yield marker, data[place + 4 : place + 2 + length]
        place += 2 + length
        if marker == _SCAN:
            found = _MARKER_IN_SCAN.search(data, place)
            if found is None:
                return
            place = found.start()
