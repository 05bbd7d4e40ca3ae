"""Detection of truncated recordings, by the end that their format states.

FFmpeg treats the end of a truncated file as that of the recording.
"""

import os
from collections.abc import Callable, Iterator
from typing import BinaryIO

from icstream.stages.decode.element_ends import holds_matroska_elements, holds_mxf_packets

_OGG_PAGE, _OGG_HEADER_BYTES, _OGG_LAST = b"OggS\0", 27, 0x04
_MAX_OGG_PAGE_BYTES = 65307
_GIF_HEADER_BYTES, _GIF_EXTENSION, _GIF_IMAGE, _GIF_TRAILER = 13, b"\x21", b"\x2c", b"\x3b"
_ASF_HEADER_BYTES = 30
_ASF_FILE_PROPERTIES = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
_ASF_BROADCAST = 0x01
_JPEG_START, _JPEG_SCAN, _JPEG_END = b"\xff\xd8", b"\xff\xda", b"\xff\xd9"
_TS_SYNC = b"\x47"
_TS_PACKETS = {188: 0, 192: 4, 204: 0}
"""The place of the first byte in packets, by their length in bytes; M2TS has 4 bytes before it."""
_TS_NUM_COMPARED = 8
"""Packets whose first bytes show the length of packets."""
_PIECE_BYTES = 2**16


def why_unfinished(file: BinaryIO, format_name: str, *, read_to: int) -> str | None:
    """Return the evidence that a recording is truncated, or None.

    Args:
        file: The recording's file, whose position changes.
        format_name: FFmpeg's name of the container format.
        read_to: The end of the last packet, in bytes.

    Raises:
        OSError: The file cannot be read.
    """
    for name, has_end in _HAS_END.items():
        if name in format_name.split(","):
            file.seek(0)
            return None if has_end(file) else f"it ends before the end that {_PROOFS[name]}"
    if format_name in _RECORDS and read_to != _size(file):
        return "it ends inside a frame"
    return None


def lacks_mp4_index(file: BinaryIO) -> bool:
    """Return whether an MP4 or MOV has no movie box (ISO/IEC 14496-12, section 8.2)."""
    kinds = [kind for kind, _ in _boxes(file)]
    return kinds[:1] == [b"ftyp"] and b"moov" not in kinds


def _ends_with_last_ogg_page(file: BinaryIO) -> bool:
    """Return whether the last page of each stream is marked (RFC 3533, section 6)."""
    file.seek(max(0, _size(file) - _MAX_OGG_PAGE_BYTES))
    tail = file.read()
    page = tail[max(0, tail.rfind(_OGG_PAGE)) :]
    if len(page) < _OGG_HEADER_BYTES or not page[5] & _OGG_LAST:
        return False
    lengths = page[_OGG_HEADER_BYTES : _OGG_HEADER_BYTES + page[26]]
    return len(page) >= _OGG_HEADER_BYTES + page[26] + sum(lengths)


def _has_gif_trailer(file: BinaryIO) -> bool:
    """Return whether there is a trailer (GIF89a specification, section 27 and appendix B)."""
    head = file.read(_GIF_HEADER_BYTES)
    file.seek(_table_bytes(head[10:11]), os.SEEK_CUR)
    while (kind := file.read(1)) in (_GIF_EXTENSION, _GIF_IMAGE):
        if kind == _GIF_EXTENSION:
            file.seek(1, os.SEEK_CUR)  # the block that it extends
        else:
            descriptor = file.read(9)
            file.seek(_table_bytes(descriptor[8:]) + 1, os.SEEK_CUR)  # plus the code size
        while length := file.read(1):
            if length == b"\0":
                break
            file.seek(length[0], os.SEEK_CUR)
    return kind != b""  # no conclusion is possible after an unknown block


def _table_bytes(flags: bytes) -> int:
    """Return the length of the announced color table, in bytes."""
    return 3 << (flags[0] & 7) + 1 if flags and flags[0] & 0x80 else 0


def _holds_last_fragment(file: BinaryIO) -> bool:
    """Return whether the last fragment is complete (ISO/IEC 14496-12, sections 4.2 and 8.8).

    Complete files have an index of all frames.
    """
    size, is_fragmented = _size(file), False
    for kind, end in _boxes(file):
        is_fragmented = is_fragmented or kind == b"moof"
        if is_fragmented and kind in (b"moof", b"mdat") and end > size:
            return False
    return True


def _boxes(file: BinaryIO) -> Iterator[tuple[bytes, int]]:
    """Yield the kind and the end of each box at the top of an MP4."""
    size, at = _size(file), 0
    while at + 8 <= size:
        file.seek(at)
        head = file.read(16)
        kind, length = head[4:8], int.from_bytes(head[:4])
        if length == 1:
            length = int.from_bytes(head[8:])
        if length < 8:
            return
        at += length
        yield kind, at


def _is_as_long_as_asf_header_says(file: BinaryIO) -> bool:
    """Return whether the length is that of the header (ASF specification, section 3.2).

    A broadcast has no length.
    """
    head = file.read(2**16)
    at = head.find(_ASF_FILE_PROPERTIES, _ASF_HEADER_BYTES)
    properties = head[at : at + 104]
    if at < 0 or len(properties) < 104 or properties[88] & _ASF_BROADCAST:
        return True
    return int.from_bytes(properties[40:48], "little") <= _size(file)


def _is_as_long_as_swf_header_says(file: BinaryIO) -> bool:
    """Return whether the length is that of the header (SWF file format, chapter 2).

    Compressed files have another length.
    """
    head = file.read(8)
    return head[:3] != b"FWS" or int.from_bytes(head[4:], "little") <= _size(file)


def _has_jpeg_end(file: BinaryIO) -> bool:
    """Return whether the last image ends with a marker (ITU-T T.81, annex B)."""
    at, tail = _size(file), b""
    while at > 0 and not any(one in tail for one in (_JPEG_START, _JPEG_SCAN, _JPEG_END)):
        length = min(at, _PIECE_BYTES)
        at -= length
        file.seek(at)
        tail = file.read(length) + tail[:1]  # a marker may lie on both sides
    return tail.rfind(_JPEG_END) >= max(tail.rfind(_JPEG_START), tail.rfind(_JPEG_SCAN))


def _has_whole_ts_packets(file: BinaryIO) -> bool:
    """Return whether the last packet is whole (ISO/IEC 13818-1, section 2.4.3.2).

    A file that was cut off between two packets looks like one that ends there.
    """
    size, head = _size(file), file.read(2 * max(_TS_PACKETS) * _TS_NUM_COMPARED)
    for first in range(max(_TS_PACKETS)):
        for length, sync in _TS_PACKETS.items():
            if head[first::length][:_TS_NUM_COMPARED] == _TS_SYNC * _TS_NUM_COMPARED:
                file.seek(size - (size - first + sync) % length)
                rest = file.read()[sync:]
                return not rest.startswith(_TS_SYNC)  # other bytes are no part of the stream
    return True


def _size(file: BinaryIO) -> int:
    return os.fstat(file.fileno()).st_size


_HAS_END: dict[str, Callable[[BinaryIO], bool]] = {
    "asf": _is_as_long_as_asf_header_says,
    "gif": _has_gif_trailer,
    "matroska": holds_matroska_elements,
    "mjpeg": _has_jpeg_end,
    "mov": _holds_last_fragment,
    "mpegts": _has_whole_ts_packets,
    "mxf": holds_mxf_packets,
    "ogg": _ends_with_last_ogg_page,
    "swf": _is_as_long_as_swf_header_says,
}
_PROOFS = {
    "asf": "its header states",
    "gif": "a trailer marks",
    "matroska": "its last element states",
    "mjpeg": "a marker of its last image states",
    "mov": "its last fragment states",
    "mpegts": "its last packet has",
    "mxf": "its packets state",
    "ogg": "a last page marks",
    "swf": "its header states",
}
_RECORDS = frozenset({"yuv4mpegpipe", "dv"})
"""The formats that consist of frames only."""
