"""Parsing of forms: multipart, URL-encoded, and JSON objects.

If a body contradicts its content type, the body decides: curl and wget declare everything a form.
"""

from urllib.parse import parse_qsl

import msgspec
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import Field, File, FormParser, parse_options_header

from icstream.pipeline.serve.bounded_json import check_size
from icstream.pipeline.serve.errors import RefusedError

FORM = "multipart/form-data"
URL_FORM = "application/x-www-form-urlencoded"
JSON = "application/json"
_MAX_PARTS = 16
_MAX_ESCAPES = 1_000_000
_IMAGE_STARTS = (b"\xff\xd8\xff", b"\x89PNG\r\n", b"II*\0", b"MM\0*")
_IMAGE = "image"


class _Members(msgspec.Struct):
    """The members of a JSON object that are used by any route."""

    annotation: msgspec.Raw = msgspec.Raw()
    meta: msgspec.Raw = msgspec.Raw()
    mode: msgspec.Raw = msgspec.Raw()


def parse_form(body: bytes, content_type: str, *, max_text_bytes: int) -> dict[str, bytes]:
    """Return the content of each field by name, whether it was sent as field or as file.

    Strings of a JSON object are returned as text, other values as JSON. A single image is the field
    `image`.

    Args:
        body: the whole body.
        content_type: the header, or empty if there is none.
        max_text_bytes: the most bytes of JSON or of a URL-encoded form.

    Raises:
        RefusedError: it is not a form, or is too large.
    """
    kind = content_type.partition(";")[0].strip().lower()
    boundary = _boundary(content_type) if kind == FORM else None
    if boundary is not None and not is_image(body):
        return _parts(body, boundary)
    if is_image(body):
        return {_IMAGE: body}
    if kind not in (FORM, URL_FORM, JSON, ""):
        raise RefusedError("unsupported", f"content type {kind}: must be {FORM}")
    if kind == FORM:
        raise RefusedError("bad_request", "form: the content type has no boundary")
    check_size(body, max_text_bytes, what="form")
    return _members(body) if kind == JSON else _pairs(body)


def is_image(body: bytes) -> bool:
    """Return whether a body begins like a file of a known image format."""
    riff = body[:4] == b"RIFF" and body[8:12] == b"WEBP"
    bitmap = body[:2] == b"BM" and body[6:10] == bytes(4)  # two reserved fields, always zero
    return body.startswith(_IMAGE_STARTS) or riff or bitmap


def _boundary(content_type: str) -> bytes | None:
    # Starlette decodes header values as Latin-1.
    _, options = parse_options_header(content_type.encode("latin-1"))
    return options.get(b"boundary") or None


def _parts(body: bytes, boundary: bytes) -> dict[str, bytes]:
    parts: dict[str, bytes] = {}
    count = 0

    def add(name: bytes | None, content: bytes) -> None:
        nonlocal count
        count += 1
        if count > _MAX_PARTS:
            raise RefusedError("bad_request", f"form: more than {_MAX_PARTS} parts")
        parts[(name or b"").decode(errors="replace")] = content

    def add_file(file: File) -> None:
        file.file_object.seek(0)
        add(file.field_name, file.file_object.read())

    def add_field(field: Field) -> None:
        add(field.field_name, field.value or b"")

    try:
        # The body is in memory already, so no part needs a file.
        config = {"MAX_MEMORY_FILE_SIZE": len(body) + 1}
        parser = FormParser(FORM, add_field, add_file, boundary=boundary, config=config)
        parser.write(body)
        parser.finalize()
    except FormParserError as error:
        raise RefusedError("bad_request", f"form: {error}") from error
    return parts


def _pairs(body: bytes) -> dict[str, bytes]:
    if body.count(b"%") > _MAX_ESCAPES:
        raise RefusedError("too_large", f"form: more than the allowed {_MAX_ESCAPES} escapes")
    try:
        # In Latin-1 every byte is a character; for bytes, the function accepts only ASCII.
        pairs = parse_qsl(
            body.decode("latin-1"),
            keep_blank_values=True,
            max_num_fields=_MAX_PARTS,
            encoding="latin-1",
        )
    except ValueError as error:
        raise RefusedError("bad_request", f"form: {error}") from error
    return {name: value.encode("latin-1") for name, value in pairs}


def _members(body: bytes) -> dict[str, bytes]:
    try:
        members = msgspec.json.decode(body, type=_Members)
        return {name: _text(getattr(members, name)) for name in members.__struct_fields__}
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RefusedError("bad_request", f"body: not a JSON object ({error})") from error


def _text(raw: msgspec.Raw) -> bytes:
    value = bytes(raw)
    return msgspec.json.decode(value, type=str).encode() if value.startswith(b'"') else value
