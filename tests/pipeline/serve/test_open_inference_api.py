"""The Open Inference Protocol, spoken by the unmodified client of Triton."""

import gzip
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import tritonclient.http as triton
from numpy.typing import NDArray
from PIL import Image
from tritonclient.utils import InferenceServerException

from icstream.stages.decode.rgb import RgbConverter
from support.clips import make_clip
from support.images import encode, make_image
from support.runs import read_ids, run_pipeline
from support.servers import Server

pytestmark = pytest.mark.slow


@pytest.fixture
def client(server: Server) -> Iterator[triton.InferenceServerClient]:
    with triton.InferenceServerClient(server.address) as client:
        yield client


@pytest.fixture(scope="module")
def images() -> NDArray[np.uint8]:
    rng = np.random.default_rng(3)
    return np.stack([make_image(rng, 48, 64) for _ in range(3)])


@pytest.fixture(scope="module")
def expected(images: NDArray[np.uint8], server: Server) -> NDArray[np.uint8]:
    """Return the masks that the other interface has for the same images."""
    replies = [server.ask("/segment", encode(one, "PNG")).data for one in images]
    return np.stack([np.array(Image.open(io.BytesIO(data))) for data in replies])


def infer(
    client: triton.InferenceServerClient,
    images_NHW3: NDArray[np.uint8],
    *,
    binary: bool = True,
    binary_out: bool = True,
    **options: Any,
) -> Any:
    image = triton.InferInput("image", list(images_NHW3.shape), "UINT8")
    image.set_data_from_numpy(images_NHW3, binary_data=binary)
    output = triton.InferRequestedOutput("class_ids", binary_data=binary_out)
    return client.infer("streets", [image], outputs=[output], **options)


def test_it_reports_that_it_is_live_and_ready(client: triton.InferenceServerClient) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("streets")
    assert client.is_model_ready("streets", "1")
    assert not client.is_model_ready("other")


def test_describes_itself_and_its_models(client: triton.InferenceServerClient) -> None:
    server = client.get_server_metadata()
    assert server["name"] == "icstream"
    assert "binary_tensor_data" in server["extensions"]
    for version in ("", "1"):
        model = client.get_model_metadata("streets", version)
        assert model["versions"] == ["1"]
        assert model["inputs"] == [{"name": "image", "datatype": "UINT8", "shape": [-1, -1, -1, 3]}]
        assert model["outputs"] == [
            {"name": "class_ids", "datatype": "UINT8", "shape": [-1, -1, -1]}
        ]


@pytest.mark.parametrize("binary", [True, False])
@pytest.mark.parametrize("binary_out", [True, False])
def test_gives_the_class_ids_of_every_image(
    binary: bool,
    binary_out: bool,
    client: triton.InferenceServerClient,
    images: NDArray[np.uint8],
    expected: NDArray[np.uint8],
) -> None:
    result = infer(client, images, binary=binary, binary_out=binary_out, request_id="7")
    np.testing.assert_array_equal(result.as_numpy("class_ids"), expected)
    response = result.get_response()
    assert (response["id"], response["model_name"]) == ("7", "streets")


@pytest.mark.parametrize("algorithm", ["gzip", "deflate"])
def test_takes_compressed_requests(
    algorithm: str,
    client: triton.InferenceServerClient,
    images: NDArray[np.uint8],
    expected: NDArray[np.uint8],
) -> None:
    result = infer(client, images, request_compression_algorithm=algorithm)
    np.testing.assert_array_equal(result.as_numpy("class_ids"), expected)


def test_without_outputs_or_version_it_gives_what_there_is(
    client: triton.InferenceServerClient, images: NDArray[np.uint8], expected: NDArray[np.uint8]
) -> None:
    image = triton.InferInput("image", list(images.shape), "UINT8")
    image.set_data_from_numpy(images)
    result = client.infer("streets", [image], model_version="1")
    np.testing.assert_array_equal(result.as_numpy("class_ids"), expected)


def test_the_ids_of_a_frame_are_those_of_a_run(
    client: triton.InferenceServerClient, tmp_path: Path
) -> None:
    clip = make_clip(tmp_path / "clip.mp4", pts=range(3), size=(48, 64))
    assert run_pipeline(clip, tmp_path / "out", model__threads=1).exit_code == 0
    converter = RgbConverter()
    with av.open(clip) as file:
        frames = np.stack([converter.rgb(frame) for frame in file.decode(video=0)])
    masks = read_ids(tmp_path / "out" / "clip" / "masks.mp4")
    np.testing.assert_array_equal(infer(client, frames).as_numpy("class_ids"), np.stack(masks))


def test_nested_numbers_are_taken_too(
    server: Server, images: NDArray[np.uint8], expected: NDArray[np.uint8]
) -> None:
    tensor = {"name": "image", "datatype": "UINT8", "shape": list(images.shape)}
    body = json.dumps({"inputs": [tensor | {"data": images.tolist()}]}).encode()
    reply = server.ask("/v2/models/streets/infer", body)
    (output,) = reply.json()["outputs"]
    assert output["shape"] == list(expected.shape)
    assert output["data"] == expected.ravel().tolist()


GOOD = {"name": "image", "datatype": "UINT8", "shape": [1, 2, 2, 3], "data": [0] * 12}


@pytest.mark.parametrize(
    ("tensor", "says"),
    [
        (GOOD | {"name": "photo"}, "must be image"),
        (GOOD | {"datatype": "FP32"}, "must be UINT8"),
        (GOOD | {"shape": [2, 2, 3]}, "must be [N, H, W, 3]"),
        (GOOD | {"shape": [1, 2, 2, 4]}, "must be [N, H, W, 3]"),
        (GOOD | {"shape": [1, 2, 0, 3]}, ">= 1"),
        (GOOD | {"shape": [1, 2, 3, 3]}, "12 values for shape"),
        (GOOD | {"data": [256] * 12}, "<= 255"),
        (GOOD | {"data": [0.5] * 12}, "int"),
        (GOOD | {"data": "x"}, "not an array"),
        (GOOD | {"data": [[[[[0]]]]]}, "not an array"),
        (GOOD | {"parameters": {"binary_data_size": 12}}, "binary_data_size is 12"),
    ],
)
def test_refuses_other_tensors_in_the_words_of_the_protocol(
    tensor: dict[str, Any], says: str, server: Server
) -> None:
    reply = server.ask("/v2/models/streets/infer", json.dumps({"inputs": [tensor]}).encode())
    assert reply.status == 400
    assert set(reply.json()) == {"error"}
    assert says in reply.json()["error"]


@pytest.mark.parametrize(
    ("path", "status"),
    [("/v2/models/other/infer", 404), ("/v2/models/streets/versions/2/infer", 404)],
)
def test_models_that_are_not_there_are_named_in_an_error(
    path: str, status: int, server: Server
) -> None:
    reply = server.ask(path, b"{}")
    assert reply.status == status
    assert "error" in reply.json()


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (b"", {}),
        (b"[" * 100_000, {}),
        (b'{"inputs": []}', {}),
        (b"{}", {"Inference-Header-Content-Length": "999"}),
        (b"{}", {"Inference-Header-Content-Length": "-1"}),
        (b"no gzip", {"Content-Encoding": "gzip"}),
        (gzip.compress(b"{}", mtime=0)[:-9], {"Content-Encoding": "gzip"}),
    ],
)
def test_rubbish_is_refused(body: bytes, headers: dict[str, str], server: Server) -> None:
    assert server.ask("/v2/models/streets/infer", body, headers=headers).status == 400


def test_what_unpacks_to_too_much_is_refused(server: Server) -> None:
    body = gzip.compress(bytes(100 * 2**20))
    reply = server.ask("/v2/models/streets/infer", body, headers={"Content-Encoding": "gzip"})
    assert reply.status == 413


def test_the_client_gets_errors_as_its_own(
    client: triton.InferenceServerClient, images: NDArray[np.uint8]
) -> None:
    with pytest.raises(InferenceServerException, match="must be class_ids"):
        client.infer("streets", [_input(images)], outputs=[triton.InferRequestedOutput("scores")])


def _input(images: NDArray[np.uint8]) -> triton.InferInput:
    image = triton.InferInput("image", list(images.shape), "UINT8")
    image.set_data_from_numpy(images)
    return image
