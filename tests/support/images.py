"""Image files for tests, intact ones of every kind and broken ones."""

import io
import struct
import zlib

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "TIFF")


def make_image(rng: np.random.Generator, height: int, width: int) -> NDArray[np.uint8]:
    """Return (H, W, 3) RGB that is neither flat nor noise, so that masks have several classes."""
    coarse = rng.integers(0, 256, (4, 5, 3), dtype=np.uint8)
    return np.asarray(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC), np.uint8)


def encode(image_HW3: NDArray[np.uint8], kind: str, *, orientation: int = 1) -> bytes:
    """Return the bytes of an image file in one of the `FORMATS`."""
    file = io.BytesIO()
    image = Image.fromarray(image_HW3)
    if orientation != 1:
        exif = Image.Exif()
        exif[0x0112] = orientation
        image.save(file, format=kind, exif=exif)
    else:
        image.save(file, format=kind)
    return file.getvalue()


def png_that_claims(width: int, height: int) -> bytes:
    """Return a few bytes that claim to be a PNG of a size (PNG specification, 11.2.2)."""

    def chunk(name: bytes, content: bytes) -> bytes:
        checksum = zlib.crc32(name + content)
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", checksum)

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = zlib.compress(bytes(1000))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels)


def broken_images(rng: np.random.Generator) -> dict[str, tuple[bytes, str]]:
    """Return broken bodies with their content types, by name."""
    jpeg = encode(make_image(rng, 40, 60), "JPEG")
    return {
        "truncated JPEG": (jpeg[: len(jpeg) // 2], "image/jpeg"),
        "JPEG without its end": (jpeg[:200], "image/jpeg"),
        "cut-off JPEG with an end": (jpeg[: len(jpeg) // 2] + b"\xff\xd9", "image/jpeg"),
        "JPEG filled with zeros": (jpeg[: len(jpeg) // 2].ljust(len(jpeg), b"\0"), "image/jpeg"),
        "50,000 x 50,000 pixels": (png_that_claims(50_000, 50_000), "image/png"),
        "nothing": (b"", "image/png"),
        "SVG": (b'<svg xmlns="http://www.w3.org/2000/svg"/>', "image/svg+xml"),
        "SVG sent as PNG": (b'<svg xmlns="http://www.w3.org/2000/svg"/>', "image/png"),
        "random bytes": (rng.bytes(5000), "application/octet-stream"),
    }
