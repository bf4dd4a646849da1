"""What a LiteRT graph is made of, by the names of its tensors."""

from dataclasses import dataclass
from typing import Any

from viewfinder.errors import MissingExtraError

_NOT_THERE = -1


@dataclass(frozen=True, slots=True)
class Layer:
    """One operation of a graph.

    Attributes:
        name: Of its output tensor.
        scope: What litert-quantizer's recipes call it.
        kind: As LiteRT calls the operation, for example `CONV_2D`; a number for those that
            litert-quantizer has no name for.
        inputs: The names of the tensors that it reads, weights included.
    """

    name: str
    scope: str
    kind: str
    inputs: tuple[str, ...]


def layers_of(graph: bytes) -> tuple[Layer, ...]:
    """The operations of a graph's main part, in the order in which they run.

    Raises:
        MissingExtraError: litert-quantizer is not installed.
    """
    try:
        from litert_quantizer.utils import tfl_flatbuffer_utils as flatbuffers
    except ImportError as error:
        raise MissingExtraError("Quantisation", "train") from error
    model = flatbuffers.read_model(graph)
    main = model.subgraphs[0]
    return tuple(
        Layer(
            name=_names(main.tensors, operation.outputs)[0],
            scope=flatbuffers.get_op_scope(operation, main.tensors),
            kind=_kind(flatbuffers, model.operatorCodes[operation.opcodeIndex].builtinCode),
            inputs=_names(main.tensors, operation.inputs),
        )
        for operation in main.operators
    )


def _names(tensors: Any, indices: Any) -> tuple[str, ...]:
    return tuple(tensors[n].name.decode() for n in indices if n != _NOT_THERE)


def _kind(flatbuffers: Any, code: int) -> str:
    name = flatbuffers.TFL_OP_CODE_TO_NAME.get(code)
    return str(name.value) if name is not None else str(code)
