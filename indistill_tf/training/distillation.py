"""How one network is taught by another."""

import dataclasses

import keras

from indistill_tf import cifd
from indistill_tf.distillation import methods
from indistill_tf.errors import UserError
from indistill_tf.options import option


@dataclasses.dataclass(frozen=True)
class Distillation:
    """A method, and what it needs to know of a pair of networks.

    Attributes:
        method: a name of `indistill_tf.methods.METHODS`, or a `Method`.
        taps: see `Distiller`.
        taps_resize: see `Distiller`.
        global_batch: see `Distiller`.
        information_bottleneck: float, the weight of the rate of a noisy
            embedding, see `indistill_tf.cifd.with_bottleneck`; 0 for none. The
            network that is saved has no noise.
        modules: `ModulesRecipe` of rate-distortion modules that are trained on
            the teacher first and given to the method's task, or None: the task
            has those that its options name, if any.

    Raises:
        UserError: if the method is unknown or has no use for modules.
    """

    method: methods.Method | str = "indistill"
    taps: list | str = "auto"
    taps_resize: bool = option(
        False, "the teacher's maps, by a pixel or two", rare=True
    )
    global_batch: bool = option(
        True, "compare samples across replicas too", rare=True
    )
    information_bottleneck: float = option(
        0.0, "CIFD's noise, weight of its rate", at_least=0.0
    )
    modules: object = None

    def __post_init__(self):
        object.__setattr__(self, "method", methods.get(self.method))
        if self.modules is None:
            return
        if self.method.task is not cifd.ControlledInformationFlow:
            raise UserError(
                f"Method {self.method.name!r} has no use for rate-distortion "
                "modules. Leave them out, or choose 'cifd' (`method` or "
                "`task`)."
            )

    def with_modules(self, modules: keras.Model) -> "Distillation":
        """Returns the distillation whose task has these modules.

        Args:
            modules: `RateDistortionModules`.
        """
        method = methods.get(self.method, task_options={"modules": modules})
        return dataclasses.replace(self, method=method, modules=None)
