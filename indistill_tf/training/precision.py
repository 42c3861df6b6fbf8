"""The precision in which convolutions are computed."""

import contextlib
import os
import pathlib
from collections.abc import Iterator

import tensorflow as tf

from indistill_tf.errors import UserError
from indistill_tf.errors import unknown_name

FLOAT32, BFLOAT16 = "float32", "bfloat16"
CHOICES = (FLOAT32, BFLOAT16)

_REWRITE = "auto_mixed_precision_onednn_bfloat16"
_NOT_REWRITTEN = "TF_AUTO_MIXED_PRECISION_GRAPH_REWRITE_ALLOWLIST_REMOVE"
# The losses compare samples and channels by products of matrices, which eight
# bits are too few for.
_PRODUCTS = "MatMul,BatchMatMul,BatchMatMulV2,Einsum"
_INSTRUCTIONS = {"avx512_bf16", "amx_bf16"}
_PROCESSOR = pathlib.Path("/proc/cpuinfo")


def check(precision: str) -> None:
    """Checks that this machine computes in a precision.

    Args:
        precision: `"float32"` or `"bfloat16"`.

    Raises:
        UserError: if it is unknown, or the machine would emulate it.
    """
    if precision not in CHOICES:
        raise unknown_name("precision", precision, CHOICES)
    if precision == FLOAT32:
        return
    if tf.config.list_physical_devices("GPU"):
        raise UserError(
            "`precision=bfloat16` is of processors, and this machine has a "
            "GPU. Use float32, or build the networks under Keras' policy "
            "'mixed_bfloat16'."
        )
    if not _has_bfloat16():
        raise UserError(
            "`precision=bfloat16` needs a processor that computes in it "
            f"({' or '.join(sorted(_INSTRUCTIONS))} in {_PROCESSOR}); this one "
            "would emulate it, slower. Use float32."
        )


@contextlib.contextmanager
def computing_in(precision: str) -> Iterator[None]:
    """Computes convolutions in a precision within a `with` statement.

    TensorFlow rewrites the graphs of its functions: convolutions, and what
    lies between them, take and give bfloat16. Models, weights, gradients of
    weights and losses are float32 as before, and so are products of matrices.

    Args:
        precision: `"float32"` or `"bfloat16"`.
    """
    if precision == FLOAT32:
        yield
        return
    os.environ[_NOT_REWRITTEN] = _PRODUCTS
    tf.config.optimizer.set_experimental_options({_REWRITE: True})
    try:
        yield
    finally:
        tf.config.optimizer.set_experimental_options({_REWRITE: False})
        del os.environ[_NOT_REWRITTEN]


def _has_bfloat16():
    if not _PROCESSOR.exists():
        return False
    return bool(_INSTRUCTIONS & set(_PROCESSOR.read_text().split()))
