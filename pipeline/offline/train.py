"""Training, from a configuration and a data folder to a network."""

import logging
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from icstream.model import Checkpoint, CheckpointError, ConfigError, load_weights
from icstream.pipeline.offline.train_folder import TrainFolder
from icstream.pipeline.settings.old_keys import report_settings
from icstream.pipeline.settings.train import TrainConfig
from icstream.stages.data import LabeledData, count_in_both, open_data, select_splits
from icstream.stages.data.layouts import DataFormat
from icstream.stages.train import Display, Trained, train_network
from icstream.stages.train.build import check_packages
from icstream.stages.train.measure import check_labeled
from icstream.stages.train.ranks import Ranks, join_ranks, leave_ranks

log = logging.getLogger(__name__)


def run_training(
    config: TrainConfig,
    data_folder: Path,
    out: Path,
    *,
    data_format: DataFormat,
    init: str | None,
    resume: bool,
    overwrite: bool,
    threads: int | None,
    display: Display,
    should_stop: Callable[[], bool],
) -> Trained:
    """Train as configured; each rank of a distributed training calls this.

    Args:
        config: all settings.
        data_folder: the folder of a data set that `open_data` can open.
        out: the folder for weights, state and metrics.
        data_format: the layout of the data, as in `open_data`.
        init: weights to start from, as a checkpoint file or name; None for random weights.
        resume: whether to continue the run in `out`; one without a saved state starts over.
        overwrite: whether to discard the run in `out` and start over.
        threads: the number of CPU threads of PyTorch, for the whole process; None for its default.
        display: shows each step and each validation.
        should_stop: a function called after each step; training ends when it returns True.

    Raises:
        ConfigError: settings, data, weights or folder are invalid.
        LoaderError: a process that loads images has died.
        OSError: a file cannot be written.
    """
    settings = config.settings()
    check_packages(settings)
    if threads is not None:
        torch.set_num_threads(threads)
    start = _load_start(config, init)
    folder = TrainFolder(out, resume=resume, overwrite=overwrite)
    data = _open_data(config, data_folder, data_format, start)
    ranks = _join_ranks(settings.gpu_devices)
    with folder.locked_by(ranks):
        result = train_network(
            settings,
            data,
            out,
            ranks=ranks,
            start=start,
            resume=folder.resume,
            record={
                "data": {"folder": data_folder.name, "format": data.format},
                "samples": {split: len(data.split(split)) for split in ("train", "val")},
                "config": report_settings(config),
                "init": init,
            },
            display=display,
            should_stop=should_stop,
            on_begin=lambda: folder.begin(config, ranks),
        )
    leave_ranks(ranks)
    return result


def _join_ranks(gpu_devices: tuple[int, ...]) -> Ranks:
    ranks = join_ranks(gpu_devices)
    if ranks.first and ranks.device.type == "cpu":
        log.info("no CUDA device: training on the CPU, %d threads", torch.get_num_threads())
    return ranks


def _load_start(config: TrainConfig, init: str | None) -> Checkpoint | None:
    if init is not None:
        return load_weights(init)
    if config.weights_init_type == "continue_training":
        raise CheckpointError("weights_init_type continue_training needs --init WEIGHTS")
    return None


def _open_data(
    config: TrainConfig, folder: Path, data_format: DataFormat, start: Checkpoint | None
) -> LabeledData:
    """Open the data and check that the training and validation splits have labeled pixels."""
    data = open_data(
        folder,
        format=data_format,
        train_tag=config.dataset_tags.train,
        val_tag=config.dataset_tags.val,
        neutral=config.special_classes.neutral,
        class_ids=_class_ids(config, start),
    )
    data = select_splits(data, {"train": config.splits.train, "val": config.splits.val})
    for split in ("train", "val"):
        check_labeled(data, split)
    for text in data.left_out:
        log.warning("left out: %s", text)
    if num_in_both := count_in_both(data, "train", "val"):
        log.warning(
            "%d samples are in both training and validation, so the metrics are not meaningful",
            num_in_both,
        )
    return data


def _class_ids(config: TrainConfig, start: Checkpoint | None) -> dict[str, int] | None:
    if start is None or config.weights_init_type != "continue_training":
        return None
    return {name: k for k, name in enumerate(start.labels.names)}


def launch_ranks(devices: Sequence[int], arguments: Sequence[str]) -> None:
    """Replace this process by torchrun with one rank per device, if there are several.

    Returns if this process trains alone, or is already a rank.
    """
    if len(devices) < 2 or "LOCAL_RANK" in os.environ or not torch.cuda.is_available():
        return
    if max(devices) >= torch.cuda.device_count():
        raise ConfigError(
            f"gpu_devices: got {list(devices)}, but the machine has {torch.cuda.device_count()}"
        )
    command = [
        *(sys.executable, "-m", "torch.distributed.run", "--standalone"),
        *(f"--nproc-per-node={len(devices)}", "-m", "icstream.pipeline", *arguments),
    ]
    os.execv(sys.executable, command)
