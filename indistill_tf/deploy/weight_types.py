"""What type the weights in a LiteRT file really are.

The converter leaves weights as they were where it cannot quantise them, and
says nothing.
"""

import collections
import dataclasses
import math

from tensorflow.lite.python import schema_py_generated as schema

from indistill_tf.errors import UserError

_DEPTHWISE = "DEPTHWISE_CONV_2D"
_OPERATIONS = ("CONV_2D", _DEPTHWISE, "FULLY_CONNECTED")
_EXPECTED = {
    "float32": "FLOAT32",
    "fp16": "FLOAT16",
    "dynamic": "INT8",
    "int8": "INT8",
    "int4": "INT4",
}
# TensorFlow's converter leaves smaller kernels alone in this kind.
_LEAST = {"dynamic": 1024}


@dataclasses.dataclass(frozen=True)
class Kernel:
    """The weights of one convolution or dense layer in a file.

    Attributes:
        operation: such as `"CONV_2D"`.
        type: such as `"INT8"`.
        size: int, how many values.
        output: the name of the tensor that the operation computes.
    """

    operation: str
    type: str
    size: int
    output: str = dataclasses.field(default="", compare=False)


def kernels(content: bytes) -> list[Kernel]:
    """Returns the kernels of a LiteRT file, in the order of its operations.

    Args:
        content: of the file.
    """
    model = schema.ModelT.InitFromPackedBuf(content, 0)
    codes = [
        _name(
            schema.BuiltinOperator, max(x.builtinCode, x.deprecatedBuiltinCode)
        )
        for x in model.operatorCodes
    ]
    return [
        kernel for graph in model.subgraphs for kernel in _kernels(graph, codes)
    ]


def keeps_8_bits(number: int, kernel: Kernel) -> bool:
    """Returns whether a kernel is int8 where others are int4.

    The first one has few weights, and all that follows depends on them. LiteRT
    multiplies no depthwise kernels of 4 bits.

    Args:
        number: int, where it stands among `kernels`.
        kernel: `Kernel`.
    """
    return number == 0 or kernel.operation == _DEPTHWISE


def check(content: bytes, kind: str) -> None:
    """Checks that kernels are of the type that was asked for.

    Args:
        content: of a LiteRT file.
        kind: see `litert.convert`.

    Raises:
        UserError: if one is not.
    """
    others = collections.Counter(
        f"{kernel.operation} {kernel.type}"
        for number, kernel in enumerate(kernels(content))
        if kernel.size >= _LEAST.get(kind, 0)
        and kernel.type != _expected(number, kernel, kind)
    )
    if others:
        raise UserError(
            f"Weights of the kind {kind!r} are {_EXPECTED[kind]}. Received: "
            f"{_in_words(others)}. Choose another format for this network."
        )


def _kernels(graph, codes):
    stored = {}
    for operator in graph.operators:
        operation = codes[operator.opcodeIndex]
        if operation == "DEQUANTIZE":
            stored[operator.outputs[0]] = operator.inputs[0]
        elif operation in _OPERATIONS:
            index = operator.inputs[1]
            tensor = graph.tensors[stored.get(index, index)]
            yield Kernel(
                operation,
                _name(schema.TensorType, tensor.type),
                math.prod(map(int, tensor.shape)),
                graph.tensors[operator.outputs[0]].name.decode(),
            )


def _expected(number, kernel, kind):
    if kind == "int4" and keeps_8_bits(number, kernel):
        return "INT8"
    return _EXPECTED[kind]


def _in_words(counted):
    return ", ".join(f"{count} x {what}" for what, count in counted.items())


def _name(kinds, value):
    """Returns the name of a value of one of the schema's enumerations."""
    return next(name for name, x in vars(kinds).items() if x == value)
