"""One tensor of a PyTorch `state_dict` and the variables it holds."""

import collections.abc
import dataclasses

import numpy as np


def _same(array):
    return array


@dataclasses.dataclass(frozen=True)
class Tensor:
    """One PyTorch tensor of a layer.

    Args:
        suffix: string, its name in the PyTorch layer.
        variables: tuple of `keras.Variable`, what it holds.
        pack: function from their arrays to the tensor's. Defaults to the one
            array as it is.
        unpack: its inverse for one variable, or for several a function
            returning a tuple. Defaults to the array as it is.
    """

    suffix: str
    variables: tuple
    pack: collections.abc.Callable = _same
    unpack: collections.abc.Callable = _same

    def shape(self):
        """Returns the tensor's shape without reading the variables' values."""
        blanks = [np.broadcast_to(0, v.shape) for v in self.variables]
        return self.pack(*blanks).shape

    def value(self):
        """Returns the tensor's value as an array; no bfloat16."""
        arrays = [variable.numpy() for variable in self.variables]
        array = np.ascontiguousarray(self.pack(*arrays))
        # Neither an .npz file nor torch.from_numpy knows NumPy's bfloat16.
        return array.astype("float32") if array.dtype.kind == "V" else array

    def values(self, array):
        """Returns a list with the value of each variable.

        Args:
            array: the tensor's value.
        """
        arrays = self.unpack(array)
        return [arrays] if len(self.variables) == 1 else list(arrays)
