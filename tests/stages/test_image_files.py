"""Image files: one rule for all that read them, whichever library unpacks."""

import io
import struct
import zlib
from pathlib import Path
from typing import Any, get_args

import cv2
import numpy as np
import pytest
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
from support.clips import moving_image

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


def test_a_thin_image_is_refused_for_what_the_network_needs(tmp_path: Path) -> None:
    Image.new("1", (3_000_000, 1)).save(tmp_path / "a.png")
    assert (tmp_path / "a.png").stat().st_size < 10_000
    wanted = r"a\.png: 3000000x1 pixels are more than the allowed 67108864, where sides below 64 "
    for decoder in DECODERS:
        with pytest.raises(SampleError, match=wanted):
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
def test_the_size_in_the_header_is_that_of_the_decoded_image(kind: str, orientation: int) -> None:
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


def png_chunk(kind: bytes, content: bytes, *, crc_error: int = 0) -> bytes:
    crc = zlib.crc32(kind + content) ^ crc_error
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", crc)


@pytest.mark.parametrize("decoder", DECODERS)
@pytest.mark.parametrize("place", [33, -12])
@pytest.mark.parametrize(
    "chunk",
    [
        png_chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(2 * 2**20))),
        png_chunk(b"iTXt", b"Comment\0\1\0\0\0" + zlib.compress(bytes(2 * 2**20))),
        png_chunk(b"tEXt", b"Comment\0text", crc_error=1),
    ],
)
def test_what_stands_beside_the_pixels_of_a_png_costs_none(
    chunk: bytes, place: int, decoder: Decoder
) -> None:
    image = moving_image(3, (65, 97))
    data = file_of(Image.fromarray(image), "PNG")
    data = data[:place] + chunk + data[place:]  # behind IHDR, before IEND
    assert (unpack_image(data, decoder=decoder) == image).all()
    assert displayed_size(data) == (65, 97)


@pytest.mark.parametrize("decoder", DECODERS)
def test_a_png_without_its_end_is_read_if_no_pixel_is_missing(decoder: Decoder) -> None:
    image = moving_image(3, (65, 97))
    data = file_of(Image.fromarray(image), "PNG")
    for whole in (data[:-12], data[:-5]):
        assert (unpack_image(whole, decoder=decoder) == image).all()
    for cut in (40, 400):
        pixels = data[33:-cut]
        ended = data[:33] + png_chunk(b"IDAT", pixels[8:]) + png_chunk(b"IEND", b"")
        for file in (data[:-cut], ended):
            with pytest.raises(SampleError, match="damaged"):
                unpack_image(file, decoder=decoder)


@pytest.mark.parametrize("decoder", DECODERS)
@pytest.mark.parametrize(
    "options", [{}, {"progressive": True}, {"subsampling": 0}, {"restart_marker_blocks": 3}]
)
def test_a_jpeg_without_its_end_is_read_if_no_pixel_is_missing(
    options: dict[str, Any], decoder: Decoder
) -> None:
    data = file_of(Image.fromarray(moving_image(3, (65, 97))), "JPEG", **options)
    image = unpack_image(data, decoder=decoder)
    assert data.endswith(b"\xff\xd9")
    for whole in (data[:-2], data[:-1]):
        assert (unpack_image(whole, decoder=decoder) == image).all()
    for cut in (3, 4, 8, 40, 400):
        with pytest.raises(SampleError, match="cut off"):
            unpack_image(data[:-cut], decoder=decoder)


@pytest.mark.parametrize("decoder", DECODERS)
@pytest.mark.parametrize("progressive", [False, True])
def test_a_jpeg_that_is_cut_off_and_filled_up_is_refused(
    decoder: Decoder, progressive: bool
) -> None:
    image = Image.fromarray(moving_image(3, (65, 97)))
    data = file_of(image, "JPEG", progressive=progressive)
    for share in (60, 80, 95):
        cut = data[: len(data) * share // 100]
        for file in (cut + b"\xff\xd9", cut.ljust(len(data), b"\0")):
            with pytest.raises(SampleError, match="cut off"):
                unpack_image(file, decoder=decoder)


def test_a_progressive_jpeg_without_its_last_scan_is_cut_off() -> None:
    data = file_of(Image.fromarray(moving_image(3, (65, 97))), "JPEG", progressive=True)
    with pytest.raises(SampleError, match="cut off"):
        unpack_image(data[: data.rfind(b"\xff\xda")], decoder="pillow")


@pytest.mark.parametrize("decoder", DECODERS)
def test_damaged_exif_turns_nothing(decoder: Decoder) -> None:
    image = Image.fromarray(moving_image(3, (65, 97)))
    data = file_of(image, "JPEG", exif=b"Exif\0\0XX\0*garbage")
    expected = unpack_image(file_of(image, "JPEG"), decoder=decoder)
    assert (unpack_image(data, decoder=decoder) == expected).all()


@pytest.mark.parametrize("kind", ["DDS", "ICO", "PCX", "SGI", "TGA", "EPS"])
def test_only_listed_formats_are_read(kind: str) -> None:
    data = file_of(Image.fromarray(moving_image(3, (64, 96))), kind)
    for read in (displayed_size, lambda file: unpack_image(file, decoder="opencv")):
        with pytest.raises(UnknownImageError, match="no image in one of the formats AVIF, BMP"):
            read(data)


def test_tiles_of_hevc_are_refused_with_what_to_do() -> None:
    head = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic"
    item = b"\0\0\0\x15infe\2\0\0\0\0\1\0\0grid\0"
    with pytest.raises(SampleError, match=r"HEIC images of several tiles .* convert it"):
        unpack_image(head + item, decoder="pillow")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SampleError, match=r"a\.png: missing"):
        read_image(tmp_path / "a.png", decoder="pillow")


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize(
    "behind",
    [b"\xff\xda\x00\x0c", b"\xff\xd8\xff\xda" + bytes(99), b"\x00\x00\x00\x18ftypmp42\xff\xda"],
)
def test_what_lies_behind_the_end_of_a_jpeg_is_no_part_of_it(
    behind: bytes, progressive: bool
) -> None:
    image = Image.fromarray(moving_image(3, (65, 97)))
    thumbnail = file_of(image.resize((16, 16)), "JPEG")
    data = file_of(image, "JPEG", progressive=progressive, comment=thumbnail)
    whole = unpack_image(data, decoder="pillow")
    assert np.array_equal(unpack_image(data + behind, decoder="opencv"), whole)
    assert np.array_equal(unpack_image(data[:-2], decoder="opencv"), whole)
    with pytest.raises(SampleError, match="cut off"):
        unpack_image(data[: len(data) * 3 // 4], decoder="opencv")
