"""Image files: one rule for all that read them, whichever library unpacks."""

import io
from pathlib import Path
from typing import Any, get_args

import cv2
import numpy as np
import pytest
from clips import moving_image
from PIL import Image

from icstream.model.errors import SampleError
from icstream.stages.image_files import (
    IMAGE_FORMATS,
    Decoder,
    TooManyPixelsError,
    UnknownImageError,
    displayed_size,
    read_image,
    unpack_image,
)

DECODERS = get_args(Decoder)


def file_of(image: Image.Image, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def turned(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


@pytest.mark.parametrize("decoder", DECODERS)
@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "1", "LA"])
def test_every_kind_of_image_becomes_rgb(tmp_path: Path, mode: str, decoder: Decoder) -> None:
    Image.fromarray(moving_image(0, (64, 64))).convert(mode).save(tmp_path / "a.png")
    assert read_image(tmp_path / "a.png", decoder=decoder).shape == (64, 64, 3)


@pytest.mark.parametrize("decoder", DECODERS)
def test_sixteen_bits_are_scaled(tmp_path: Path, decoder: Decoder) -> None:
    deep = np.linspace(0, 65535, 64 * 64).astype(np.uint16).reshape(64, 64)
    cv2.imwrite(str(tmp_path / "deep.png"), deep)
    assert (read_image(tmp_path / "deep.png", decoder=decoder)[..., 1] == deep >> 8).all()


@pytest.mark.parametrize("decoder", DECODERS)
def test_exif_rotation_is_applied(tmp_path: Path, decoder: Decoder) -> None:
    image = moving_image(0, (64, 96))
    exif = Image.Exif()
    exif[0x0112] = 6  # to be shown turned by 90 degrees clockwise
    Image.fromarray(image).save(tmp_path / "a.png", exif=exif)
    assert (read_image(tmp_path / "a.png", decoder=decoder) == np.rot90(image, -1)).all()


@pytest.mark.parametrize("decoder", DECODERS)
def test_a_huge_image_is_refused_before_it_is_unpacked(tmp_path: Path, decoder: Decoder) -> None:
    Image.new("1", (9000, 8000)).save(tmp_path / "a.png")
    with pytest.raises(SampleError, match="more than the allowed"):
        read_image(tmp_path / "a.png", decoder=decoder)


@pytest.mark.parametrize("kind", [*IMAGE_FORMATS, "MPO"])
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_both_decoders_give_the_same_bits(kind: str, mode: str) -> None:
    data = file_of(Image.fromarray(moving_image(3, (65, 97))).convert(mode), kind)
    by_pillow, by_opencv = (unpack_image(data, decoder=decoder) for decoder in DECODERS)
    assert np.array_equal(by_pillow, by_opencv)


@pytest.mark.parametrize("decoder", DECODERS)
@pytest.mark.parametrize("kind", IMAGE_FORMATS)
def test_what_is_cut_off_is_refused(kind: str, decoder: Decoder) -> None:
    data = file_of(Image.fromarray(moving_image(3, (65, 97))), kind)
    with pytest.raises(SampleError, match=r"cut off|damaged"):
        unpack_image(data[: len(data) * 3 // 4], decoder=decoder)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_the_header_says_the_size_that_is_unpacked(kind: str, orientation: int) -> None:
    data = file_of(Image.fromarray(moving_image(0, (64, 96))), kind, exif=turned(orientation))
    shapes = {unpack_image(data, decoder=decoder).shape for decoder in DECODERS}
    assert shapes == {(*displayed_size(data), 3)}


def test_a_header_is_refused_for_what_is_wrong_with_it() -> None:
    data = file_of(Image.fromarray(moving_image(0, (64, 96))), "PNG")
    with pytest.raises(UnknownImageError, match="no image"):
        displayed_size(b"no image")
    with pytest.raises(UnknownImageError, match="no image"):
        displayed_size(data, formats=("JPEG",))
    with pytest.raises(TooManyPixelsError, match="96x64 pixels are more than the allowed 6000"):
        displayed_size(data, max_pixels=6000)
    with pytest.raises(SampleError):
        displayed_size(data[:20])


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SampleError, match=r"a\.png: missing"):
        read_image(tmp_path / "a.png", decoder="pillow")
