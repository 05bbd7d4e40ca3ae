"""Detection of missing reference frames in H.264 streams, by the numbers in slice headers.

FFmpeg conceals the loss of a whole frame without a flag, so that dependent frames are smeared. But
each reference frame has a number (ITU-T H.264, section 7.4.3, frame_num), which reveals a loss.
"""

from collections.abc import Iterator
from typing import NamedTuple

_HEADER_BYTES = 64
"""The number of bytes that contain a slice header's fields up to frame_num."""
_SPS_BYTES = 1024
_SLICE, _IDR, _SPS, _PPS = 1, 5, 7, 8
"""The types of NAL units (table 7-1)."""
_WITH_CHROMA_FORMAT = frozenset({44, 83, 86, 100, 110, 118, 122, 128, 134, 135, 138, 139, 244})
"""The profiles whose parameters begin with the chroma format (section 7.3.2.1.1)."""


class _SequenceParameters(NamedTuple):
    frame_num_bits: int
    has_colour_planes: bool
    gaps_allowed: bool


class H264Order:
    """A check that no reference frame is missing between consecutive packets."""

    def __init__(self, extradata: bytes | None) -> None:
        """Begin a stream.

        Args:
            extradata: The decoder's parameter sets, as Annex B or avcC.
        """
        self._sequences: dict[int, _SequenceParameters] = {}
        self._pictures: dict[int, int] = {}
        """The sequence parameter set of each picture parameter set."""
        self._length_bytes = 0
        """The bytes of the length before each NAL unit; 0 if start codes separate them."""
        self._last: int | None = None
        """The number of the last reference frame; None until there is one."""
        if extradata and extradata[0] == 1:  # ISO/IEC 14496-15, section 5.3.3.1
            self._length_bytes = (extradata[4] & 3) + 1 if len(extradata) > 4 else 4
            self._read_parameters(_units_of_avcc(extradata))
        elif extradata:
            self._read_parameters(_units_between_start_codes(extradata))

    def begin_anew(self) -> None:
        """Forget the last reference frame, so that the next packet is a new beginning."""
        self._last = None

    def misses(self, packet: bytes) -> bool:
        """Return whether a reference frame is missing before this packet, and record its own."""
        for unit in self._units(packet):
            kind = unit[0] & 31
            if kind in (_SPS, _PPS):
                self._read_parameters(iter([unit]))
            elif kind in (_SLICE, _IDR):
                return self._check(unit)
        return False

    def _check(self, unit: memoryview) -> bool:
        try:
            found = self._frame_num(unit)
        except (IndexError, KeyError):
            return False  # it is truncated, or its parameters are unknown: the decoder reports it
        number, count, gaps_allowed = found
        last, is_idr = self._last, unit[0] & 31 == _IDR
        if unit[0] & 0x60:  # a reference frame
            self._last = number
        if is_idr or last is None or gaps_allowed:
            return False
        return number not in (last, (last + 1) % count)

    def _frame_num(self, unit: memoryview) -> tuple[int, int, bool]:
        """Return frame_num of a slice, its modulus, and whether numbers may be skipped."""
        bits = _Bits(unit[1:_HEADER_BYTES])
        bits.exp_golomb()  # first_mb_in_slice
        bits.exp_golomb()  # slice_type
        sequence = self._sequences[self._pictures[bits.exp_golomb()]]
        if sequence.has_colour_planes:
            bits.take(2)
        number = bits.take(sequence.frame_num_bits)
        return number, 1 << sequence.frame_num_bits, sequence.gaps_allowed

    def _read_parameters(self, units: Iterator[memoryview]) -> None:
        for unit in units:
            try:
                bits = _Bits(unit[1:_SPS_BYTES])
                if unit[0] & 31 == _SPS:
                    number, sequence = _sequence_parameters(bits)
                    self._sequences[number] = sequence
                elif unit[0] & 31 == _PPS:
                    self._pictures[bits.exp_golomb()] = bits.exp_golomb()
            except IndexError:
                continue  # truncated

    def _units(self, packet: bytes) -> Iterator[memoryview]:
        if not self._length_bytes:
            return _units_between_start_codes(packet)
        return _units_with_length(memoryview(packet), self._length_bytes)


class _Bits:
    """The bits of a NAL unit, without emulation prevention bytes (section 7.4.1)."""

    def __init__(self, data: memoryview) -> None:
        self._data = bytes(data).replace(b"\0\0\3", b"\0\0")
        self._place = 0

    def take(self, count: int) -> int:
        """Return the next bits as a number, or raise IndexError at the end."""
        value = 0
        for _ in range(count):
            byte = self._data[self._place >> 3]
            value = value << 1 | byte >> (7 - (self._place & 7)) & 1
            self._place += 1
        return value

    def exp_golomb(self) -> int:
        """Return the next unsigned Exp-Golomb code (section 9.1)."""
        num_zeros = 0
        while not self.take(1):
            num_zeros += 1
        return (1 << num_zeros) - 1 + self.take(num_zeros)


def _sequence_parameters(bits: _Bits) -> tuple[int, _SequenceParameters]:
    """Return the id and the needed fields of a sequence parameter set (7.3.2.1.1)."""
    profile = bits.take(8)
    bits.take(16)  # constraints and level
    number = bits.exp_golomb()
    has_colour_planes = False
    if profile in _WITH_CHROMA_FORMAT:
        chroma_format = bits.exp_golomb()
        has_colour_planes = chroma_format == 3 and bool(bits.take(1))
        bits.exp_golomb()  # luma depth
        bits.exp_golomb()  # chroma depth
        bits.take(1)
        if bits.take(1):
            for place in range(12 if chroma_format == 3 else 8):
                if bits.take(1):
                    _skip_scaling_list(bits, 16 if place < 6 else 64)
    frame_num_bits = bits.exp_golomb() + 4
    order = bits.exp_golomb()
    if order == 0:
        bits.exp_golomb()
    elif order == 1:
        bits.take(1)
        for _ in range(2):
            bits.exp_golomb()
        for _ in range(bits.exp_golomb()):
            bits.exp_golomb()
    bits.exp_golomb()  # num_ref_frames
    return number, _SequenceParameters(frame_num_bits, has_colour_planes, bool(bits.take(1)))


def _skip_scaling_list(bits: _Bits, size: int) -> None:
    """Skip a scaling list (section 7.3.2.1.1.1)."""
    last = following = 8
    for _ in range(size):
        if following:
            coded = bits.exp_golomb()
            delta = (coded + 1) // 2 if coded & 1 else -(coded // 2)
            following = (last + delta) % 256
        last = following or last


def _units_between_start_codes(data: bytes) -> Iterator[memoryview]:
    """Return the NAL units of a byte stream (Annex B)."""
    view, begin = memoryview(data), data.find(b"\0\0\1") + 3
    while begin >= 3:
        end = data.find(b"\0\0\1", begin)
        if begin < len(data):
            yield view[begin : end if end >= 0 else None]
        begin = end + 3


def _units_with_length(view: memoryview, length_bytes: int) -> Iterator[memoryview]:
    """Return the NAL units of a packet with length prefixes."""
    place = 0
    while place + length_bytes < len(view):
        begin = place + length_bytes
        place = begin + int.from_bytes(view[place:begin], "big")
        if place > begin:
            yield view[begin:place]


def _units_of_avcc(extradata: bytes) -> Iterator[memoryview]:
    """Return the parameter sets of an avcC box (ISO/IEC 14496-15, section 5.3.3.1)."""
    view, place = memoryview(extradata), 5
    for mask in (31, 255):
        if place >= len(view):
            return
        count = view[place] & mask
        place += 1
        for _ in range(count):
            begin = place + 2
            place = begin + int.from_bytes(view[place:begin], "big")
            if place > begin:
                yield view[begin:place]
