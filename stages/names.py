"""Names of files and folders that are made from names that others gave."""

import os
import re
from collections.abc import Collection

from icstream.model.shown import escape

MAX_NAME_BYTES = 255
"""Longest name of a file or folder on the usual file systems."""
MAX_FRAME_NAME_BYTES = MAX_NAME_BYTES - len(".png")
"""Longest name of a frame."""
_MAX_SUFFIX_BYTES = 16
"""What stands behind the last dot of a name is no suffix if it is longer."""


def safe_name(name: str) -> str:
    """Return a name that a folder can have on every system; "stream" if nothing is left of it."""
    cleaned = re.sub(r"[^\w.+@=,() -]+", "_", name).strip(" .")
    return cut_name(cleaned, max_bytes=MAX_NAME_BYTES).strip(" .") or "stream"


def fit_name(name: str, *, max_bytes: int = MAX_NAME_BYTES) -> str:
    """Return the name of a file, readable as UTF-8 and not too long; its suffix stays."""
    stem, suffix = os.path.splitext(escape(name))
    if len(suffix.encode()) > _MAX_SUFFIX_BYTES:
        stem, suffix = stem + suffix, ""
    return cut_name(stem, max_bytes=max_bytes - len(suffix.encode())) + suffix


def image_name(file_name: str) -> str:
    """Return the name of the frame of an image file, which a mask of it gets as well."""
    return cut_name(escape(os.path.splitext(file_name)[0]), max_bytes=MAX_FRAME_NAME_BYTES)


def page_name(image: str, number: int) -> str:
    """Return the name of the frame of a further image in the file of an image, from 2."""
    ending = f"-page{number:04}"
    return cut_name(image, max_bytes=MAX_FRAME_NAME_BYTES - len(ending)) + ending


def is_named_after(frame: str, images: Collection[str]) -> bool:
    """Return whether a frame can have got its name from one of the images, or of their pages."""
    alike = re.sub(r"-\d+$", "", frame)  # the second that would be called alike got a number
    of_page = re.sub(r"-page\d{4,}$", "", alike)
    if not {frame, alike, of_page}.isdisjoint(images):
        return True
    # Of a name that was cut for the number something is missing.
    return len(frame.encode()) > MAX_FRAME_NAME_BYTES - _MAX_SUFFIX_BYTES and any(
        image.startswith(of_page) for image in images if len(image) > len(of_page)
    )


def cut_name(name: str, *, max_bytes: int) -> str:
    """Return as much of the beginning of a name as fits into so many bytes of UTF-8."""
    return name.encode()[:max_bytes].decode(errors="ignore")


def unique_name(
    name: str, taken: set[str], *, ignore_case: bool, max_bytes: int = MAX_NAME_BYTES
) -> str:
    """Return the name, with "-2", "-3", ... where it is taken, and note that it is taken now.

    Args:
        name: in UTF-8; it is cut where it would be too long.
        taken: names that others have, in lower case if case is ignored.
        ignore_case: whether names that differ only in case count as the same.
        max_bytes: longest name in UTF-8.
    """
    unique, count = cut_name(name, max_bytes=max_bytes), 1
    while (key := unique.lower() if ignore_case else unique) in taken:
        count += 1
        ending = f"-{count}"
        unique = cut_name(name, max_bytes=max_bytes - len(ending)) + ending
    taken.add(key)
    return unique
