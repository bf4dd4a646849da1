"""Class activation: each place of the last feature map has its share in the logit of a class.

Zhou et al., Learning Deep Features for Discriminative Localization, CVPR 2016. It takes a graph
that gives its feature map, and a head that is one layer on the mean of it.
"""

import numpy as np
from numpy.typing import NDArray


def class_activation(
    features: NDArray[np.float32], head: NDArray[np.float32], index: int
) -> NDArray[np.float32]:
    """What each place says for a class, compared with what it says for classes on the average.

    A softmax heeds only how logits differ: what a place adds to all of them alike says nothing.

    Args:
        features: float32 `[h, w, F]`.
        head: float32 `[F, classes]`.
        index: The class.

    Returns:
        float32 `[h, w]`, below 0 where a place speaks against the class.
    """
    activation: NDArray[np.float32] = features @ (head[:, index] - head.mean(axis=1))
    return activation
