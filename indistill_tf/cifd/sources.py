"""What teaches a student in CIFD: a teacher, and frozen modules beside it."""

import keras
from keras import layers
from keras import ops

from indistill_tf.cifd.rdm import RateDistortionModules
from indistill_tf.errors import UserError
from indistill_tf.losses.numerics import kept


@keras.saving.register_keras_serializable(package="indistill_tf")
class SourceWeights(layers.Layer):
    """The weight of each source in one step, 0 where it is cut.

    In training each source is cut by itself with probability `dropout`, drawn
    for each batch. A teacher without modules is never cut.

    Args:
        module_weight: float, of each module; the teacher's is 1. Defaults
            to 1.
        dropout: float from 0, below 1. Defaults to 0.25.
        seed: int or None. Defaults to None: a random one.
        **kwargs: `name` and `dtype` of the layer.

    Raises:
        UserError: if `dropout` is out of range.

    References:
        - [Son et al., 2021](https://arxiv.org/abs/2009.08825)
    """

    def __init__(self, module_weight=1.0, dropout=0.25, seed=None, **kwargs):
        super().__init__(**kwargs)
        if not 0 <= dropout < 1:
            raise UserError(
                f"CIFD needs 0 <= dropout < 1. Received: dropout={dropout}"
            )
        self.module_weight = module_weight
        self.dropout = dropout
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)
        self.built = True

    def draw(self, sources, training):
        """Returns the weights `[sources]` of one step, the teacher's first.

        Args:
            sources: int, the number of modules and 1 for the teacher.
            training: bool, whether sources are cut.
        """
        weights = ops.convert_to_tensor(
            [1.0] + [self.module_weight] * (sources - 1), self.compute_dtype
        )
        if not training:
            return weights
        return weights * kept(sources, self.dropout, self.seed_generator)

    # Keras saves no seeds: a resumed training would cut other sources.
    def save_own_variables(self, store):
        store["seed"] = self.seed_generator.state

    def load_own_variables(self, store):
        self.seed_generator.state.assign(store["seed"])

    def get_config(self):
        return {
            **super().get_config(),
            "module_weight": self.module_weight,
            "dropout": self.dropout,
            "seed": self.seed,
        }


def frozen_modules(modules):
    """Returns modules without noise, or None for none.

    Args:
        modules: `RateDistortionModules`, a `.keras` file of them, or `"none"`
            or None.

    Raises:
        UserError: if the file holds no modules.
    """
    if modules is None or isinstance(modules, str) and modules == "none":
        return None
    if isinstance(modules, RateDistortionModules):
        return modules.frozen()
    try:
        loaded = keras.saving.load_model(modules, compile=False)
    except (OSError, ValueError) as error:
        raise UserError(
            f"No modules can be read from {modules}: "
            f"{str(error).splitlines()[0]}"
        ) from error
    if not isinstance(loaded, RateDistortionModules):
        raise UserError(
            f"{modules} holds a {type(loaded).__name__}, not rate-distortion "
            "modules. Name a file that tools/train_rdm.py wrote."
        )
    return loaded.frozen()
