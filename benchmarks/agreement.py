"""Measure the agreement of bf16 with fp32 on rendered streets that were not used for training.

    python benchmarks/agreement.py model/weights/streets.safetensors --write

With --write it is stored in the header of the checkpoint, where `--precision auto` reads it. For
labeled images of your own:

    icstream evaluate DATA --weights FILE --write-agreement bf16
"""

import argparse
from dataclasses import dataclass
from pathlib import Path

from icstream.model import CAMVID, Checkpoint
from icstream.model.runtimes import cpu_does_bf16
from icstream.stages.data import LabeledData, LabeledImage
from icstream.stages.evaluate import measure_agreement
from icstream.stages.streets import Street

FIRST_SEED = 40_000
NUM_STREETS = 40


@dataclass(frozen=True, slots=True)
class StreetSample:
    """A sample of one moment in one street."""

    seed: int

    @property
    def name(self) -> str:
        """The street."""
        return f"street {self.seed}"

    def load(self) -> LabeledImage:
        """Render the street and its labels."""
        return LabeledImage(*Street(self.seed).render(float(self.seed % 50)))


def main() -> None:
    """Parse the command line, measure and print."""
    parser = argparse.ArgumentParser(description="Measure the agreement of bf16 with fp32.")
    parser.add_argument("file", type=Path, help="checkpoint")
    parser.add_argument("--write", action="store_true", help="store it in the checkpoint")
    options = parser.parse_args()
    if not cpu_does_bf16():
        parser.error("this CPU has no bf16 instructions, so there is nothing to measure")
    checkpoint = Checkpoint.load(options.file)
    samples = tuple(StreetSample(FIRST_SEED + i) for i in range(NUM_STREETS))
    data = LabeledData("rendered streets", "streets", CAMVID, {"val": samples})
    agreement = measure_agreement(
        checkpoint, data, precision="bf16", runtime="openvino", device="cpu"
    )
    print(agreement.line())
    if options.write:
        agreement.kept_in(checkpoint).save(options.file)


if __name__ == "__main__":
    main()
