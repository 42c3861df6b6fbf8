"""Checksums by which results are known again."""

import hashlib
from collections.abc import Iterable

import numpy as np

from indistill_tf.hints import Tensor


def checksum(arrays: Iterable[Tensor], shaped: bool = False) -> str:
    """Returns the SHA-256 of the bytes of arrays.

    Args:
        arrays: arrays or variables.
        shaped: bool, whether their shapes and dtypes count too. Defaults to
            False.
    """
    digest = hashlib.sha256()
    for array in arrays:
        array = np.ascontiguousarray(array)
        if shaped:
            digest.update(repr((array.shape, str(array.dtype))).encode())
        # As bytes: bfloat16 has no buffer of its own.
        digest.update(array.view("uint8"))
    return digest.hexdigest()
