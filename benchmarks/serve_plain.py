"""A minimal service that segments one image after another.

python benchmarks/serve_plain.py WEIGHTS PORT

It is the baseline of serve.py.
"""

import io
import sys
import threading

import uvicorn
from fastapi import FastAPI, Request, Response
from starlette.concurrency import run_in_threadpool

from icstream.model import Segmenter, load_weights
from icstream.stages.image_files import unpack_image
from icstream.stages.sinks.png_masks import write_png


def build_app(weights: str) -> FastAPI:
    """Return an application with one route."""
    segmenter = Segmenter(load_weights(weights))
    one_at_a_time = threading.Lock()
    app = FastAPI()

    def mask(data: bytes) -> bytes:
        file = io.BytesIO()
        with one_at_a_time:
            write_png(segmenter(unpack_image(data, decoder="pillow")), segmenter.labels, file)
        return file.getvalue()

    @app.post("/segment")
    async def segment(request: Request) -> Response:
        body = await request.body()
        return Response(await run_in_threadpool(mask, body), media_type="image/png")

    return app


if __name__ == "__main__":
    uvicorn.run(build_app(sys.argv[1]), host="127.0.0.1", port=int(sys.argv[2]), log_level="error")
