"""The Open Inference Protocol, version 2, over HTTP, for clients of Triton and KServe."""

from importlib.metadata import version as package_version
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from icstream.pipeline.serve.allowance import Allowance
from icstream.pipeline.serve.error_responses import V2
from icstream.pipeline.serve.errors import RefusedError
from icstream.pipeline.serve.metrics import Times
from icstream.pipeline.serve.models import Model, Networks
from icstream.pipeline.serve.open_inference_tensors import (
    DATATYPE,
    HEADER_LENGTH,
    INPUT,
    OUTPUT,
    read_request,
    response_bytes,
    write_response,
)
from icstream.pipeline.serve.request_body import read_body
from icstream.pipeline.serve.service import Service

_VERSION = "1"
"""Version of every model, as a name always means one checkpoint."""
_ERROR: dict[int | str, dict[str, Any]] = {
    "default": {
        "description": "Refused.",
        "content": {
            "application/json": {
                "schema": {"type": "object", "properties": {"error": {"type": "string"}}}
            }
        },
    }
}


def v2_router(service: Service) -> APIRouter:
    """Return the routes of the protocol."""
    router = APIRouter(prefix=V2, tags=["Open Inference Protocol v2"], responses=_ERROR)

    @router.get("", summary="Server")
    async def server() -> dict[str, Any]:
        """Return name, version and extensions of the server."""
        return {
            "name": "icstream",
            "version": package_version("icstream"),
            "extensions": ["binary_tensor_data"],
        }

    @router.get("/health/live", summary="Live")
    async def live() -> dict[str, bool]:
        """Return status 200 while the process responds."""
        return {"live": True}

    @router.get("/health/ready", summary="Ready")
    async def ready() -> Response:
        """Return status 200 while all models are ready."""
        return JSONResponse({"ready": service.ready}, 200 if service.ready else 503)

    @router.get("/models/{name}", summary="Model")
    @router.get("/models/{name}/versions/{version}", summary="Model")
    async def metadata(name: str, version: str = _VERSION) -> dict[str, Any]:
        """Return inputs and outputs of a model."""
        model = _model(service, name, version)
        return {
            "name": model.name,
            "versions": [_VERSION],
            "platform": f"icstream_{model.choice.runtime}",
            "inputs": [{"name": INPUT, "datatype": DATATYPE, "shape": [-1, -1, -1, 3]}],
            "outputs": [{"name": OUTPUT, "datatype": DATATYPE, "shape": [-1, -1, -1]}],
        }

    @router.get("/models/{name}/ready", summary="Model ready")
    @router.get("/models/{name}/versions/{version}/ready", summary="Model ready")
    async def model_ready(name: str, version: str = _VERSION) -> Response:
        """Return status 200 while the model is ready."""
        values = {"name": _model(service, name, version).name, "ready": service.ready}
        return JSONResponse(values, 200 if service.ready else 503)

    @router.post("/models/{name}/infer", summary="Segment images")
    @router.post("/models/{name}/versions/{version}/infer", summary="Segment images")
    async def infer(request: Request, name: str, version: str = _VERSION) -> Response:
        """Return `class_ids`, UINT8 [N, H, W], of `image`, UINT8 [N, H, W, 3] in RGB order."""
        return await _infer(service, request, _model(service, name, version))

    return router


async def _infer(service: Service, request: Request, model: Model) -> Response:
    service.check_room()
    body = await read_body(request, service)
    with service.admitted():
        head, encoding = (request.headers.get(k) for k in (HEADER_LENGTH, "Content-Encoding"))
        inference, images_NHW3 = await service.parse(
            lambda: read_request(body, head, encoding, limits=service.config.limits)
        )
        number, height, width, _ = images_NHW3.shape
        service.hold(request, images_NHW3.nbytes, what="the request's images")

        def work(
            networks: Networks, times: Times, allowance: Allowance
        ) -> tuple[bytes, dict[str, str]]:
            ids = []
            for image_HW3 in images_NHW3:
                allowance.check()
                with times.stage("network"):
                    ids.append(networks.segment(model.name, image_HW3))
            with times.stage("encode"):
                return write_response(inference, ids, model=model.name, version=_VERSION)

        (content, headers), times = await service.run(
            request,
            work,
            model=model,
            is_quick=lambda networks: networks.is_ready(model.name, (height, width)),
            num_bytes=model.work_bytes((height, width))
            + response_bytes(inference, number * height * width),
            num_images=number,
        )
    service.hold(request, len(content), what="the response")
    return Response(content, headers=headers | {"Server-Timing": times.header()})


def _model(service: Service, name: str, version: str) -> Model:
    model = service.model(name)
    if version != _VERSION:
        raise RefusedError("unknown_model", f"model {name!r} has only version {_VERSION}")
    return model
