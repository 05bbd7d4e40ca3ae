"""Names of files and folders that are made from names that others gave."""

import os

from icstream.stages.names import (
    MAX_FRAME_NAME_BYTES,
    fit_name,
    image_name,
    is_named_after,
    page_name,
    safe_name,
    unique_name,
)


def test_names_fit_into_255_bytes_and_stay_apart() -> None:
    taken = {"report.json"}
    names = [unique_name("é" * 140, taken, ignore_case=True) for _ in range(11)]
    assert len(set(names)) == 11
    assert all(len(name.encode()) <= 255 for name in names)
    assert unique_name("Report.json", taken, ignore_case=True) == "Report.json-2"


def test_a_files_name_keeps_its_suffix_and_becomes_utf_8() -> None:
    name = os.fsdecode(b"caf\xe9" + 245 * b"x" + b".mp4")
    assert fit_name(name, max_bytes=250).encode() == b"caf\\xe9" + 239 * b"x" + b".mp4"
    assert fit_name("a." + 300 * "b", max_bytes=20) == "a." + 18 * "b"


def test_what_is_left_of_a_name_is_never_nothing() -> None:
    assert safe_name("..") == safe_name(" /?* "[:1]) == "stream"
    assert safe_name(os.fsdecode(b"caf\xe9")) == "caf_"


def test_frames_are_known_by_the_images_that_they_are_named_after() -> None:
    files = ["a.jpg", os.fsdecode(b"caf\xe9.png"), 250 * "l" + ".jpg", 251 * "m" + ".tif"]
    images, taken = [image_name(file) for file in files], set[str]()
    for name in (*images, *images, *(page_name(image, 12) for image in images)):
        frame = unique_name(name, taken, ignore_case=False, max_bytes=MAX_FRAME_NAME_BYTES)
        assert is_named_after(frame, images)
    for other in ("b", "ab", "a-b", "a-page1", "truth-2", 251 * "k", 200 * "l"):
        assert not is_named_after(other, images)
