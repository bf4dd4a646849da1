"""Where training and optimising work, and what both say of their runs."""

from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from viewfinder import __version__
from viewfinder.engines.base import Device
from viewfinder.evaluation.document import Epoch as EpochRow
from viewfinder.imaging.geometry import PreprocessSpec
from viewfinder.modeling.backbones import Backbone
from viewfinder.registry.bundle import file_sha256
from viewfinder.registry.store import ModelStore, open_store
from viewfinder.settings import Limits, Settings
from viewfinder.shared.plain import encodable
from viewfinder.training.examples import MARGIN
from viewfinder.training.progress import Epoch

_PACKAGES = (
    "ai-edge-litert",
    "keras",
    "litert-quantizer",
    "numpy",
    "pillow",
    "tensorflow",
    "tensorflow-cpu",
)


@dataclass(frozen=True, slots=True)
class Workplace:
    """Where training works, and with what.

    Attributes:
        store: Where the model is published.
        home: The data home: caches, the state of runs, logs.
        limits: What will be decoded.
        threads: Photos to work on side by side.
        device: Where graphs are to run, for engines that have the choice.
    """

    store: ModelStore
    home: Path
    limits: Limits
    threads: int
    device: Device = "cpu"

    @property
    def compiled(self) -> Path:
        """What engines compile is kept here, as a server keeps it."""
        return self.home / "compiled"


def workplace(settings: Settings) -> Workplace:
    """Where the settings say."""
    return Workplace(
        store=open_store(settings.store, settings.home),
        home=settings.home,
        limits=settings.limits,
        threads=settings.compute_threads,
        device=settings.device,
    )


def geometry(backbone: Backbone, *, larger: bool = False) -> PreprocessSpec:
    """The geometry of serving; or, larger, the same with the margin that a crop can move in.

    The centre of the larger one is the other: the crop is what is left of the margin.
    """
    side = backbone.input_size
    if larger:
        return PreprocessSpec(width=side + MARGIN, height=side + MARGIN)
    return PreprocessSpec(width=side, height=side, crop_fraction=side / (side + MARGIN))


def described_weights(weights: str) -> str | dict[str, str]:
    """As they were said; a file by its name, for people, and its contents, for certainty."""
    path = Path(weights)
    if weights in {"imagenet", "none"} or not path.is_file():
        return weights
    return {"file": encodable(path.name), "sha256": file_sha256(path)}


def epoch_row(epoch: Epoch) -> EpochRow:
    """An epoch, for an evaluation."""
    return EpochRow(
        phase=epoch.phase,
        epoch=epoch.number,
        loss=epoch.loss,
        accuracy=epoch.accuracy,
        validation_accuracy=epoch.validation_accuracy,
        learning_rate=epoch.learning_rate,
    )


def packages() -> dict[str, str]:
    """The versions of what decides how a model turns out."""
    found = {"viewfinder": __version__}
    for name in _PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found
