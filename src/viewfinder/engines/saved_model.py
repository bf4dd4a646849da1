"""What a SavedModel may hold. Unlike other graphs it can read and write files, or call Python.

Only operations that compute may be reached from the serving signature; what is not known is
refused. `tf.saved_model.load` itself runs the initialisers of resources, such as tables, and what
an object restores itself with, so a SavedModel with these is refused before it is loaded. The
functions that save and restore variables stand beside the signature, which never reaches them.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from viewfinder.errors import BundleError

SIGNATURE = "serving_default"

# Arithmetic, shapes, layers, the reading of variables, and calls of functions.
_COMPUTING = """
    Abs Add AddN AddV2 All Any ArgMax ArgMin AvgPool BatchMatMul BatchMatMulV2 BatchMatMulV3
    BatchToSpace BatchToSpaceND BiasAdd BroadcastArgs BroadcastTo Cast Ceil ClipByValue Concat
    ConcatV2 Const Conv2D CropAndResize Cumsum DepthToSpace DepthwiseConv2dNative Dequantize Div
    DivNoNan Einsum Elu EnsureShape Equal Erf Erfc Exp ExpandDims Expm1 FakeQuantWithMinMaxArgs
    FakeQuantWithMinMaxVars FakeQuantWithMinMaxVarsPerChannel Fill Floor FloorDiv FloorMod
    FusedBatchNorm FusedBatchNormV2 FusedBatchNormV3 Gather GatherNd GatherV2 Greater GreaterEqual
    Identity IdentityN Inv L2Loss LRN LeakyRelu Less LessEqual Log Log1p LogSoftmax LogicalAnd
    LogicalNot LogicalOr MatMul Max MaxPool MaxPoolV2 Maximum Mean Min Minimum MirrorPad Mod Mul
    MulNoNan Neg NoOp NotEqual OneHot OnesLike Pack Pad PadV2 PartitionedCall Placeholder Pow
    PreventGradient Prod QuantizeAndDequantizeV2 QuantizeAndDequantizeV3 QuantizeAndDequantizeV4
    QuantizeV2 Range Rank ReadVariableOp RealDiv Reciprocal Relu Relu6 Reshape ResizeArea
    ResizeBicubic ResizeBilinear ResizeNearestNeighbor ResourceGather ReverseV2 Roll Round Rsqrt
    ScaleAndTranslate Select SelectV2 Selu Shape ShapeN Sigmoid Sign Size Slice Softmax Softplus
    Softsign SpaceToBatch SpaceToBatchND SpaceToDepth Split SplitV Sqrt Square SquaredDifference
    Squeeze StatefulPartitionedCall StopGradient StridedSlice Sub Sum Tanh Tile TopK TopKV2
    Transpose TruncateDiv TruncateMod Unpack VarHandleOp Where Xdivy Xlogy ZerosLike
"""
COMPUTING_OPS = frozenset(_COMPUTING.split())


def check_file(path: Path, document: Any) -> None:
    """Refuse a SavedModel that does more than compute, before TensorFlow loads it.

    Args:
        path: `saved_model.pb`.
        document: An empty `SavedModel` message, which is filled.

    Raises:
        BundleError: It is no SavedModel of TensorFlow 2, or it does more; the operation is named.
    """
    try:
        document.ParseFromString(path.read_bytes())
        (graph,) = document.meta_graphs
    except Exception as error:  # protobuf has several implementations, each with its own errors
        raise BundleError(f"{path.name} is not a graph that TensorFlow can run") from error
    for node in graph.object_graph_def.nodes:
        kind = node.WhichOneof("kind")
        if kind in {"resource", "asset"} or node.saveable_objects or node.registered_name:
            raise BundleError(f"the SavedModel holds {kind or 'an object'} that runs when loaded")
    check_calls([_signature(graph.object_graph_def)], graph.graph_def.library)


def check_graph(graph: Any) -> None:
    """Refuse a graph that does more than compute, before it is called.

    Args:
        graph: The `GraphDef` of a loaded function.

    Raises:
        BundleError: It reaches an operation that is not among those that compute.
    """
    calls = _check_nodes(
        graph.node, {function.signature.name for function in graph.library.function}
    )
    check_calls(calls, graph.library)


def check_calls(names: Iterable[str], library: Any) -> None:
    """Refuse functions of which one, or one that it calls, does more than compute.

    Args:
        names: The functions.
        library: A `FunctionDefLibrary` that holds them.

    Raises:
        BundleError: An operation is not among those that compute, or a function is missing.
    """
    functions = {function.signature.name: function for function in library.function}
    waiting, seen = set(names), set[str]()
    while waiting:
        name = waiting.pop()
        seen.add(name)
        if name not in functions:
            raise BundleError("the SavedModel calls a function that it does not hold")
        waiting |= _check_nodes(functions[name].node_def, set(functions)) - seen


def _check_nodes(nodes: Iterable[Any], functions: set[str]) -> set[str]:
    """The functions that the nodes call, once every one of them is found to compute."""
    calls = set()
    for node in nodes:
        if node.op in functions:
            calls.add(node.op)
        elif node.op not in COMPUTING_OPS:
            raise BundleError(f"the SavedModel holds the operation {node.op}, which is not run")
        for value in node.attr.values():
            called = [value.func] if value.HasField("func") else value.list.func
            calls |= {function.name for function in called}
    return calls


def _signature(graph: Any) -> str:
    """The name of the function behind `serving_default`."""
    found = 0
    for step in ("signatures", SIGNATURE):
        children = graph.nodes[found].children if found < len(graph.nodes) else ()
        numbers = [child.node_id for child in children if child.local_name == step]
        if len(numbers) != 1 or not 0 < numbers[0] < len(graph.nodes):
            raise BundleError(f"the SavedModel has no signature {SIGNATURE} of TensorFlow 2")
        (found,) = numbers
    return str(graph.nodes[found].bare_concrete_function.concrete_function_name)
