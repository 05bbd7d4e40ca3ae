"""Reading protobuf's wire format: numbers and values of fields, whatever they mean.

Protocol Buffers documentation, "Encoding". Nothing is copied or allocated: values are views into
the message, so what a length claims costs nothing before it is checked against what is there.
"""

from collections.abc import Iterator
from typing import TypeAlias

Value: TypeAlias = int | memoryview
"""A varint, or the bytes of anything else."""

_VARINT, _I64, _LEN, _I32 = 0, 1, 2, 5
_SIZES = {_I64: 8, _I32: 4}
_MAX_VARINT_BYTES = 10
_MAX_NUMBER = 2**29 - 1


class ProtobufError(ValueError):
    """Bytes that are no message, or a field of another kind than is needed."""


def fields(message: memoryview) -> Iterator[tuple[int, Value]]:
    """Return number and value of each field, in the order of the message.

    Raises:
        ProtobufError: the message ends within a field, or no message looks like this.
    """
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        number, wire_type = key >> 3, key & 7
        if not 1 <= number <= _MAX_NUMBER:
            raise ProtobufError(f"field number {number} at byte {at}; allowed are 1..{_MAX_NUMBER}")
        if wire_type == _VARINT:
            value, at = _varint(message, at)
            yield number, value
            continue
        if wire_type == _LEN:
            size, at = _varint(message, at)
        elif wire_type in _SIZES:
            size = _SIZES[wire_type]
        else:
            raise ProtobufError(f"field {number} at byte {at} is of the unknown kind {wire_type}")
        if size > len(message) - at:
            raise ProtobufError(
                f"field {number} at byte {at} claims {size} bytes, {len(message) - at} are left"
            )
        yield number, message[at : at + size]
        at += size


def view(number: int, value: Value) -> memoryview:
    """Return the bytes of a field.

    Raises:
        ProtobufError: it is a varint.
    """
    if isinstance(value, int):
        raise ProtobufError(f"field {number} holds a number where bytes are needed")
    return value


def text(number: int, value: Value) -> str:
    """Return a field of text.

    Raises:
        ProtobufError: it is a varint, or no UTF-8.
    """
    try:
        return bytes(view(number, value)).decode()
    except UnicodeDecodeError as error:
        raise ProtobufError(f"field {number} holds no text in UTF-8") from error


def varint(number: int, value: Value) -> int:
    """Return a field of one number.

    Raises:
        ProtobufError: it is none.
    """
    if not isinstance(value, int):
        raise ProtobufError(f"field {number} holds bytes where a number is needed")
    return value


def varints(value: Value) -> list[int]:
    """Return a repeated integer's values, packed or a single one.

    Raises:
        ProtobufError: the last one is cut off.
    """
    if isinstance(value, int):
        return [value]
    found, at = [], 0
    while at < len(value):
        number, at = _varint(value, at)
        found.append(number)
    return found


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    """Return the number that begins at a byte, 0 to 2^64 - 1, and where the next thing begins."""
    value = 0
    for position, byte in enumerate(message[at : at + _MAX_VARINT_BYTES]):
        value |= (byte & 0x7F) << (7 * position)
        if byte < 0x80:
            return value & (2**64 - 1), at + position + 1
    raise ProtobufError(f"the number at byte {at} has no end")
