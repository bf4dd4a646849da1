"""From pixels to what a backbone was trained on; each backbone carries its own inside its graph."""

from dataclasses import dataclass

# Of ImageNet's red, green and blue, of pixels divided by 255.
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

Channels = float | tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Scaling:
    """The graph computes `pixel * scale + offset` from RGB pixels of 0-255.

    Attributes:
        scale: One factor, or one for each of red, green and blue.
        offset: See `scale`.
        swapped: The published weights expect blue, green, red. The loader turns the kernel of the
            first convolution round instead of the pixels: the same sums, and no operation that a
            converter could stumble over.
    """

    scale: Channels
    offset: Channels
    swapped: bool = False


# pixel / 127.5 - 1: from -1 to 1.
SYMMETRIC = Scaling(scale=1 / 127.5, offset=-1.0)
# Caffe's: the mean of ImageNet in grey levels is taken off, nothing is divided.
CAFFE = Scaling(scale=1.0, offset=(-123.68, -116.779, -103.939), swapped=True)
# (pixel / 255 - mean) / std, as PyTorch's models want it.
STANDARDISED = Scaling(
    scale=(1 / (255 * 0.229), 1 / (255 * 0.224), 1 / (255 * 0.225)),
    offset=(-0.485 / 0.229, -0.456 / 0.224, -0.406 / 0.225),
)
