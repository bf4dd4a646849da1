"""`bundle.json`: everything about one model version but its graphs."""

from collections.abc import Mapping
from datetime import datetime
from pathlib import PurePosixPath
from types import MappingProxyType
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from viewfinder.imaging.geometry import PreprocessSpec
from viewfinder.registry.reference import Reference
from viewfinder.types import is_model_name

SCHEMA_VERSION: Literal[1] = 1

ENGINES: Mapping[str, str] = MappingProxyType(
    {
        "litert": "litert",
        "onnx": "onnx",
        "openvino": "openvino",
        "tensorflow": "saved_model",
        "fake": "fake",
    }
)
"""The engines that come with Viewfinder, and the format of their graphs."""


def _check_name(name: str) -> str:
    if not is_model_name(name):
        raise ValueError("a name is 1-64 of a-z 0-9 . _ - and starts with a letter or digit")
    return name


def _check_inside(path: str) -> str:
    parts = PurePosixPath(path).parts
    if (
        not path.isprintable()
        or not parts
        or path.startswith("/")
        or ".." in parts
        or "\\" in path
        or "\0" in path
    ):
        raise ValueError("a file of a bundle lies inside its folder")
    return path


Name = Annotated[str, AfterValidator(_check_name)]
InnerPath = Annotated[str, AfterValidator(_check_inside)]
EngineName = Annotated[str, Field(pattern=r"^[a-z0-9_-]{1,64}$")]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Label(_Part):
    """One class.

    Attributes:
        name: What an answer calls it; unique in the bundle.
        id: A name from outside, such as a WordNet synset.
        description: What it means.
    """

    name: str = Field(min_length=1, max_length=200)
    id: str | None = None
    description: str | None = None


class File(_Part):
    """A file of the bundle, checked against these numbers before it is used.

    Attributes:
        path: In the bundle's folder, with `/` between its parts; never outside.
        bytes: Its size.
        sha256: Of what it holds, in hexadecimal.
    """

    path: InnerPath
    bytes: int = Field(ge=0)
    sha256: Sha256


class Calibration(_Part):
    """How logits become confidence.

    Attributes:
        temperature: Logits are divided by it before the softmax (Guo et al., 2017); 1 changes
            nothing.
        abstain_below: An answer under this confidence is "I don't know"; None never abstains.
    """

    temperature: float = Field(1.0, ge=0.01, le=100)
    abstain_below: float | None = Field(None, ge=0, le=1)


Triple = tuple[float, float, float]
Positive = Annotated[float, Field(gt=0)]


class Scaling(_Part):
    """What a foreign graph wants done to its pixels: `(pixel - mean) / std`, pixels 0-255.

    Graphs that Viewfinder makes scale inside. One value for each channel, in the order that the
    geometry gives them.

    Attributes:
        mean: What is taken from each channel.
        std: What each channel is then divided by.
    """

    mean: Triple
    std: tuple[Positive, Positive, Positive]


class ExpectedScore(_Part):
    """What the variant answered for one class when the bundle was sealed.

    Attributes:
        index: The place of the class in `labels`.
        confidence: Of that class, 0-1, calibrated.
    """

    index: int = Field(ge=0)
    confidence: float = Field(ge=0, le=1)


class GoldenSample(_Part):
    """A photo and the answer that it must get.

    Attributes:
        file: The photo.
        top: The best classes, first the very best.
    """

    file: File
    top: tuple[ExpectedScore, ...] = Field(min_length=1)


class Golden(_Part):
    """Proof on this machine that the variant still does what it did where it was made.

    Attributes:
        tolerance: How far a confidence may be off, 0-1. Processors round differently.
        samples: Photos with their answers.
    """

    tolerance: float = Field(gt=0, le=1)
    samples: tuple[GoldenSample, ...] = ()


class Latency(_Part):
    """How long one image takes on one core, and where that was measured.

    Attributes:
        p50_ms: Milliseconds; half of the images take longer.
        machine: The processor, and what else matters.
    """

    p50_ms: float = Field(gt=0)
    machine: str


class Features(_Part):
    """For a graph that gives its last feature map too: what its head makes of that.

    Attributes:
        weights: float32 `[F, classes]` as `.npy`: logits are the mean over the map, which has `F`
            channels, times these, and a bias.
    """

    weights: File


class Variant(_Part):
    """One graph of the model version: the same labels, another trade of size, speed, accuracy.

    Attributes:
        name: For example `float32` or `int8`.
        format: The file's format; for an engine of Viewfinder's own, one of those in `ENGINES`.
        engine: The engine that runs it: one of `ENGINES`, or one that another package brings.
            `fake` is for tests and load tests.
        file: The graph.
        assets: What the graph needs beside it, such as the weights of a SavedModel.
        preprocess: How a photo becomes its input.
        scaling: For foreign graphs only; None gives the graph its pixels as they are, 0-255.
        output: What the graph gives for each class.
        calibration: How that becomes confidence.
        golden: What it must still answer before it serves.
        accuracy: Top-1 on the validation set, 0-1, if measured.
        latency: If measured where it was made.
        reference: What it said of the validation photos, if there were any.
        features: How heat maps are drawn from its feature map; None if it gives none.
    """

    name: Name
    format: EngineName
    engine: EngineName
    file: File
    assets: tuple[File, ...] = ()
    preprocess: PreprocessSpec
    scaling: Scaling | None = None
    output: Literal["logits", "probabilities"] = "logits"
    calibration: Calibration = Calibration()
    golden: Golden
    accuracy: float | None = Field(None, ge=0, le=1)
    latency: Latency | None = None
    reference: Reference | None = None
    features: Features | None = None

    @model_validator(mode="after")
    def _check(self) -> "Variant":
        if self.format != ENGINES.get(self.engine, self.format):
            raise ValueError(f"the engine {self.engine} runs no graphs of the format {self.format}")
        return self

    @property
    def size(self) -> int:
        """Bytes of the graph with what it needs beside it."""
        return self.file.bytes + sum(asset.bytes for asset in self.assets)


class Manifest(_Part):
    """The whole of `bundle.json`.

    Attributes:
        schema_version: Of this form; another one is refused.
        name: Of the model: 1-64 of `a-z 0-9 . _ -`, beginning with a letter or a digit.
        version: Counts up; never used again for something else.
        created: When it was sealed.
        task: What the model does.
        labels: The classes, in the order of the graphs' output; no name comes twice.
        variants: Its graphs; no name comes twice.
        recommended: The name of the variant that answers.
        evaluation: In short; the whole of it is among the documents.
        documents: For people and tools: the report of an evaluation. Serving reads none of them.
        provenance: What it was made from, and how: data, weights, licences, versions, seeds.
    """

    schema_version: Literal[1] = SCHEMA_VERSION
    name: Name
    version: int = Field(ge=1, le=999_999_999)
    created: datetime
    task: Literal["classification"] = "classification"
    labels: tuple[Label, ...] = Field(min_length=1)
    variants: tuple[Variant, ...] = Field(min_length=1)
    recommended: str
    evaluation: dict[str, Any] | None = None
    documents: tuple[File, ...] = ()
    provenance: dict[str, Any]

    @model_validator(mode="after")
    def _check(self) -> "Manifest":
        names = [label.name for label in self.labels]
        if len(set(names)) != len(names):
            raise ValueError("two labels have the same name")
        variants = [variant.name for variant in self.variants]
        if len(set(variants)) != len(variants):
            raise ValueError("two variants have the same name")
        if self.recommended not in variants:
            raise ValueError("the recommended variant is not in the bundle")
        for variant in self.variants:
            for sample in variant.golden.samples:
                if any(score.index >= len(names) for score in sample.top):
                    raise ValueError("a golden sample expects a class that the model lacks")
            if variant.reference and max(variant.reference.classes) >= len(names):
                raise ValueError("a reference counts a class that the model lacks")
        return self

    @property
    def files(self) -> tuple[File, ...]:
        """Every file that belongs to the bundle; one that several parts share comes once."""
        files = [
            file
            for variant in self.variants
            for file in (
                variant.file,
                *variant.assets,
                *(sample.file for sample in variant.golden.samples),
                *((variant.features.weights,) if variant.features is not None else ()),
            )
        ]
        files += self.documents
        return tuple(dict.fromkeys(files))

    @property
    def called(self) -> str:
        """`name@version`, as people and the API say it."""
        return f"{self.name}@{self.version}"

    def variant(self, name: str | None = None) -> Variant:
        """The named variant; without a name, the recommended one.

        Raises:
            KeyError: The bundle has no such variant.
        """
        wanted = name or self.recommended
        for variant in self.variants:
            if variant.name == wanted:
                return variant
        raise KeyError(wanted)
