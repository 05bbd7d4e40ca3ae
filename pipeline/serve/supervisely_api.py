"""The REST interface of the Supervisely plugin: POST /model/inference, POST /model/get_out_meta."""

import json
from typing import Any

from fastapi import APIRouter, Request, Response

from icstream.pipeline.serve.allowance import Allowance
from icstream.pipeline.serve.error_responses import PROBLEMS
from icstream.pipeline.serve.errors import RefusedError
from icstream.pipeline.serve.forms import FORM, JSON
from icstream.pipeline.serve.metrics import Times
from icstream.pipeline.serve.models import Model, Networks
from icstream.pipeline.serve.request_body import read_body
from icstream.pipeline.serve.service import Service
from icstream.pipeline.serve.supervisely_request import Inference, read_inference, read_meta
from icstream.stages.annotate import annotate
from icstream.stages.image_files import unpack_image

_JSON_PART = {"type": "string", "description": "JSON"}


def plugin_router(service: Service) -> APIRouter:
    """Return the routes, which use the default model."""
    router = APIRouter(prefix="/model", tags=["plugin"])
    limits = service.config.limits

    @router.post(
        "/inference",
        summary="Annotate an image",
        response_class=Response,
        responses={200: {"content": {JSON: {}}}, **PROBLEMS},
        openapi_extra=_form("image", required=["image"]),
    )
    async def inference(request: Request) -> Response:
        """Return the image's annotation in Supervisely's format, with the model's objects.

        `annotation`, `meta` and `mode` are JSON, each sent as a field of the form or as a file.
        Without
        `mode`, the whole image is segmented and class names get the suffix `_model`. Objects of
        `annotation` are kept; `meta` defines their classes.
        """
        model = service.model(None)
        service.check_room()
        body, kind = await read_body(request, service), request.headers.get("content-type", "")
        with service.admitted():
            asked = await service.parse(lambda: read_inference(body, kind, model, limits=limits))
            content, times = await service.run(
                request,
                lambda networks, times, allowance: _work(asked, model, networks, times, allowance),
                model=model,
                is_quick=lambda networks: (
                    asked.crop is None or networks.is_ready(model.name, asked.crop, use="scores")
                ),
                num_bytes=asked.work_bytes(model),
            )
        service.hold(request, len(content), what="the response")
        headers = {"Server-Timing": times.header()}
        return Response(content, media_type=JSON, headers=headers)

    @router.post(
        "/get_out_meta",
        summary="Classes that an inference returns",
        response_class=Response,
        responses={200: {"content": {JSON: {}}}, **PROBLEMS},
        openapi_extra=_form(),
    )
    async def get_out_meta(request: Request) -> Response:
        """Return the meta of the project that an inference with this `meta` and `mode` creates."""
        service.check_room()
        body, kind = await read_body(request, service), request.headers.get("content-type", "")
        with service.admitted():
            content = await service.parse(
                lambda: read_meta(body, kind, service.model(None), limits=limits)
            )
        return Response(content, media_type=JSON)

    return router


def _work(
    asked: Inference, model: Model, networks: Networks, times: Times, allowance: Allowance
) -> bytes:
    """Return the annotation as JSON; run by a thread of the engine."""
    with times.stage("unpack"):
        image_HW3 = unpack_image(asked.image, decoder="opencv")
    sizes_vary = asked.plan.mode.name == "bboxes"
    with times.stage("network"):
        done = annotate(
            asked.plan,
            image_HW3,
            asked.annotation,
            lambda cut: networks.probabilities(model.name, cut, sizes_vary=sizes_vary),
            check=allowance.check,
        )
    allowance.check()
    with times.stage("encode"):
        try:
            return json.dumps(done, ensure_ascii=False).encode()
        except RecursionError as error:
            raise RefusedError("bad_request", "annotation: nested too deeply") from error
        except UnicodeEncodeError as error:
            raise RefusedError("bad_request", f"annotation: not UTF-8 ({error})") from error


def _form(*files: str, required: list[str] | None = None) -> dict[str, Any]:
    names = ["meta", "mode", *(["annotation"] if files else [])]
    binary = {"type": "string", "format": "binary"}
    properties = {name: binary for name in files} | {name: _JSON_PART for name in names}
    schema = {"type": "object", "properties": properties, "required": required or []}
    return {"requestBody": {"content": {FORM: {"schema": schema}}}}
