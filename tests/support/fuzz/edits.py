"""Edits that damage a file, as plain values that hypothesis can shrink."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

Kind: TypeAlias = Literal["flip", "cut", "zero", "repeat", "remove", "insert", "number"]
KINDS: tuple[Kind, ...] = ("flip", "cut", "zero", "repeat", "remove", "insert", "number")
NUMBERS = (0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
"""The values for lengths, counts and sizes."""


@dataclass(frozen=True, slots=True)
class Edit:
    """One change at one position."""

    kind: Kind
    place: float
    """The position as a share of the file, 0 to 1."""
    length: int
    """The number of bytes that it affects."""
    value: int
    """The new value: a byte, or a number of four bytes."""


def edited(content: bytes, edits: Sequence[Edit]) -> bytes:
    """Apply edits in order."""
    data = bytearray(content)
    for edit in edits:
        at = min(int(edit.place * len(data)), max(0, len(data) - 1))
        end = min(len(data), at + edit.length)
        match edit.kind:
            case "flip":
                data[at:end] = bytes(byte ^ (edit.value & 0xFF or 1) for byte in data[at:end])
            case "cut":
                del data[at:]
            case "zero":
                data[at:end] = bytes(end - at)
            case "repeat":
                data[at:at] = data[at:end]
            case "remove":
                del data[at:end]
            case "insert":
                data[at:at] = bytes([edit.value & 0xFF]) * edit.length
            case "number":
                order: Literal["big", "little"] = "big" if edit.length % 2 else "little"
                data[at : at + 4] = edit.value.to_bytes(4, order)
    return bytes(data)


def drawn_edits(dice: random.Random, *, most: int = 4) -> list[Edit]:
    """Draw a few random edits, with more at the beginning, where headers are."""
    return [
        Edit(
            dice.choice(KINDS),
            dice.random() ** dice.choice((1, 1, 4)),
            dice.choice((1, 1, 2, 4, 16, 188, 4096)),
            dice.choice((*NUMBERS, dice.getrandbits(32))),
        )
        for _ in range(dice.randint(1, most))
    ]
