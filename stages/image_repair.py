"""Repair of image files that are complete in pixels but refused by decoders."""

import struct
import zlib
from collections.abc import Iterator, Sequence

from icstream.model.geometry import MAX_PIXELS

PILLOW_ERRORS = (
    *(OSError, ValueError, SyntaxError, EOFError, LookupError, TypeError, AttributeError),
    *(ArithmeticError, AssertionError, BufferError, MemoryError, NotImplementedError),
    *(RuntimeError, Warning, struct.error, zlib.error),
)
"""The exceptions of Pillow's readers on damaged files, besides its own errors."""

_JPEG_START, _JPEG_END = b"\xff\xd8", b"\xff\xd9"
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

    A JPEG gets an end marker, if all its blocks are there. A PNG loses texts and profiles that do
    not affect its pixels, as they may be damaged or too large, and gets an end likewise.
    """
    if data.startswith(_PNG_SIGNATURE):
        chunks = list(_pixel_chunks(data))
        return b"".join([_PNG_SIGNATURE, *chunks, _PNG_END]) if _holds_all_pixels(chunks) else None
    if data.startswith(_JPEG_START):
        from icstream.stages.jpeg_scans import is_whole_jpeg  # here, as numba is slow to import

        return data.rstrip(b"\xff") + _JPEG_END if is_whole_jpeg(data) else None
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
