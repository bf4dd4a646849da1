"""The Keras model that a version was made of, so that other graphs can be made of it."""

from importlib import util
from typing import Any

from viewfinder.errors import ConversionError, MissingExtraError
from viewfinder.modeling.backbones import BACKBONES, Backbone, Head
from viewfinder.registry.bundle import Bundle
from viewfinder.registry.store import is_builtin

WEIGHTS = "weights.npz"
"""The document of a bundle that holds them."""


def original_backbone(bundle: Bundle) -> Backbone:
    """The preset that a version was built from.

    Raises:
        ConversionError: It was made elsewhere.
    """
    backbone = BACKBONES.get(str(bundle.manifest.provenance.get("backbone")))
    if backbone is None:
        raise ConversionError(
            f"{bundle.manifest.called} was not trained by Viewfinder: "
            "other graphs cannot be made of it"
        )
    return backbone


def original_model(bundle: Bundle) -> Any:
    """Build the `keras.Model` of a version, with the weights that it was sealed with.

    Returns:
        uint8 `[N, S, S, 3]` to float32 `[N, C]` logits.

    Raises:
        BundleError: The file of its weights is not what was sealed.
        ConversionError: It was made elsewhere, or by a release that kept no weights.
        MissingExtraError: Keras is not installed.
        WeightsError: They belong to another architecture.
    """
    backbone = original_backbone(bundle)
    document = next((one for one in bundle.manifest.documents if one.path == WEIGHTS), None)
    if document is None and not is_builtin(bundle):
        raise ConversionError(
            f"{bundle.manifest.called} holds no weights to make other graphs of; train it again"
        )
    if util.find_spec("tensorflow") is None:
        raise MissingExtraError("Making other graphs of a model", "train")
    # Keras takes seconds to import.
    from viewfinder.modeling.classifier import build_classifier, imagenet_classifier
    from viewfinder.modeling.saving import unpack_weights

    if document is None:
        return imagenet_classifier(backbone)
    head: Head = "mlp" if bundle.manifest.provenance.get("head") == "mlp" else "linear"
    model = build_classifier(backbone, len(bundle.manifest.labels), head=head)
    unpack_weights(model, bundle.verified(document).read_bytes())
    return model
