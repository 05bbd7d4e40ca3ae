"""The projects of `icstream annotate`: the source, and the new folder."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from icstream.model import Checkpoint, ConfigError
from icstream.model.runtimes import RuntimeChoice
from icstream.model.runtimes.arithmetic import describe_arithmetic
from icstream.pipeline.output import MANIFEST, REPORT, begin_manifest, check_output_folder
from icstream.pipeline.settings.annotate import AnnotateConfig
from icstream.stages.annotate import AnnotationPlan
from icstream.stages.annotate.image_project import ProjectImage, project_images
from icstream.stages.annotate.video_project import ProjectVideo, project_videos, single_video
from icstream.stages.decode.file_kinds import VIDEO_SUFFIXES
from icstream.stages.supervisely.classes import empty_meta, project_type_of
from icstream.stages.supervisely.files import (
    KEY_IDS,
    META,
    NO_IDS,
    read_meta,
    remove_dataset,
    write_values,
)


@dataclass(frozen=True, slots=True)
class Project:
    """The project to annotate."""

    source: Path
    kind: Literal["images", "videos"]
    meta: Mapping[str, Any]
    images: Sequence[ProjectImage] = ()
    videos: Sequence[ProjectVideo] = ()

    @property
    def items(self) -> Sequence[ProjectImage | ProjectVideo]:
        """The images or videos, in order."""
        return self.images or self.videos


def open_project(source: Path) -> Project:
    """Read the list of items in a folder or file, without opening them.

    Raises:
        ConfigError: it is neither a project of images or videos nor a video file.
    """
    if source.is_file() and source.suffix.lower() in VIDEO_SUFFIXES:
        return Project(source, "videos", empty_meta("videos"), videos=[single_video(source)])
    if not source.is_dir():
        raise ConfigError(f"{source}: neither a folder nor a video file")
    meta = read_meta(source)
    kind = project_type_of(meta)
    if kind == "images":
        return Project(source, "images", meta, images=project_images(source))
    if kind == "videos":
        return Project(source, "videos", meta, videos=project_videos(source))
    raise ConfigError(f"{source}: a project of {kind}, but only images and videos can be annotated")


def manifest(
    config: AnnotateConfig, project: Project, checkpoint: Checkpoint, choice: RuntimeChoice
) -> dict[str, Any]:
    """Return everything that determines the result, and the names that `--overwrite` may remove."""
    meta = json.dumps(project.meta, sort_keys=True).encode()
    return {
        "command": "annotate",
        "config": config.model_dump(mode="json"),
        "weights": checkpoint.digest(),
        "fit": asdict(checkpoint.fit) | {"size": checkpoint.fit.size and list(checkpoint.fit.size)},
        "chosen": asdict(choice),
        **describe_arithmetic(choice),
        "project": {"name": project.source.name, "meta": hashlib.sha256(meta).hexdigest()},
        "datasets": sorted({item.dataset.parts[0] for item in project.items}),
    }


def check_places(source: Path, out: Path, *, overwrite: bool, resume: bool) -> None:
    """Check that the new project may be written to a folder, without changing anything.

    Raises:
        ConfigError: the folder cannot be used.
    """
    here, there = source.resolve(), out.resolve()
    if here.is_dir() and (here == there or here in there.parents or there in here.parents):
        raise ConfigError(f"output {out}: lies inside {source} or around it; choose another folder")
    check_output_folder(out, overwrite=overwrite, resume=resume)


def _remove_earlier(out: Path) -> None:
    """Remove what an earlier call wrote into a locked folder, and nothing else.

    Raises:
        ConfigError: the content was written by something else.
    """
    if not any(out.iterdir()):
        return
    try:
        earlier = json.loads((out / MANIFEST).read_bytes())
        names = [str(name) for name in earlier["datasets"]]
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise ConfigError(
            f"output {out}: contains other files than an annotated project; choose another folder"
        ) from error
    for name in names:
        # The file may be foreign, and it names folders to be emptied.
        if name in ("", "..") or Path(name).name != name or (out / name).is_symlink():
            raise ConfigError(
                f"output {out}: {MANIFEST} names {name!r}, which is not a dataset in it; choose"
                " another folder"
            )
    for name in names:
        remove_dataset(out / name)
    for name in (META, KEY_IDS, REPORT, MANIFEST):
        (out / name).unlink(missing_ok=True)


def begin_project(
    project: Project,
    plan: AnnotationPlan,
    out: Path,
    manifest: Mapping[str, Any],
    *,
    overwrite: bool,
    resume: bool,
) -> None:
    """Write the files that precede the first item of a project, into a locked folder.

    Raises:
        ConfigError: the folder cannot be written, or contains something else to resume.
    """
    check_places(project.source, out, overwrite=overwrite, resume=resume)
    try:
        if overwrite:
            _remove_earlier(out)
        begin_manifest(out, manifest, resume=resume)
        write_values(out / META, plan.meta)
        if project.kind == "videos":
            write_values(out / KEY_IDS, NO_IDS)
    except OSError as error:
        raise ConfigError(f"output {out}: cannot be written ({error.strerror})") from error
