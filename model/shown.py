"""Safe display of untrusted text: file names, addresses, library errors.

Everything of this kind that a run prints, logs or reports passes through `printable`.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

HIDDEN = "..."
"""The replacement for a value that may be a secret."""

_INVISIBLE = re.compile(
    "[\x00-\x08\x0a-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)
"""Control characters, marks of text direction, and bytes that are not UTF-8."""
_UNDECODED = re.compile("[\ud800-\udfff]")
# Repetitions are limited, so that no text takes long to match.
_URL_LOGIN = re.compile(
    r"(?<![a-z0-9+.-])([a-z][a-z0-9+.-]{0,30}:/+)[^\s\"'<>]{0,1000}@", re.IGNORECASE
)
_SECRET_NAME = (
    r"[\w.-]{0,40}(?:pass|pwd|secret|token|auth|cred|cookie|signature|login)[\w.-]{0,40}"
    r"|(?:[\w.-]{0,40}[_.-])?(?:api|access|private|shared)?(?:key|pw|pin|psk|sig|user|sid)"
)
_SECRET = re.compile(_SECRET_NAME, re.IGNORECASE)
_ASSIGNED_SECRET = re.compile(rf"(?<![\w.-])({_SECRET_NAME})=[^\s&,;\"']+", re.IGNORECASE)
_FIRST_UNDECODED, _LAST_UNDECODED = 0xDC80, 0xDCFF
"""The code points by which Python represents undecodable bytes (PEP 383)."""


def escape(text: str) -> str:
    r"""Return the text with everything escaped that is not a visible character.

    A byte that is not UTF-8 becomes `\xe9`, a line end `\n`: no file name can forge a log line,
    color a terminal, or fail to be written as UTF-8.
    """
    return _INVISIBLE.sub(_escaped, text)


def escape_undecoded(text: str) -> str:
    r"""Return the text with bytes escaped that are not UTF-8 (`\xe9`), otherwise unchanged."""
    return _UNDECODED.sub(_escaped, text)


def printable(text: str) -> str:
    """Return the text escaped, with anything that looks like a login or secret hidden."""
    return _ASSIGNED_SECRET.sub(rf"\1={HIDDEN}", _URL_LOGIN.sub(r"\1", escape(text)))


def hide_secrets(value: Any, *, name: str = "") -> Any:
    """Return plain values with secrets hidden, for reports.

    Args:
        value: Text, a number, or lists and mappings of them.
        name: The name of the value, which is hidden if the name suggests a secret.
    """
    if isinstance(value, Mapping):
        return {key: hide_secrets(item, name=str(key)) for key, item in value.items()}
    if name and _SECRET.fullmatch(name) and value is not None and not isinstance(value, bool):
        return HIDDEN
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, Sequence):
        return [hide_secrets(item) for item in value]
    return value


def _escaped(match: re.Match[str]) -> str:
    code = ord(match[0])
    if _FIRST_UNDECODED <= code <= _LAST_UNDECODED:
        return f"\\x{code & 0xFF:02x}"
    return match[0].encode("unicode_escape", "surrogatepass").decode("ascii")
