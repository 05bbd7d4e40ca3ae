"""Errors as HTTP responses, as in RFC 9457 or as in the Open Inference Protocol."""

import logging
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from icstream.model import IcstreamError
from icstream.pipeline.http.middleware import route_path
from icstream.pipeline.serve.errors import STATUS, RefusedError
from icstream.stages.data import SampleError

log = logging.getLogger(__name__)

PROBLEM = "application/problem+json"
V2 = "/v2"
_SCHEMA = {
    "type": "object",
    "required": ["type", "title", "status", "detail", "kind"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "kind": {"type": "string", "enum": [*STATUS, "http", "internal"]},
    },
}
PROBLEMS: dict[int | str, dict[str, Any]] = {
    "default": {"description": "Refused.", "content": {PROBLEM: {"schema": _SCHEMA}}}
}
"""Error responses of all routes, for OpenAPI."""


def add_handlers(app: FastAPI) -> None:
    """Register handlers that give every error a response in the format of its interface."""

    @app.exception_handler(RefusedError)
    async def _(request: Request, error: RefusedError) -> Response:
        return error_response(
            route_path(request.scope), error.status, error.kind, str(error), error.headers()
        )

    @app.exception_handler(IcstreamError)
    async def _(request: Request, error: IcstreamError) -> Response:
        return error_response(route_path(request.scope), 400, "bad_request", str(error))

    @app.exception_handler(SampleError)
    async def _(request: Request, error: SampleError) -> Response:
        return error_response(route_path(request.scope), 422, "unreadable", str(error))

    @app.exception_handler(RequestValidationError)
    async def _(request: Request, error: RequestValidationError) -> Response:
        clauses = [f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()]
        return error_response(route_path(request.scope), 400, "bad_request", "; ".join(clauses))

    @app.exception_handler(HTTPException)
    async def _(request: Request, error: HTTPException) -> Response:
        headers = dict(error.headers or {})
        return error_response(
            route_path(request.scope), error.status_code, "http", error.detail, headers
        )

    @app.exception_handler(ClientDisconnect)
    async def _(request: Request, error: ClientDisconnect) -> Response:
        return Response(status_code=400)  # nobody reads it

    @app.exception_handler(Exception)
    async def _(request: Request, error: Exception) -> Response:
        return error_response(
            route_path(request.scope),
            500,
            "internal",
            "internal error; the service's log has details",
        )


def error_response(
    path: str, status: int, kind: str, detail: str, headers: dict[str, str] | None = None
) -> Response:
    """Return an error response in the format of the interface at a path."""
    if path == V2 or path.startswith(V2 + "/"):
        return JSONResponse({"error": detail}, status, headers)
    values = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "kind": kind,
    }
    return JSONResponse(values, status, headers, media_type=PROBLEM)
