"""The report of a run: `report.json`, and the lines printed at the end."""

import hashlib
import json
import os
import platform
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from icstream.model.runtimes.cpu import computing_features, cpu_name
from icstream.model.shown import escape
from icstream.pipeline.hub.stage_counts import StageCounts
from icstream.pipeline.hub.stream_state import StreamState
from icstream.pipeline.plan.inference import Inference
from icstream.pipeline.plan.streams import LeftOutFiles
from icstream.pipeline.run.result import RunResult
from icstream.pipeline.settings.old_keys import report_settings
from icstream.stages import Gap
from icstream.stages.latency import Latency
from icstream.stages.sinks import Part

_PACKAGES = (
    *("av", "numba", "numpy", "onnxruntime", "opencv-python-headless", "openvino", "pyzmq"),
    "torch",
)


def build_report(result: RunResult, *, exit_code: int) -> dict[str, Any]:
    """Return the report as plain JSON values."""
    latencies = [stream.latency for stream in result.streams]
    return {
        "version": version("icstream"),
        "exit_code": exit_code,
        "streams": {stream.spec.name: _stream(stream) for stream in result.streams},
        "chosen": describe_inference(result.inference) | {"transport": result.transport},
        "restarts": result.num_restarts,
        "latency_ms": latency_ms(latency.service for latency in latencies),
        "queue_ms": latency_ms(latency.queueing for latency in latencies),
        "total_ms": latency_ms({"total": stream.latency.total} for stream in result.streams)[
            "total"
        ],
        "error": result.error,
        **_left_out(result.left_out),
        "config": report_settings(result.config),
        "hashes": {"weights": result.inference.digest, "config": _config_hash(result)},
        "host": {
            "platform": platform.platform(),
            "processor": cpu_name(),
            "features": computing_features(),
            "cores": os.cpu_count(),
            "python": platform.python_version(),
            "packages": _versions(),
        },
    }


def _left_out(left_out: Sequence[LeftOutFiles]) -> dict[str, Any]:
    """Return the report's entry on files that belong to no stream, or nothing if there are none."""
    return {"left_out": [asdict(files) for files in left_out]} if left_out else {}


def _versions() -> dict[str, str]:
    """Return the versions of the installed packages; some are optional."""
    versions = {}
    for name in _PACKAGES:
        with suppress(PackageNotFoundError):
            versions[name] = version(name)
    return versions


def describe_inference(inference: Inference) -> dict[str, Any]:
    """Return the inference backend as plain JSON values."""
    return {**asdict(inference.choice), "replicas": inference.replicas}


def summarize(result: RunResult) -> list[str]:
    """Return lines for people: the accounting of each stream, and its losses."""
    lines = []
    for stream in result.streams:
        lines.append(f"{stream.spec.name}: {_totals(stream)}")
        lines += [f"{stream.spec.name}: {sentence}" for sentence in describe_losses(stream)]
        lines += [f"{stream.spec.name}: {sentence}" for sentence in _notes(stream)]
    return lines


def describe_losses(stream: StreamState) -> list[str]:
    """Return a sentence for each way in which frames of the stream were lost."""
    accounting = stream.accounting
    found = [f"the accounts do not balance: {fault}" for fault in stream.faults()]
    if stream.error:
        found.append(stream.error)
    if accounting.missing and stream.spec.kind == "live":
        found.append(f"{accounting.missing} frames missing: truncated or lost in transit")
    elif accounting.missing:
        promised = accounting.packets + accounting.missing
        found.append(
            f"{accounting.missing} of the {promised} frames in the file's index are missing;"
            " the file was probably truncated"
        )
    if accounting.cut_short:
        found.append(f"the recording is not complete: {accounting.cut_short}")
    found += [f"{n} undecodable: {reason}" for reason, n in accounting.undecodable.items()]
    found += [f"{n} failed: {reason}" for reason, n in accounting.failed.items()]
    return found


def _notes(stream: StreamState) -> list[str]:
    """Return a sentence for each finding that cost no frame but that users should know."""
    notes = list(stream.info.notes) if stream.info else []
    notes += [f"{n} decoded, but: {what}" for what, n in stream.accounting.noted.items()]
    return notes + [f"{n} left out: {what}" for what, n in stream.accounting.left_out.items()]


def _totals(stream: StreamState) -> str:
    accounting = stream.accounting
    parts = [f"{accounting.decoded} decoded", f"{accounting.encoded} encoded"]
    parts += [f"{n} dropped ({reason})" for reason, n in accounting.dropped.items()]
    if not stream.faults():
        parts.append("accounts balance")
    if stream.wall_s and accounting.encoded:
        parts.append(f"{accounting.encoded / stream.wall_s:.1f} frames/s")
    return ", ".join(parts)


def _stream(stream: StreamState) -> dict[str, Any]:
    accounting, info = stream.accounting, stream.info
    return {
        "source": stream.spec.given,
        **({"file": escape(str(stream.spec.paths[0]))} if stream.spec.kind == "video" else {}),
        "packets": accounting.packets,
        "in_decoder": accounting.in_decoder,
        "undecodable": dict(accounting.undecodable),
        "without_picture": dict(accounting.without_frame),
        "decoded": accounting.decoded,
        "encoded": accounting.encoded,
        "dropped": dict(accounting.dropped),
        "failed": dict(accounting.failed),
        "in_flight": accounting.in_flight,
        "missing": accounting.missing,
        "time_base": str(info.time_base) if info else None,
        "clock": info.clock if info else None,
        "parts": {name: [_part(part) for part in parts] for name, parts in stream.parts.items()},
        "gaps": [_gap(gap) for gap in stream.gaps],
        "seconds": round(stream.wall_s, 3),
        "hops": {stage: _hop(c) for stage, c in stream.leases.stage_counts.items()},
        "closed": not stream.faults(),
        "error": stream.error,
        "policy": "freshest" if stream.plan.freshest else "every_frame",
        "connections": stream.source_status.connections,
        "last_error": stream.source_status.last_error,
        **({"notes": notes} if (notes := _notes(stream)) else {}),
        **({"cut_short": accounting.cut_short} if accounting.cut_short else {}),
        **({"left_out": dict(accounting.left_out)} if accounting.left_out else {}),
    }


def _hop(counts: StageCounts) -> dict[str, int]:
    return {
        "received": counts.received,
        "finished": counts.finished,
        "failed": counts.failed,
        "dropped": counts.dropped,
        "in_flight": counts.in_flight,
        "again": counts.retried,
    }


def _part(part: Part) -> dict[str, Any]:
    return {
        "file": part.path,
        "first_index": part.first_index,
        "frames": part.num_frames,
        "size": list(part.size),
        "clock": part.clock,
        "time_base": str(part.time_base),
    }


def _gap(gap: Gap) -> dict[str, Any]:
    return {"index": gap.index, "pts": gap.pts, "reason": gap.reason}


def latency_ms(streams: Iterable[Mapping[str, Latency]]) -> dict[str, dict[str, float]]:
    """Return p50, p95 and p99 of each stage over all streams, in milliseconds."""
    total: dict[str, Latency] = {}
    for stream in streams:
        for stage, latency in stream.items():
            total.setdefault(stage, Latency()).merge(latency)
    return {stage: latency.summary() for stage, latency in total.items()}


def _config_hash(result: RunResult) -> str:
    text = json.dumps(report_settings(result.config), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()
