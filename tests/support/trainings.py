"""Small trainings for tests: the settings, and a display that remembers."""

from dataclasses import replace

from icstream.model import ConfigError
from icstream.stages.train import Augmentation, Optimizer, PolySchedule, TrainSettings
from icstream.stages.train.validate import Validation

RECIPE = TrainSettings(
    epochs=3,
    batch_train=4,
    batch_val=2,
    workers_train=0,
    workers_val=0,
    input_size=(65, 97),
    val_every=1,
    lr=4e-3,
    optimizer=Optimizer(name="adamw", weight_decay=0.01, clip_norm=5),
    schedule=PolySchedule(),
    augmentation=Augmentation(scale=(0.8, 1.5), color=0.2, whole_frames_share=0.2),
    variant="paper",
    width=1 / 8,
    label_guidance="shrunk",
    class_weights="log",
    ema=0.9,
)
PLUGIN = replace(
    TrainSettings(),
    epochs=2,
    batch_train=4,
    workers_train=0,
    workers_val=0,
    input_size=(97, 129),
    width=1 / 8,
    lr=2e-3,
)


def has_torchvision() -> bool:
    """Return whether there is a torchvision that fits PyTorch."""
    try:
        import icstream.stages.train.photometric  # noqa: F401
    except ConfigError:
        return False
    return True


class Silent:
    """Shows nothing, and remembers what it was told."""

    def __init__(self, stop_at: int | None = None) -> None:
        self.losses: list[float] = []
        self.rates: list[float] = []
        self.validations: list[float] = []
        self._stop_at = stop_at
        self._step = 0

    def step(self, step: int, _num_steps: int, loss: float, lr: float) -> None:
        self._step = step
        self.losses.append(loss)
        self.rates.append(lr)

    def validation(self, epoch: float, _validation: Validation, *, best: bool) -> None:
        assert best in (True, False)
        self.validations.append(epoch)

    def should_stop(self) -> bool:
        return self._stop_at is not None and self._step >= self._stop_at
