"""Names of files and folders, derived from untrusted names."""

import os
import re
from collections.abc import Collection

from icstream.model.shown import escape

MAX_NAME_BYTES = 255
"""The longest name of a file or folder on common file systems, in bytes."""
MAX_FRAME_NAME_BYTES = MAX_NAME_BYTES - len(".png")
"""The longest name of a frame, in bytes."""
_MAX_SUFFIX_BYTES = 16
"""The longest text after the last dot of a name that counts as a suffix, in bytes."""


def safe_name(name: str) -> str:
    """Return a name that is valid for a folder on every system; "stream" if nothing is left."""
    cleaned = re.sub(r"[^\w.+@=,() -]+", "_", name).strip(" .")
    return cut_name(cleaned, max_bytes=MAX_NAME_BYTES).strip(" .") or "stream"


def fit_name(name: str, *, max_bytes: int = MAX_NAME_BYTES) -> str:
    """Return the name of a file as valid UTF-8, shortened before its suffix if necessary."""
    stem, suffix = os.path.splitext(escape(name))
    if len(suffix.encode()) > _MAX_SUFFIX_BYTES:
        stem, suffix = stem + suffix, ""
    return cut_name(stem, max_bytes=max_bytes - len(suffix.encode())) + suffix


def image_name(file_name: str) -> str:
    """Return the name of the frame of an image file, which its mask also gets."""
    return cut_name(escape(os.path.splitext(file_name)[0]), max_bytes=MAX_FRAME_NAME_BYTES)


def page_name(image: str, number: int) -> str:
    """Return the name of the frame of a further image in a file, numbered from 2."""
    ending = f"-page{number:04}"
    return cut_name(image, max_bytes=MAX_FRAME_NAME_BYTES - len(ending)) + ending


def is_named_after(frame: str, images: Collection[str]) -> bool:
    """Return whether a frame's name can derive from one of the images or their pages."""
    alike = re.sub(r"-\d+$", "", frame)  # duplicates got a number
    of_page = re.sub(r"-page\d{4,}$", "", alike)
    if not {frame, alike, of_page}.isdisjoint(images):
        return True
    # A name that was shortened for the number is incomplete.
    return len(frame.encode()) > MAX_FRAME_NAME_BYTES - _MAX_SUFFIX_BYTES and any(
        image.startswith(of_page) for image in images if len(image) > len(of_page)
    )


def cut_name(name: str, *, max_bytes: int) -> str:
    """Return the longest beginning of a name that fits into a number of bytes of UTF-8."""
    return name.encode()[:max_bytes].decode(errors="ignore")


def unique_name(
    name: str, taken: set[str], *, ignore_case: bool, max_bytes: int = MAX_NAME_BYTES
) -> str:
    """Return the name, with "-2", "-3", ... if it is taken, and add it to `taken`.

    Args:
        name: The name, in UTF-8, which is shortened if it is too long.
        taken: The names in use, in lower case if case is ignored.
        ignore_case: Whether names that differ only in case are the same.
        max_bytes: The longest name in UTF-8.
    """
    unique, count = cut_name(name, max_bytes=max_bytes), 1
    while (key := unique.lower() if ignore_case else unique) in taken:
        count += 1
        ending = f"-{count}"
        unique = cut_name(name, max_bytes=max_bytes - len(ending)) + ending
    taken.add(key)
    return unique
