"""Reading of protobuf's wire format: numbers and values of fields, without a schema.

Protocol Buffers documentation, "Encoding". Nothing is copied or allocated: values are views into
the message, so a wrong length is detected before it costs memory.
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
    """The bytes are not a message, or a field has another type than needed."""


def fields(message: memoryview) -> Iterator[tuple[int, Value]]:
    """Yield the number and value of each field, in the order of the message.

    Raises:
        ProtobufError: The message is truncated or malformed.
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
            raise ProtobufError(f"field {number} at byte {at} has unknown wire type {wire_type}")
        if size > len(message) - at:
            raise ProtobufError(
                f"field {number} at byte {at} claims {size} bytes, {len(message) - at} are left"
            )
        yield number, message[at : at + size]
        at += size


def view(number: int, value: Value) -> memoryview:
    """Return the bytes of a field.

    Raises:
        ProtobufError: It is a varint.
    """
    if isinstance(value, int):
        raise ProtobufError(f"field {number} holds a number where bytes are needed")
    return value


def text(number: int, value: Value) -> str:
    """Return the text of a field.

    Raises:
        ProtobufError: It is a varint, or not UTF-8.
    """
    try:
        return bytes(view(number, value)).decode()
    except UnicodeDecodeError as error:
        raise ProtobufError(f"field {number} is not UTF-8 text") from error


def varint(number: int, value: Value) -> int:
    """Return the number of a field.

    Raises:
        ProtobufError: It is not a varint.
    """
    if not isinstance(value, int):
        raise ProtobufError(f"field {number} holds bytes where a number is needed")
    return value


def varints(value: Value) -> list[int]:
    """Return the values of a repeated integer field, packed or single.

    Raises:
        ProtobufError: The last value is truncated.
    """
    if isinstance(value, int):
        return [value]
    found, at = [], 0
    while at < len(value):
        number, at = _varint(value, at)
        found.append(number)
    return found


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    """Return the number at an offset, 0 to 2^64 - 1, and the offset after it."""
    value = 0
    for position, byte in enumerate(message[at : at + _MAX_VARINT_BYTES]):
        value |= (byte & 0x7F) << (7 * position)
        if byte < 0x80:
            return value & (2**64 - 1), at + position + 1
    raise ProtobufError(f"the number at byte {at} has no end")
