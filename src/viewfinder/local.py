"""A model in this very process, without a server: `viewfinder.Classifier`."""

import time
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self, overload

import numpy as np
from PIL import Image

from viewfinder.engines.apart.probe import load_probed
from viewfinder.engines.loader import LoadedVariant
from viewfinder.errors import Failure, InvalidParameterError, NotReadyError
from viewfinder.imaging.arrays import image_of
from viewfinder.imaging.length import check_length
from viewfinder.registry.store import default_model, look_at_start, open_store
from viewfinder.serving.answers import to_prediction, with_explanation
from viewfinder.serving.compute import Computation
from viewfinder.serving.heatmaps.explainer import Explainer
from viewfinder.settings import Settings, load_settings
from viewfinder.shared.options import OnError, check_on_error, check_options
from viewfinder.shared.side_by_side import side_by_side
from viewfinder.types import Explain, Photo, Prediction, ServedModel


class Classifier:
    """A model version in memory, that any number of threads may ask at once.

    Example:
        >>> classifier = viewfinder.Classifier.load("shoes@stable")
        >>> classifier("photo.jpg").top.label
        'sandal'

    Args:
        loaded: The model.
        settings: What a photo may be, and how many threads `classify_many` has.

    Attributes:
        model: Name, version and variant.
        labels: The classes, in the order of the model's output.
        calibration: How scores become confidence, and under which an answer is "I don't know".
    """

    def __init__(self, loaded: LoadedVariant, settings: Settings) -> None:
        manifest = loaded.bundle.manifest
        self.model = ServedModel(manifest.name, manifest.version, loaded.variant.name)
        self.labels = tuple(label.name for label in manifest.labels)
        self.calibration = loaded.variant.calibration
        self._loaded = loaded
        self._is_closed = False
        self._computation = Computation(loaded, settings.limits)
        self._explainer = Explainer(loaded, settings.limits)
        self._limits = settings.limits
        self._threads = settings.compute_threads

    @classmethod
    def load(
        cls,
        model: str | None = None,
        *,
        store: str | Path | None = None,
        variant: str | None = None,
        threads: int | None = None,
    ) -> Self:
        """Load a model as a server does: checksums, a try in a process of its own, golden photos.

        Settings come from the environment and the settings file, as for every command. A split of
        the traffic is a server's: here a bare name means `stable`, else the highest good version.

        Args:
            model: `name`, `name@3` or `name@alias`; the default model if not given.
            store: A folder of models, or `s3://bucket/prefix`; that of the settings if not given.
            variant: Which of the version's graphs; the recommended one if not given.
            threads: Photos to work on side by side; one per core if not given.

        Raises:
            ModelNotFoundError: There is no such model.
            VersionNotFoundError: It has no such version or alias.
            NotReadyError: That version is broken.
            InvalidParameterError: It has no such variant.
            BundleError: Its files or answers are not what was sealed.
            OperatorError: A setting makes no sense, the store cannot be read, or something is asked
                for that is not installed.
        """
        settings = load_settings(model_store=store, threads=threads)
        catalog = look_at_start(open_store(settings.store, settings.home))
        bundle = catalog.resolve(model or default_model(settings))
        names = [found.name for found in bundle.manifest.variants]
        if variant is not None and variant not in names:
            raise InvalidParameterError(f"variant: Input should be one of {', '.join(names)}")
        return cls(load_probed(bundle, settings, variant=variant), settings)

    @property
    def name(self) -> str:
        """The model's name."""
        return self.model.name

    @property
    def version(self) -> int:
        """The model's version."""
        return self.model.version

    def __call__(
        self,
        photo: Photo,
        *,
        top_k: int = 5,
        min_confidence: float = 0.0,
        explain: Explain = "none",
    ) -> Prediction:
        """Classify one photo, on this thread.

        Args:
            photo: See `Photo`.
            top_k: How many classes to name, 1-100, at most as many as the model has.
            min_confidence: Classes under it are left out of `classes`, 0-1.
            explain: `heatmap` says in `explanation` where the top class was seen; that takes many
                times as long.

        Raises:
            UnsupportedMediaTypeError: Not an accepted format.
            ImageTooLargeError: More pixels than the limit.
            PayloadTooLargeError: More bytes than the limit.
            InvalidImageError: Damaged.
            MalformedRequestError: No bytes at all.
            InvalidParameterError: An option is out of its range.
            NotReadyError: The classifier is closed.
            OSError: The file cannot be read.
            TypeError: It is none of the kinds of `Photo`.
            ValueError: An array is not uint8 `[H, W, 3]`.
        """
        check_options(top_k, min_confidence, explain)
        if self._is_closed:
            raise NotReadyError("The classifier is closed.")
        began = time.monotonic()
        taken = self._taken(photo)
        found = self._computation.compute(taken)
        prediction = to_prediction(found, self._loaded, began, top_k, min_confidence)
        if explain == "none":
            return prediction
        explanation = self._explainer.explain(taken, prediction.top.index)
        return with_explanation(prediction, explanation, began)

    @overload
    def classify_many(
        self,
        photos: Iterable[Photo],
        *,
        top_k: int = 5,
        min_confidence: float = 0.0,
        on_error: Literal["raise"] = "raise",
    ) -> Iterator[Prediction]: ...

    @overload
    def classify_many(
        self,
        photos: Iterable[Photo],
        *,
        top_k: int = 5,
        min_confidence: float = 0.0,
        on_error: Literal["return"],
    ) -> Iterator[Prediction | Failure]: ...

    def classify_many(
        self,
        photos: Iterable[Photo],
        *,
        top_k: int = 5,
        min_confidence: float = 0.0,
        on_error: OnError = "raise",
    ) -> Iterator[Prediction | Failure]:
        """Classify photos side by side; the answers come in the order of the photos.

        No more photos are taken than the threads need ahead, so that there may be any number.

        Args:
            photos: See `Photo`.
            top_k: As for one.
            min_confidence: As for one.
            on_error: What happens to a photo without an answer: `raise` ends it all there, `return`
                puts the error in the place of the answer.

        Raises:
            InvalidParameterError: An option is out of its range.
        """
        check_options(top_k, min_confidence)
        check_on_error(on_error)
        classify = partial(self, top_k=top_k, min_confidence=min_confidence)
        return side_by_side(classify, photos, threads=self._threads, on_error=on_error)

    def _taken(self, photo: Any) -> bytes | Image.Image:
        if isinstance(photo, np.ndarray):
            return image_of(photo)
        if isinstance(photo, Image.Image):
            return photo
        if isinstance(photo, str | Path):
            with Path(photo).open("rb") as file:
                # One byte more than the limit is enough to be refused for it.
                photo = file.read(self._limits.image_bytes + 1)
        if not isinstance(photo, bytes):
            raise TypeError(f"a photo is a path, bytes, an image or an array, not {type(photo)}")
        check_length(photo, self._limits.image_bytes)
        return photo

    def close(self) -> None:
        """Give the model's memory back; whoever asks after that gets `NotReadyError`."""
        self._is_closed = True
        self._loaded.engine.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Classifier {self.name}@{self.version} {self.model.variant}>"
