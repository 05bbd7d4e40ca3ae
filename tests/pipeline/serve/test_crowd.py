"""Many clients at once: nothing breaks, nobody is forgotten, every mask is right."""

import numpy as np
import pytest
from PIL import Image

from support.crowds import SentImage, ask_at_once
from support.images import FORMATS, encode, make_image
from support.runs import run_pipeline
from support.servers import serve_streets

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> list[SentImage]:
    """Return images of random sizes and kinds with the masks that a run makes of them."""
    folder, out = tmp_path_factory.mktemp("crowd"), tmp_path_factory.mktemp("run")
    rng = np.random.default_rng(11)
    for number in range(40):
        height, width = rng.integers(1, 66, 2)
        kind = FORMATS[number % len(FORMATS)]
        path = folder / f"{number:02}.{kind.lower()}"
        path.write_bytes(encode(make_image(rng, int(height), int(width)), kind))
    assert run_pipeline(folder, out, sinks=["png"], model__threads=1).exit_code == 0
    return [
        SentImage(
            path.read_bytes(),
            np.array(Image.open(out / folder.name / "masks" / f"{path.stem}.png")),
        )
        for path in sorted(folder.iterdir())
    ]


def test_serves_32_clients_of_whom_some_send_rubbish(images: list[SentImage]) -> None:
    with serve_streets("--set", "limits.requests=16") as service:
        service.wait_ready()
        outcome = ask_at_once(service, images, num_requests=300)
        assert service.stop() == 143
    assert outcome.lost == []
    assert set(outcome.statuses["good"]) == {200}
    assert outcome.different == 0
    assert set(outcome.statuses["broken"]) <= {400, 413, 415, 422}
    assert sum(outcome.statuses["broken"].values()) > 10
    assert "Traceback" not in "\n".join(service.log)
