import hashlib

import keras
import numpy as np

from indistill_tf.checksums import checksum

ARRAYS = [np.arange(6, dtype="float32").reshape(2, 3).T, np.float64(3)]


def test_bytes_alone_count():
    expected = hashlib.sha256()
    for array in ARRAYS:
        expected.update(array.tobytes())
    assert checksum(ARRAYS) == expected.hexdigest()
    assert checksum([ARRAYS[0].ravel(), ARRAYS[1]]) == checksum(ARRAYS)


def test_shapes_count_too():
    expected = hashlib.sha256()
    expected.update(b"((3, 2), 'float32')" + ARRAYS[0].tobytes())
    expected.update(b"((1,), 'float64')" + ARRAYS[1].tobytes())
    assert checksum(ARRAYS, shaped=True) == expected.hexdigest()


def test_of_variables():
    variable = keras.Variable(ARRAYS[0], dtype="bfloat16")
    assert checksum([variable]) == checksum([np.asarray(variable)])
    assert checksum([variable]) != checksum(ARRAYS[:1])
    assert checksum([np.empty((3, 0))]) == checksum([])
