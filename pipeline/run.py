"""A run: every source from its decoder to its sinks, and the books at the end."""

import logging
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

from icstream.model import ConfigError, Segmenter, SourceError, load_weights
from icstream.model.zoo import RANDOM, weight_names
from icstream.pipeline.chain import Chain
from icstream.pipeline.config import RunConfig
from icstream.pipeline.latency import Latency
from icstream.pipeline.output import REPORT, begin_manifest, check_output, prepare_output
from icstream.stages import Books, Frame, Gap, Stage
from icstream.stages.decode import Source, SourceInfo, open_source
from icstream.stages.encode import Encode
from icstream.stages.preprocess import Preprocess
from icstream.stages.segment import Segment
from icstream.stages.sinks import Part, Sink, SinkContext, check_sink, open_sink
from icstream.stages.sources import SourceSpec, find_sources

log = logging.getLogger(__name__)

DEFAULT_SINKS = {
    "video": ["masks", "overlay"],
    "images": ["png"],
    "other": ["masks", "overlay"],
}


class Progress(Protocol):
    """Is told how far a run has come."""

    def begin(self, stream: str, num_frames: int | None) -> None:
        """A stream begins; the number of frames is what its index promises."""
        ...

    def advance(self, stream: str) -> None:
        """One more frame is finished."""
        ...


@dataclass(slots=True)
class StreamResult:
    """What became of one stream."""

    spec: SourceSpec
    books: Books = field(default_factory=Books)
    info: SourceInfo | None = None
    """None where the source could not be opened."""
    parts: dict[str, list[Part]] = field(default_factory=dict)
    """Files written, by sink."""
    gaps: list[Gap] = field(default_factory=list)
    """Pictures that are not there; the first thousand."""
    latency: dict[str, Latency] = field(default_factory=dict)
    error: str | None = None
    """Why it ended before its end."""
    unwritable: bool = False
    """True if it ended because its results could not be written."""
    seconds: float = 0.0
    """Wall time from opening to closing."""


@dataclass(slots=True)
class RunResult:
    """What became of a run."""

    config: RunConfig
    segmenter: Segmenter
    streams: list[StreamResult]

    @property
    def exit_code(self) -> int:
        """0 done, 1 failed or the books do not close, 2 no picture at all, 3 done with losses."""
        if any(stream.unwritable or stream.books.faults() for stream in self.streams):
            return 1
        if not any(stream.books.decoded for stream in self.streams):
            return 2
        if any(stream.error or not stream.books.complete for stream in self.streams):
            return 3
        return 0


_MAX_GAPS = 1000


def open_segmenter(config: RunConfig) -> Segmenter:
    """Gives the segmenter that the configuration asks for.

    Raises:
        ConfigError: no weights named, or something that is not to be had.
    """
    if config.model.weights is None:
        shipped = [name for name in weight_names() if name != RANDOM]
        raise ConfigError(
            "no weights given: name a checkpoint file with --weights FILE, or try the machinery"
            f" with --weights {RANDOM} (untrained; its masks mean nothing)"
            + (f"; shipped for demonstration: {', '.join(shipped)}" if shipped else "")
        )
    return Segmenter(
        load_weights(config.model.weights),
        runtime=config.model.runtime,
        device=config.model.device,
        precision=config.model.precision,
        threads=config.model.threads,
        fit=config.fit.fit(),
    )


def restart_point(sinks: Sequence[Sink]) -> int:
    """Gives the number of frames that every sink has whole, and after which every one can go on."""
    num_done = sys.maxsize
    while sinks:
        lowest = min(sink.restart_point(num_done) for sink in sinks)
        if lowest == num_done:
            return num_done
        num_done = lowest
    return 0


def build_stages(
    segmenter: Segmenter,
    sinks: Sequence[Sink],
    books: Books,
    *,
    keep_picture: bool,
    num_done: int = 0,
) -> tuple[dict[str, Stage], Encode]:
    """Gives the stages of one stream in order, by name, and the last of them as itself."""
    wanted = keep_picture or any(sink.wants_picture for sink in sinks)
    encode = Encode(sinks, books=books, keep_picture=keep_picture, num_done=num_done)
    stages: dict[str, Stage] = {
        "preprocess": Preprocess(
            fit=segmenter.fit, mean_colour=segmenter.mean_colour, keep_picture=wanted
        ),
        "segment": Segment(segmenter),
        "encode": encode,
    }
    return stages, encode


def run(
    config: RunConfig,
    arguments: Sequence[str],
    folder: Path,
    *,
    progress: Progress,
    should_stop: Callable[[], bool],
) -> RunResult:
    """Segments every source that the arguments name and writes the results into `folder`.

    If the results cannot be written any more, the run ends there and says so in its result.

    Raises:
        ConfigError: something is wrong with the settings, the sources or the folder; nothing was
            written then.
    """
    specs = find_sources(arguments)
    for name in config.output.sinks or ():
        check_sink(name)
    overwrite, resume = config.output.overwrite, config.output.resume
    check_output(folder, overwrite=overwrite, resume=resume)
    segmenter = open_segmenter(config)
    prepare_output(folder, [spec.name for spec in specs], overwrite=overwrite, resume=resume)
    begin_manifest(folder, _manifest(config, segmenter, specs), resume=resume)
    (folder / REPORT).unlink(missing_ok=True)
    result = RunResult(config, segmenter, [StreamResult(spec) for spec in specs])
    runner = _Runner(config, segmenter, folder, progress, should_stop)
    for stream in result.streams:
        if should_stop():
            break
        runner.run(stream)
        if stream.unwritable:
            break
    return result


def _manifest(
    config: RunConfig, segmenter: Segmenter, specs: Sequence[SourceSpec]
) -> dict[str, Any]:
    """Gives what must be the same for two runs to give the same bytes."""
    sinks = {spec.name: config.output.sinks or DEFAULT_SINKS[spec.kind] for spec in specs}
    return {
        "weights": segmenter.digest,
        "inference": asdict(segmenter.choice),
        "fit": config.fit.model_dump(mode="json"),
        "sources": {
            spec.name: [spec.given, sum(path.stat().st_size for path in spec.paths)]
            for spec in specs
        },
        "sinks": sinks,
    }


@dataclass(frozen=True, slots=True)
class _Runner:
    """What all streams of a run have in common."""

    config: RunConfig
    segmenter: Segmenter
    folder: Path
    progress: Progress
    should_stop: Callable[[], bool]

    def run(self, stream: StreamResult) -> None:
        """Opens the source and takes the stream to its end."""
        start = time.perf_counter()
        threads = self.config.decode.threads
        try:
            with open_source(stream.spec, books=stream.books, threads=threads) as source:
                stream.info = source.info
                self.segmenter.warm_up(source.info.size)
                self.progress.begin(stream.spec.name, source.info.num_frames)
                self._drive(stream, source)
            if not stream.books.decoded and not self.should_stop():
                stream.error = f"{stream.spec.given}: no picture in it could be decoded"
        except SourceError as error:
            stream.error = str(error)
        except OSError as error:
            stream.error = f"{error.filename}: {error.strerror}"
            stream.unwritable = True
        if stream.error:
            log.error("%s", stream.error)
        stream.seconds = time.perf_counter() - start

    def _drive(self, stream: StreamResult, source: Source) -> None:
        name = stream.spec.name
        recording = stream.spec.paths[0] if stream.spec.kind == "video" else None
        context = SinkContext(self.folder / name, self.segmenter.labels, recording)
        sinks = {
            sink: open_sink(sink, context)
            for sink in self.config.output.sinks or DEFAULT_SINKS[stream.spec.kind]
        }
        num_done = restart_point(list(sinks.values())) if self.config.output.resume else 0
        if num_done:
            log.info("%s: %d frames are there already", name, num_done)
        stages, encode = build_stages(
            self.segmenter,
            list(sinks.values()),
            stream.books,
            keep_picture=False,
            num_done=num_done,
        )
        chain = Chain(stages, books=stream.books, should_stop=self.should_stop, num_done=num_done)
        try:
            for item in chain.run(source):
                if isinstance(item, Frame):
                    self.progress.advance(name)
                elif isinstance(item, Gap) and len(stream.gaps) < _MAX_GAPS:
                    stream.gaps.append(item)
        finally:
            encode.close()
            stream.parts = {sink: opened.parts for sink, opened in sinks.items()}
            stream.latency = dict(chain.latency)
