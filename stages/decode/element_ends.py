"""Ends of recordings whose format is made of elements with stated lengths: Matroska and MXF."""

import os
from typing import BinaryIO

_SEGMENT, _CLUSTER = "18538067", "1f43b675"
_MATROSKA = frozenset(
    f"{_SEGMENT} {_CLUSTER} 1a45dfa3 114d9b74 1549a966 1654ae6b 1043a770 1c53bb6b 1941a469 1254c367"
    " ec bf e7 5854 a7 ab a3 a0 af".split()
)
"""The elements that segments and clusters consist of, by their identifiers in hexadecimal."""
_MAX_HEAD_BYTES = 4 + 8
_MXF_KEY = bytes.fromhex("060e2b34")
_MXF_PARTITION = bytes.fromhex("060e2b34020501010d010201")
_MXF_KEY_BYTES = 16
_MXF_FOOTER_AT = 24
"""Place of the footer's own place in a partition pack, in bytes."""


def holds_matroska_elements(file: BinaryIO) -> bool:
    """Return whether the last element is whole (RFC 8794, sections 4 to 6; RFC 9559).

    Segments and clusters of unknown length, as in streams, consist of elements of known length.
    """
    size, at = os.fstat(file.fileno()).st_size, 0
    while at < size:
        file.seek(at)
        head = file.read(_MAX_HEAD_BYTES)
        name = head[: _num_bytes(head)]
        digits = head[len(name) :][: _num_bytes(head[len(name) :])]
        if name.hex() not in _MATROSKA or not digits:
            return True  # something else: no conclusion is possible
        unknown = (1 << 7 * len(digits)) - 1
        length = int.from_bytes(digits) & unknown
        at += len(name) + len(digits)
        if length != unknown:
            at += length
            if name.hex() == _SEGMENT:
                break  # what follows is no part of the recording
        elif name.hex() not in (_SEGMENT, _CLUSTER):
            return True
    return at <= size


def _num_bytes(data: bytes) -> int:
    """Return the length of the number that begins here, by its leading zero bits, or 0."""
    return 9 - data[0].bit_length() if data and data[0] else 0


def holds_mxf_packets(file: BinaryIO) -> bool:
    """Return whether the stated footer is there, or without one, the last packet (ST 377-1)."""
    size, at, is_first = os.fstat(file.fileno()).st_size, 0, True
    while at < size:
        file.seek(at)
        head = file.read(_MXF_KEY_BYTES + 9 + _MXF_FOOTER_AT + 8)
        begin = _MXF_KEY_BYTES + 1
        if not head.startswith(_MXF_KEY) or len(head) < begin:
            return not is_first or len(head) >= begin
        length = head[_MXF_KEY_BYTES]
        if length >= 0x80:
            begin += length - 0x80
            length = int.from_bytes(head[_MXF_KEY_BYTES + 1 : begin])
        if is_first and head.startswith(_MXF_PARTITION):
            footer = int.from_bytes(head[begin + _MXF_FOOTER_AT :][:8])
            if footer:
                return footer < size
        at, is_first = at + begin + length, False
    return at == size
