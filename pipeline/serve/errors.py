"""The reasons for refusing a request, each with its HTTP status."""

from typing import Literal

Kind = Literal[
    "bad_request",
    "token_needed",
    "foreign_host",
    "cross_site",
    "unknown_model",
    "not_acceptable",
    "too_slow",
    "too_large",
    "too_many_pixels",
    "too_much_work",
    "unsupported",
    "unreadable",
    "not_ready",
    "busy",
]

STATUS: dict[Kind, int] = {
    "bad_request": 400,
    "token_needed": 401,
    "foreign_host": 403,
    "cross_site": 403,
    "unknown_model": 404,
    "not_acceptable": 406,
    "too_slow": 408,
    "too_large": 413,
    "too_many_pixels": 413,
    "too_much_work": 413,
    "unsupported": 415,
    "unreadable": 422,
    "not_ready": 503,
    "busy": 503,
}


class RefusedError(Exception):
    """Raised when a request is refused.

    Attributes:
        kind: the reason, for programs.
        status: the HTTP status.
        retry_after_s: the seconds after which the same request may succeed, or None.
    """

    def __init__(self, kind: Kind, detail: str, *, retry_after_s: int | None = None) -> None:
        super().__init__(detail)
        self.kind = kind
        self.status = STATUS[kind]
        self.retry_after_s = retry_after_s

    def headers(self) -> dict[str, str]:
        """Return the headers of the response."""
        headers = {}
        if self.retry_after_s is not None:
            headers["Retry-After"] = str(self.retry_after_s)
        if self.kind == "token_needed":
            headers["WWW-Authenticate"] = "Bearer"
        return headers
