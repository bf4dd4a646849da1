"""Which graph is exported: a variant of the version, or one that is made from its weights."""

from viewfinder.errors import ConversionError, InvalidParameterError
from viewfinder.pipelines.original import original_backbone
from viewfinder.pipelines.variants.graphs import FLOAT32, Format
from viewfinder.registry.bundle import Bundle
from viewfinder.registry.manifest import Variant


def choose(bundle: Bundle, format_: Format, name: str | None) -> Variant | None:
    """The variant to export; None if none has the format."""
    manifest = bundle.manifest
    if name is not None:
        try:
            named = manifest.variant(name)
        except KeyError as error:
            known = ", ".join(f"{one.name} ({one.format})" for one in manifest.variants)
            raise InvalidParameterError(
                f"{bundle.manifest.called} has no variant '{name}'; it has {known}"
            ) from error
        if named.format != format_:
            raise InvalidParameterError(f"the variant '{name}' is {named.format}, not {format_}")
        return named
    fitting = [one for one in manifest.variants if one.format == format_]
    if manifest.variant() in fitting:
        return manifest.variant()
    return max(fitting, key=_worth, default=None)


def _worth(variant: Variant) -> tuple[float, bool, bool]:
    """The more accurate, and of two that are as accurate the more exact."""
    accuracy = -1.0 if variant.accuracy is None else variant.accuracy
    return accuracy, variant.name == FLOAT32, variant.name.startswith("float")


def is_foreign(bundle: Bundle) -> bool:
    """Whether the graphs of a version were made elsewhere."""
    try:
        original_backbone(bundle)
    except ConversionError:
        return True
    return False


def check_made_here(bundle: Bundle, format_: Format) -> None:
    """Refuse to make a graph where there are no weights to make it from.

    Raises:
        ConversionError: The version was made elsewhere.
    """
    if is_foreign(bundle):
        held = sorted({one.format for one in bundle.manifest.variants})
        raise ConversionError(
            f"{bundle.manifest.called} was not trained by Viewfinder: it can be exported only as "
            f"{' or '.join(held)}, which it holds, not as {format_}"
        )


def float_variant(bundle: Bundle, format_: Format) -> Variant:
    """What is known of a graph that is made from the weights."""
    manifest = bundle.manifest
    float32 = next((one for one in manifest.variants if one.name == FLOAT32), None)
    return (float32 or manifest.variant()).model_copy(
        update={
            "name": FLOAT32,
            "format": format_,
            "accuracy": float32.accuracy if float32 else None,
            "latency": None,
        }
    )
