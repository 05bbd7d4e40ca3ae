"""`icstream export`."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from icstream.model.errors import ConfigError
from icstream.pipeline.cli.console import hand_on, log_to_stderr
from icstream.pipeline.cli.options import Threads, Weights

if TYPE_CHECKING:
    from icstream.model.export.export import Format
    from icstream.stages.evaluate.exported import ExportAgreement


def export(
    out: Annotated[
        Path, typer.Option("-o", "--out", metavar="FILE", help="The graph, .onnx or .xml.")
    ],
    size: Annotated[
        str, typer.Option(metavar="HEIGHTxWIDTH", help="Of the images that it will take.")
    ],
    weights: Weights = None,
    file_format: Annotated[
        Literal["auto", "onnx", "openvino"],
        typer.Option("--format", metavar="NAME", help="onnx or openvino; auto: by FILE's ending."),
    ] = "auto",
    form: Annotated[
        Literal["ids", "logits"],
        typer.Option(metavar="NAME", help="ids: the class of every pixel; logits: at 1/8."),
    ] = "ids",
    precision: Annotated[
        Literal["fp32", "int8"], typer.Option(metavar="NAME", help="fp32 or int8.")
    ] = "fp32",
    batch: Annotated[int, typer.Option(metavar="N", min=1, max=64, help="Images at a time.")] = 1,
    check: Annotated[
        str | None,
        typer.Option(
            metavar="SOURCE", help="Compare on this recording or folder, not on rendered streets."
        ),
    ] = None,
    threads: Threads = 2,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the files.")] = False,
    json_file: Annotated[
        Path | None,
        typer.Option("--json", metavar="FILE", help="Write the figures here too; - for stdout."),
    ] = None,
) -> int:
    """Write the network as ONNX or OpenVINO, for images of one size, and check it on some."""
    log_to_stderr(quiet=False)
    chosen = _format(file_format, out)
    height, width = _size(size)
    facts_file = out.with_name(f"{out.name}.json")
    _check_output([out, facts_file], overwrite=overwrite)
    from icstream.model import load_weights
    from icstream.model.export.export import export_model, open_exported
    from icstream.model.pretrained import DEFAULT
    from icstream.stages.evaluate.exported import (
        MIN_SHARE,
        check_export,
        recorded_images,
        rendered_images,
    )

    checkpoint = load_weights(weights or DEFAULT)
    out.parent.mkdir(parents=True, exist_ok=True)
    facts = export_model(
        checkpoint,
        out,
        size=(height, width),
        format=chosen,
        form=form,
        precision=precision,
        batch=batch,
    )
    shown = rendered_images((height, width))
    if check is not None:
        shown = recorded_images(check, (height, width))
    agreement = check_export(
        checkpoint,
        open_exported(out, precision=precision, threads=threads),
        shown,
        batch=batch,
        frames="rendered streets" if check is None else Path(check).name,
    )
    values = {**facts, "agreement": agreement.values()}
    hand_on(values, facts_file)
    for line in _lines(facts, agreement, out):
        print(line, file=sys.stderr)
    hand_on(values, json_file)
    if precision == "fp32" and agreement.share < MIN_SHARE:
        print(
            f"icstream: {out}: fewer than {100 * MIN_SHARE:.2f} % of pixels agree; do not use it",
            file=sys.stderr,
        )
        return 1
    return 0


def _lines(facts: dict[str, Any], agreement: "ExportAgreement", out: Path) -> list[str]:
    shapes = [
        f"{facts[end]['type']} {'x'.join(map(str, facts[end]['shape']))}"
        for end in ("input", "output")
    ]
    return [
        f"{facts['format']}, {facts['precision']}: {shapes[0]} in, {shapes[1]} out",
        agreement.line(),
        f"graph in {out}, what belongs to it in {out.name}.json",
    ]


def _format(name: str, out: Path) -> "Format":
    formats: dict[str, Format] = {".onnx": "onnx", ".xml": "openvino"}
    by_ending = formats.get(out.suffix)
    if by_ending is None or name not in ("auto", by_ending):
        raise ConfigError(
            f"output {out}: a name that ends in .onnx (format onnx) or .xml (format openvino)"
            " is needed"
        )
    return by_ending


def _size(text: str) -> tuple[int, int]:
    from icstream.pipeline.settings.run import parse_size

    try:
        size = parse_size(text)
    except ValueError as error:
        raise ConfigError(f"--size {text}: {error}") from error
    assert isinstance(size, tuple)
    return size


def _check_output(files: list[Path], *, overwrite: bool) -> None:
    for file in files:
        if file.is_dir():
            raise ConfigError(f"output {file}: is a folder, a file is needed")
        if file.exists() and not overwrite:
            raise ConfigError(
                f"output {file}: is there already; choose another file, or --overwrite"
            )
