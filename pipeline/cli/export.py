"""The command `icstream export`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from icstream.model.errors import ConfigError
from icstream.model.settings_base import DEFAULT_THREADS
from icstream.model.size_text import Order, Size, parse_size
from icstream.pipeline.cli.console import log_to_stderr, print_lines, print_renamed, write_results
from icstream.pipeline.cli.options import JsonFile, Overwrite, Threads, Weights

if TYPE_CHECKING:
    from icstream.model import Checkpoint
    from icstream.model.export.export import Format
    from icstream.stages.evaluate.exported import ExportAgreement

GraphFile = Annotated[
    Path, typer.Option("-o", "--out", metavar="FILE", help="Graph to write (.onnx or .xml).")
]
InputSize = Annotated[
    str | None, typer.Option(metavar="WIDTHxHEIGHT", help="Size of the input images in pixels.")
]
OldSize = Annotated[
    str | None,
    typer.Option("--size", metavar="HEIGHTxWIDTH", help="Old name of --input-size.", hidden=True),
]
FileFormat = Annotated[
    Literal["auto", "onnx", "openvino"],
    typer.Option(
        "--format",
        metavar="NAME",
        help="File format: onnx or openvino; auto uses the suffix of FILE.",
    ),
]
Form = Annotated[
    Literal["ids", "logits"],
    typer.Option(metavar="NAME", help="Output: ids (class of each pixel) or logits (at 1/8 size)."),
]
GraphPrecision = Annotated[
    Literal["fp32", "int8"], typer.Option(metavar="NAME", help="Precision: fp32 or int8.")
]
Batch = Annotated[int, typer.Option(metavar="N", min=1, max=64, help="Images per batch.")]
CheckSource = Annotated[
    str | None,
    typer.Option(
        metavar="SOURCE",
        help="Video file or image folder to check the graph on; rendered streets by default.",
    ),
]


def export_command(
    out: GraphFile,
    input_size: InputSize = None,
    old_size: OldSize = None,
    weights: Weights = None,
    file_format: FileFormat = "auto",
    form: Form = "ids",
    precision: GraphPrecision = "fp32",
    batch: Batch = 1,
    check: CheckSource = None,
    threads: Threads = DEFAULT_THREADS,
    overwrite: Overwrite = False,
    json_file: JsonFile = None,
) -> int:
    """Export the network to ONNX or OpenVINO, and check it."""
    log_to_stderr(quiet=False)
    graph_format = _parse_format(file_format, out)
    size = _parse_size(input_size, old_size)
    facts_file = out.with_name(f"{out.name}.json")
    from icstream.pipeline.output import check_output_files

    check_output_files([out, facts_file], overwrite=overwrite)
    from icstream.model import load_weights
    from icstream.model.export.export import export_model
    from icstream.model.pretrained import DEFAULT
    from icstream.stages.evaluate.exported import MIN_SHARE

    checkpoint = load_weights(weights or DEFAULT)
    out.parent.mkdir(parents=True, exist_ok=True)
    facts = export_model(
        checkpoint,
        out,
        size=size,
        format=graph_format,
        form=form,
        precision=precision,
        batch=batch,
    )
    agreement = _check_graph(
        checkpoint, out, facts, size=size, batch=batch, check=check, threads=threads
    )
    values = {**facts, "agreement": agreement.values()}
    write_results(values, facts_file)
    print_lines(_lines(facts, agreement, out))
    write_results(values, json_file)
    if precision == "fp32" and agreement.share < MIN_SHARE:
        share = f"{100 * MIN_SHARE:.2f} %"
        print_lines(
            [f"icstream: {out}: under {share} of pixels agree with the network; do not use it"]
        )
        return 1
    return 0


def _check_graph(
    checkpoint: "Checkpoint",
    out: Path,
    facts: dict[str, Any],
    *,
    size: tuple[int, int],
    batch: int,
    check: str | None,
    threads: int,
) -> "ExportAgreement":
    from icstream.model.export.export import open_exported
    from icstream.stages.evaluate.exported import check_export, recorded_images, rendered_images

    return check_export(
        checkpoint,
        open_exported(out, precision=facts["precision"], threads=threads),
        rendered_images(size) if check is None else recorded_images(check, size),
        batch=batch,
        frames="rendered streets" if check is None else Path(check).name,
    )


def _lines(facts: dict[str, Any], agreement: "ExportAgreement", out: Path) -> list[str]:
    shapes = [
        f"{facts[end]['type']} {'x'.join(map(str, facts[end]['shape']))}"
        for end in ("input", "output")
    ]
    return [
        f"{facts['format']}, {facts['precision']}: {shapes[0]} in, {shapes[1]} out",
        agreement.line(),
        f"graph in {out}, description in {out.name}.json",
    ]


def _parse_format(name: str, out: Path) -> "Format":
    formats: dict[str, Format] = {".onnx": "onnx", ".xml": "openvino"}
    by_suffix = formats.get(out.suffix)
    if by_suffix is None or name not in ("auto", by_suffix):
        raise ConfigError(
            f"output {out}: must end in .onnx (format onnx) or .xml (format openvino)"
        )
    return by_suffix


def _parse_size(text: str | None, old_text: str | None) -> Size:
    if old_text is not None and text is None:
        print_renamed("--size HEIGHTxWIDTH", "--input-size WIDTHxHEIGHT")
        return _parse("--size", old_text, order="HEIGHTxWIDTH")
    if text is None:
        raise ConfigError("export needs --input-size WIDTHxHEIGHT")
    if old_text is not None:
        raise ConfigError("--size is the old name of --input-size, which is also given; keep that")
    return _parse("--input-size", text, order="WIDTHxHEIGHT")


def _parse(option: str, text: str, *, order: Order) -> Size:
    try:
        return parse_size(text, order=order)
    except ValueError as error:
        raise ConfigError(f"{option} {text}: {error}") from error
