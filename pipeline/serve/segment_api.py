"""The interface POST /segment, which returns the mask of an image."""

from typing import Any

from fastapi import APIRouter, Request, Response

from icstream.pipeline.serve.allowance import Allowance
from icstream.pipeline.serve.content_negotiation import choose_type
from icstream.pipeline.serve.error_responses import PROBLEMS
from icstream.pipeline.serve.errors import RefusedError
from icstream.pipeline.serve.forms import FORM, parse_form
from icstream.pipeline.serve.images import MEDIA_TYPES, image_size, unpack
from icstream.pipeline.serve.metrics import Times
from icstream.pipeline.serve.models import Model, Networks
from icstream.pipeline.serve.request_body import media_type, read_body
from icstream.pipeline.serve.responses import (
    FORMS,
    JPEG,
    JSON,
    PNG,
    SUPERVISELY,
    Reply,
    check_form,
    mask_reply,
)
from icstream.pipeline.serve.service import Service

_RAW = ("application/octet-stream", *MEDIA_TYPES)
_BINARY: dict[str, Any] = {"schema": {"type": "string", "format": "binary"}}
_REQUEST: dict[str, Any] = {
    "required": True,
    "content": {
        **{kind: _BINARY for kind in _RAW},
        FORM: {
            "schema": {
                "type": "object",
                "required": ["image"],
                "properties": {"image": {"type": "string", "format": "binary"}},
            }
        },
    },
}
_OBJECT: dict[str, Any] = {"schema": {"type": "object"}}
_ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The mask, in the format requested by Accept.",
        "content": {PNG: _BINARY, JPEG: _BINARY, JSON: _OBJECT, SUPERVISELY: _OBJECT},
    },
    **PROBLEMS,
}


def segment_router(service: Service) -> APIRouter:
    """Return the routes."""
    router = APIRouter(tags=["images"])

    @router.post(
        "/segment",
        summary="Segment an image",
        responses=_ANSWERS,
        response_class=Response,
        openapi_extra={"requestBody": _REQUEST},
    )
    async def segment(request: Request, model: str | None = None) -> Response:
        """Segment an image, sent as the body or as the part `image` of a form.

        `Accept` selects the response: `image/png` has class ids as palette indices, `image/jpeg`
        shows
        the classes' colors over the image, `application/json` has COCO run lengths, and
        `application/vnd.icstream.supervisely+json` is an annotation in Supervisely's format.
        """
        chosen = service.model(model)
        kind = choose_type(request.headers.get("accept"), tuple(FORMS))
        service.check_room()
        data = await _image(request, service)
        with service.admitted():
            max_pixels = service.config.limits.pixels
            size = await service.parse(lambda: image_size(data, max_pixels=max_pixels))
            check_form(kind, size)

            def work(networks: Networks, times: Times, allowance: Allowance) -> Reply:
                with times.stage("unpack"):
                    image_HW3 = unpack(data)
                allowance.check()
                with times.stage("network"):
                    ids_HW = networks.segment(chosen.name, image_HW3)
                allowance.check()
                with times.stage("encode"):
                    return mask_reply(chosen, image_HW3, ids_HW, media_type=kind)

            reply, times = await service.run(
                request,
                work,
                model=chosen,
                is_quick=lambda networks: networks.is_ready(chosen.name, size),
                num_bytes=chosen.work_bytes(size),
            )
        service.hold(request, len(reply.body), what="the response")
        headers = reply.headers | {"Server-Timing": times.header(), "Vary": "Accept"}
        return Response(reply.body, media_type=reply.media_type, headers=headers)

    @router.get("/models", summary="Models and their classes")
    async def models() -> dict[str, Any]:
        """Return all served models, with the name and color of each class id."""
        return {
            "default": service.default,
            "models": {model.name: _describe(model) for model in service.models.values()},
        }

    return router


def _describe(model: Model) -> dict[str, Any]:
    classes = zip(model.labels.names, model.labels.colors, strict=True)
    return {
        "weights": model.digest,
        "runtime": model.choice.runtime,
        "device": model.choice.device,
        "precision": model.choice.precision,
        "classes": [
            {"id": k, "name": name, "colour": "#{:02x}{:02x}{:02x}".format(*color)}
            for k, (name, color) in enumerate(classes)
        ],
    }


async def _image(request: Request, service: Service) -> bytes:
    limits = service.config.limits
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise RefusedError("unsupported", "an image must not have a Content-Encoding")
    body = await read_body(request, service)
    if media_type(request) != FORM:
        return body  # the content decides, whatever type the client declares
    kind, max_bytes = request.headers["content-type"], limits.json_bytes
    form = await service.parse(lambda: parse_form(body, kind, max_text_bytes=max_bytes))
    if "image" not in form:
        raise RefusedError("bad_request", "the form has no part named image")
    return form["image"]
