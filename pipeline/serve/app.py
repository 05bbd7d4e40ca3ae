"""All interfaces of a service as one ASGI application."""

from collections.abc import Awaitable, Callable
from importlib.metadata import version
from importlib.resources import files

from fastapi import Depends, FastAPI, Request, Response
from fastapi.security import HTTPBearer
from fastapi_offline import FastAPIOffline
from starlette.types import ASGIApp

from icstream.pipeline.http.pages import with_base
from icstream.pipeline.serve.error_responses import add_handlers
from icstream.pipeline.serve.middleware import protect
from icstream.pipeline.serve.open_inference_api import v2_router
from icstream.pipeline.serve.segment_api import segment_router
from icstream.pipeline.serve.service import Service
from icstream.pipeline.serve.supervisely_api import plugin_router

_PAGE = {
    "/": ("index.html", "text/html"),
    "/page.css": ("page.css", "text/css"),
    "/page.js": ("page.js", "text/javascript"),
    "/icon.svg": ("icon.svg", "image/svg+xml"),
}
_PAGE_POLICY = (
    "default-src 'self'; img-src 'self' blob:; media-src blob:; object-src 'none';"
    " base-uri 'self'; form-action 'none'; frame-ancestors 'none'"
)
_METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def build_app(service: Service, *, token: str | None, loopback: bool) -> ASGIApp:
    """Return the application with its middleware.

    Args:
        service: the models and their engine.
        token: the token required from requests, or None for no token.
        loopback: whether only this machine can reach the application.
    """
    app: FastAPI = FastAPIOffline(
        redoc_url=None,
        static_url="/docs-assets",
        title="icstream",
        version=version("icstream"),
        description="Semantic segmentation of images: the class of every pixel.",
        openapi_url="/openapi.json",
    )
    add_handlers(app)
    # The middleware checks the token; this only lets /docs ask for it.
    asks = [] if token is None else [Depends(HTTPBearer(auto_error=False))]
    for router in (segment_router(service), plugin_router(service), v2_router(service)):
        app.include_router(router, dependencies=asks)
    _add_page(app)

    @app.get(
        "/metrics", summary="Metrics for Prometheus", response_class=Response, tags=["service"]
    )
    async def metrics() -> Response:
        """Return counts of requests, times of each stage, and memory."""
        return Response(service.metrics.text(), headers={"Content-Type": _METRICS_TYPE})

    return protect(app, metrics=service.metrics, token=token, loopback=loopback)


def _add_page(app: FastAPI) -> None:
    for path, (name, media_type) in _PAGE.items():
        body = (files("icstream.pipeline.serve") / "page" / name).read_text("utf-8")
        app.add_api_route(path, _file(body, media_type), include_in_schema=False)


def _file(body: str, media_type: str) -> Callable[[Request], Awaitable[Response]]:
    async def file(request: Request) -> Response:
        headers = {"Content-Security-Policy": _PAGE_POLICY, "Cache-Control": "no-cache"}
        content = with_base(body, request.scope) if media_type == "text/html" else body
        return Response(content, media_type=media_type, headers=headers)

    return file
