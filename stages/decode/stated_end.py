"""Where recordings state that they end, by format: one that ends earlier was cut off.

FFmpeg takes the end of such a file for that of the recording.
"""

import os
from collections.abc import Callable
from typing import BinaryIO

_OGG_PAGE, _OGG_HEADER_BYTES, _OGG_LAST = b"OggS\0", 27, 0x04
_MAX_OGG_PAGE_BYTES = 65307
_GIF_HEADER_BYTES, _GIF_EXTENSION, _GIF_IMAGE, _GIF_TRAILER = 13, b"\x21", b"\x2c", b"\x3b"
_ASF_HEADER_BYTES = 30
_ASF_FILE_PROPERTIES = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
_ASF_BROADCAST = 0x01


def why_unfinished(file: BinaryIO, format_name: str, *, read_to: int) -> str | None:
    """Return how a recording shows that it was cut off; None where it does not.

    Args:
        file: of the recording; its position changes.
        format_name: FFmpeg's name of its container.
        read_to: where its last packet ends, in bytes.

    Raises:
        OSError: the file cannot be read.
    """
    for name, has_end in _HAS_END.items():
        if name in format_name.split(","):
            file.seek(0)
            return None if has_end(file) else f"it ends before the end that {_PROOFS[name]}"
    if format_name in _RECORDS and read_to != _size(file):
        return "it ends inside a frame"
    return None


def _ends_with_last_ogg_page(file: BinaryIO) -> bool:
    """See RFC 3533, section 6: the last page of each stream is marked."""
    file.seek(max(0, _size(file) - _MAX_OGG_PAGE_BYTES))
    tail = file.read()
    page = tail[max(0, tail.rfind(_OGG_PAGE)) :]
    if len(page) < _OGG_HEADER_BYTES or not page[5] & _OGG_LAST:
        return False
    lengths = page[_OGG_HEADER_BYTES : _OGG_HEADER_BYTES + page[26]]
    return len(page) >= _OGG_HEADER_BYTES + page[26] + sum(lengths)


def _has_gif_trailer(file: BinaryIO) -> bool:
    """See the GIF89a specification, section 27 and appendix B."""
    head = file.read(_GIF_HEADER_BYTES)
    file.seek(_table_bytes(head[10:11]), os.SEEK_CUR)
    while (kind := file.read(1)) in (_GIF_EXTENSION, _GIF_IMAGE):
        if kind == _GIF_EXTENSION:
            file.seek(1, os.SEEK_CUR)  # what it extends
        else:
            descriptor = file.read(9)
            file.seek(_table_bytes(descriptor[8:]) + 1, os.SEEK_CUR)  # and the size of codes
        while length := file.read(1):
            if length == b"\0":
                break
            file.seek(length[0], os.SEEK_CUR)
    return kind != b""  # behind something else than a trailer nobody can tell


def _table_bytes(flags: bytes) -> int:
    """Return how long the table of colors is that is announced."""
    return 3 << (flags[0] & 7) + 1 if flags and flags[0] & 0x80 else 0


def _holds_last_fragment(file: BinaryIO) -> bool:
    """See ISO/IEC 14496-12, sections 4.2 and 8.8; whole files have an index of all frames."""
    size, at, is_fragmented = _size(file), 0, False
    while at + 8 <= size:
        file.seek(at)
        head = file.read(16)
        kind, length = head[4:8], int.from_bytes(head[:4])
        is_fragmented = is_fragmented or kind == b"moof"
        if length == 1:
            length = int.from_bytes(head[8:])
        if length < 8:
            break
        at += length
        if is_fragmented and kind in (b"moof", b"mdat") and at > size:
            return False
    return True


def _is_as_long_as_asf_header_says(file: BinaryIO) -> bool:
    """See the ASF specification, section 3.2; a broadcast has no length."""
    head = file.read(2**16)
    at = head.find(_ASF_FILE_PROPERTIES, _ASF_HEADER_BYTES)
    properties = head[at : at + 104]
    if at < 0 or len(properties) < 104 or properties[88] & _ASF_BROADCAST:
        return True
    return int.from_bytes(properties[40:48], "little") <= _size(file)


def _is_as_long_as_swf_header_says(file: BinaryIO) -> bool:
    """See the SWF file format, chapter 2; what is compressed has another length."""
    head = file.read(8)
    return head[:3] != b"FWS" or int.from_bytes(head[4:], "little") <= _size(file)


def _size(file: BinaryIO) -> int:
    return os.fstat(file.fileno()).st_size


_HAS_END: dict[str, Callable[[BinaryIO], bool]] = {
    "asf": _is_as_long_as_asf_header_says,
    "gif": _has_gif_trailer,
    "mov": _holds_last_fragment,
    "ogg": _ends_with_last_ogg_page,
    "swf": _is_as_long_as_swf_header_says,
}
_PROOFS = {
    "asf": "its header states",
    "gif": "a trailer marks",
    "mov": "its last fragment states",
    "ogg": "a last page marks",
    "swf": "its header states",
}
_RECORDS = frozenset({"yuv4mpegpipe", "dv"})
"""Formats of frames without anything behind them."""
