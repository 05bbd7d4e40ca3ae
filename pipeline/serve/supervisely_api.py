"""The REST interface of the Supervisely plugin: POST /model/inference, POST /model/get_out_meta."""

import json
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from fastapi import APIRouter, Request, Response

from icstream.pipeline.serve.error_responses import PROBLEMS
from icstream.pipeline.serve.errors import RefusedError
from icstream.pipeline.serve.images import image_size
from icstream.pipeline.serve.metrics import Times
from icstream.pipeline.serve.models import Model, Networks
from icstream.pipeline.serve.request_body import FORM, read_form
from icstream.pipeline.serve.service import Service
from icstream.stages.annotate import AnnotationPlan, Mode, annotate, crops, make_plan, parse_mode
from icstream.stages.annotate.modes import FullImage, Roi, SlidingWindow
from icstream.stages.annotate.network import label_classes
from icstream.stages.image_files import unpack_image
from icstream.stages.supervisely.objects import image_annotation

_SUFFIX = "_model"
"""The suffix that the plugin's service added to class names by default."""
_NO_META: dict[str, Any] = {"classes": [], "tags": []}
_JSON_PART = {"type": "string", "description": "JSON"}


def plugin_router(service: Service) -> APIRouter:
    """Return the routes; the default model answers."""
    router = APIRouter(prefix="/model", tags=["plugin"])

    @router.post(
        "/inference",
        summary="Annotate an image",
        response_class=Response,
        responses={200: {"content": {"application/json": {}}}, **PROBLEMS},
        openapi_extra=_form("image", required=["image"]),
    )
    async def inference(request: Request) -> Response:
        """Return the image's annotation in Supervisely's format, with the model's objects.

        `annotation`, `meta` and `mode` hold JSON; each may be a field of the form or a file.
        Without `mode` the whole image is segmented and classes get the suffix `_model`. Objects
        of `annotation` are kept; `meta` defines their classes.
        """
        model = service.model(None)
        with service.admitted():
            form = await read_form(request, service.config.limits)
            if "image" not in form:
                raise RefusedError("bad_request", "the form has no part named image")
            image = form["image"]
            plan = _plan(form, model)
            size = image_size(image, max_pixels=service.config.limits.pixels)
            annotation = _values(form, "annotation") or _empty_annotation(size)
            crop = _crop_size(plan.mode, size)
            body, times = await service.run(
                _annotation_work(plan, image, annotation, model),
                model=model,
                is_quick=lambda networks: (
                    crop is None or networks.is_ready(model.name, crop, use="scores")
                ),
            )
        headers = {"Server-Timing": times.header()}
        return Response(body, media_type="application/json", headers=headers)

    @router.post(
        "/get_out_meta",
        summary="Classes that an inference gives",
        responses=PROBLEMS,
        openapi_extra=_form(),
    )
    async def get_out_meta(request: Request) -> dict[str, Any]:
        """Return the meta of the project that an inference with this `meta` and `mode` makes."""
        with service.admitted():
            form = await read_form(request, service.config.limits)
        return _plan(form, service.model(None)).meta

    return router


def _annotation_work(
    plan: AnnotationPlan, image: bytes, annotation: dict[str, Any], model: Model
) -> Callable[[Networks, Times], bytes]:
    """Return what a thread of the engine does: from the bytes of an image to JSON."""

    def work(networks: Networks, times: Times) -> bytes:
        with times.stage("unpack"):
            image_HW3 = unpack_image(image, decoder="opencv")
        with times.stage("network"):
            done = annotate(
                plan,
                image_HW3,
                annotation,
                lambda cut: networks.probabilities(
                    model.name, cut, sizes_vary=plan.mode.name == "bboxes"
                ),
            )
        with times.stage("encode"):
            return json.dumps(done, ensure_ascii=False).encode()

    return work


def _form(*files: str, required: list[str] | None = None) -> dict[str, Any]:
    names = ["meta", "mode", *(["annotation"] if files else [])]
    binary = {"type": "string", "format": "binary"}
    properties = {name: binary for name in files} | {name: _JSON_PART for name in names}
    schema = {"type": "object", "properties": properties, "required": required or []}
    return {"requestBody": {"content": {FORM: {"schema": schema}}}}


def _plan(form: Mapping[str, bytes], model: Model) -> AnnotationPlan:
    mode = _values(form, "mode") or {"name": "full_image"}
    meta = _NO_META | (_values(form, "meta") or {})
    return make_plan(parse_mode(mode, suffix=_SUFFIX), meta, label_classes(model.labels))


def _values(form: Mapping[str, bytes], name: str) -> dict[str, Any] | None:
    """Return the JSON object in a part; None if the part is missing or empty."""
    data = form.get(name, b"").strip()
    if not data:
        return None
    try:
        values: dict[str, Any] = msgspec.json.decode(data, type=dict[str, Any])
    except (msgspec.DecodeError, RecursionError) as error:
        raise RefusedError("bad_request", f"{name}: not a JSON object ({error})") from error
    return values


def _crop_size(mode: Mode, size: tuple[int, int]) -> tuple[int, int] | None:
    """Return the (height, width) that all crops of an image have; None if they differ."""
    if isinstance(mode, FullImage):
        return size
    if isinstance(mode, Roi):
        return crops.region(size, mode.bounds).size
    if isinstance(mode, SlidingWindow):
        return mode.window.height, mode.window.width
    return None


def _empty_annotation(size: tuple[int, int]) -> dict[str, Any]:
    return {**image_annotation(size, []), "customBigData": {}}
