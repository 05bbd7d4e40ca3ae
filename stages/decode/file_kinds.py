"""Detection of recordings and images, by suffix or else by first bytes."""

import re
from pathlib import Path
from typing import Literal, TypeAlias

from icstream.stages.image_files import IMAGE_SUFFIXES

FileKind: TypeAlias = Literal["video", "images"]

VIDEO_SUFFIXES = frozenset(
    f".{suffix}"
    for suffix in (
        *("264", "265", "3g2", "3gp", "3gpp", "amv", "asf", "av1", "avi", "divx", "dv"),
        *("dvr-ms", "f4v", "flv", "gif", "gxf", "h261", "h263", "h264", "h265", "h266"),
        *("hevc", "insv", "ismv", "ivf", "k3g", "m1v", "m2p", "m2t", "m2ts", "m2v", "m4v"),
        *("mj2", "mjpeg", "mjpg", "mk3d", "mkv", "mov", "mp4", "mpe", "mpeg", "mpg"),
        *("mpv", "mqv", "mts", "mxf", "nut", "obu", "ogm", "ogv", "qt", "rmvb"),
        *("ts", "vc1", "vob", "vvc", "webm", "wmv", "wtv", "y4m"),
        *("dpx", "exr", "jxl", "psd", "qoi", "sgi", "tga"),  # stills that only FFmpeg reads
    )
)
STILL_SUFFIXES = IMAGE_SUFFIXES | {
    *(".apng", ".dib", ".jfif", ".jpe"),
    *(".j2k", ".jp2", ".jpf", ".jpx", ".pbm", ".pgm", ".pnm", ".ppm"),
}
"""The suffixes of images in streams; data sets have fewer. AVIF and HEIC files are classified by
their content."""
PREVIEW_SUFFIXES = frozenset({".glv", ".lrv", ".thm"})
"""The suffixes of previews that action cameras write beside each recording."""
PLAYLIST_SUFFIXES = frozenset({".ffconcat", ".m3u", ".m3u8", ".mpd", ".pls", ".sdp"})
"""The suffixes of files that refer to other files."""
_SOUND_SUFFIXES = frozenset(
    f".{suffix}"
    for suffix in (
        *("aa", "aax", "aac", "ac3", "aif", "aiff", "amr", "flac", "m4a", "m4b", "m4r", "mka"),
        *("mp3", "oga", "opus", "ra", "spx", "wav", "weba", "wma"),
    )
)
_HEAD_BYTES = 65536
# The first bytes of files.
_IMAGE_HEAD = re.compile(
    rb"|".join(
        (
            rb"\x89PNG\r\n\x1a\n",
            rb"\xff\xd8\xff",
            rb"RIFF....WEBP",
            rb"BM....\0\0\0\0....[\x0c\x28\x34\x38\x40\x6c\x7c]\0\0\0",
            rb"....ftyp(?:avif|(?:mif1|miaf).{0,60}avif)",
            # Tiles (ISO/IEC 23008-12, 6.6.2.3): FFmpeg reads the first tile as the image.
            rb"....ftyp.*infe[\x02\x03]...(?:..|....)..grid",
        )
    ),
    re.DOTALL,
)
_VIDEO_HEAD = re.compile(
    rb"|".join(
        (
            rb"GIF8[79]a",
            # ISO/IEC 14496-12: everything but audio, raw photographs and JPEG 2000
            rb"....ftyp(?!M4[ABP] |F4[AB] |aax |crx |jp[2xm] )",
            rb"....(?:moov|mdat|wide)",
            rb"\x1aE\xdf\xa3",
            rb"RIFF....AVI ",
            rb"FLV\x01",
            rb"OggS.*(?:\x80theora|OVP80|BBCD|\x01video)",
            rb"\x30\x26\xb2\x75\x8e\x66\xcf\x11",
            rb"\x06\x0e\x2b\x34\x02\x05\x01\x01",
            rb"DKIF\0\0",
            rb"YUV4MPEG2 ",
            rb"DHAV|\.RMF",
            rb"\x00\x00\x01[\xba\xb3]",
            rb"(?:G.{187}){4}",
            rb"....G.{191}G.{191}G",
        )
    ),
    re.DOTALL,
)


def kind_of(path: Path) -> FileKind | None:
    """Return the kind of a file; None if it is neither a recording nor an image, or cannot be read.

    FFmpeg is not used, as it would parse an untrusted file in this process.
    """
    suffix = path.suffix.lower()
    if suffix in STILL_SUFFIXES:
        return "images"
    if suffix in VIDEO_SUFFIXES:
        return "video"
    if suffix in _SOUND_SUFFIXES:
        return None
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
    except OSError:
        return None
    if _IMAGE_HEAD.match(head):
        return "images"
    return "video" if _VIDEO_HEAD.match(head) else None
