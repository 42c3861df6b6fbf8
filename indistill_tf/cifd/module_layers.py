"""Layers and metrics of several modules side by side.

All weights have a leading axis of modules, so that one matrix product computes
all of them. No value of one module depends on another's.
"""

import keras
from keras import ops


class DenseModules(keras.layers.Layer):
    """M dense layers of one shape, each with weights of its own.

    Each kernel starts like that of `keras.layers.Dense`, Glorot uniform.

    Args:
        modules: int, M.
        units: int, the width of the output.
        activation: name or None. Defaults to None.
        **kwargs: `name` of the layer. It computes in float32.

    Call arguments:
        inputs: `[M, N, D]`, or `[N, D]` for the same inputs to all modules.

    Returns:
        Tensor `[M, N, units]`.
    """

    def __init__(self, modules, units, activation=None, **kwargs):
        super().__init__(**{**kwargs, "dtype": "float32"})
        self.modules = modules
        self.units = units
        self.activation = keras.activations.get(activation)

    def build(self, shape):
        # Keras takes a leading axis for a window and divides the variance by
        # its size; the scale of M undoes that.
        glorot = keras.initializers.VarianceScaling(
            self.modules, "fan_avg", "uniform"
        )
        self.kernel = self.add_weight(
            (self.modules, shape[-1], self.units), glorot, name="kernel"
        )
        self.bias = self.add_weight(
            (self.modules, 1, self.units), "zeros", name="bias"
        )

    def call(self, inputs):
        return self.activation(ops.matmul(inputs, self.kernel) + self.bias)


class ModuleMeans(keras.metrics.Metric):
    """The mean over samples of one number for each module.

    Args:
        modules: int, M.
        name: string; the results are called `name/module_1` and so on.
    """

    def __init__(self, modules, name):
        super().__init__(name=name, dtype="float32")
        self.modules = modules
        self.total = self.add_variable((modules,), "zeros", name="total")
        self.count = self.add_variable((), "zeros", name="count")

    def update_state(self, values, sample_weight=None):
        """Adds a batch.

        Args:
            values: tensor `[M, N]`.
            sample_weight: tensor `[N]`. Defaults to None: all 1.
        """
        values = ops.cast(values, self.dtype)
        weight = ops.ones_like(values[0])
        if sample_weight is not None:
            weight = ops.cast(sample_weight, self.dtype)
        self.total.assign_add(ops.sum(values * weight, axis=-1))
        self.count.assign_add(ops.sum(weight))

    def result(self):
        """Returns a dict of scalars."""
        means = ops.divide_no_nan(self.total, self.count)
        return {
            f"{self.name}/module_{index + 1}": means[index]
            for index in range(self.modules)
        }
