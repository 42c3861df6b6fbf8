"""Rate-distortion modules: small assistants made from a teacher's embeddings.

Each passes the teacher's embedding through a noisy code. Its trade-off R says
what a nat of the code may cost: the larger, the closer to the teacher.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any
from typing import Self

import keras
import numpy as np
from keras import ops

from indistill_tf.cifd import rdm_losses
from indistill_tf.cifd.architectures import Architecture
from indistill_tf.cifd.architectures import architecture as find_architecture
from indistill_tf.cifd.density import density as find_density
from indistill_tf.cifd.module_layers import DenseModules
from indistill_tf.cifd.module_layers import ModuleMeans
from indistill_tf.cifd.rdm_options import Options
from indistill_tf.distribution import AnyStrategy
from indistill_tf.errors import UserError
from indistill_tf.finite_training import FiniteTraining
from indistill_tf.hints import Tensor


@keras.saving.register_keras_serializable(package="indistill_tf")
class RateDistortionModules(FiniteTraining, AnyStrategy, keras.Model):
    """M rate-distortion modules of one shape, trained side by side.

    For an embedding X, code Y = enc(X), noisy code Yh and Xh = dec(Yh), module
    m minimises the mean over samples of

    - eq. 4, without a classifier: `R_m d(X, Xh) - log q(Yh)`;
    - eq. 5, with one: `ce_weight CE + kl_weight T**2 KL(teacher || module) +
      R_m d(X, Xh) - log q(Yh)`;
    - without a reconstruction, where R has no distortion to multiply:
      `R_m (ce_weight CE + kl_weight T**2 KL) - log q(Yh)`, which is ours.

    The loss is the sum over modules, whose weights have a leading axis of M
    and nothing in common but the draw of the noise. So an optimizer that works
    elementwise (not one that clips a global norm) trains each as if alone.

    Train it as any model with `fit`, under any strategy, on batches of
    `({"embedding": X, "logits": T}, labels)`; labels and T are not needed
    without a classifier, T not with `kl_weight=0`. `fit` logs
    `accuracy/module_1`, `rate/module_1` and `distortion/module_1` and so on:
    fractions, nats, and what `distortion_reduction` makes of the distortion.

    Args:
        trade_offs: M floats above 0, the R of each module.
        embedding_width: int, D, the teacher's.
        num_classes: int. Defaults to None, for no classifier.
        architecture: a name in `ARCHITECTURES`, or an `Architecture`.
            Defaults to `"cifar_pair"`.
        reconstruction: bool. Defaults to None: the architecture's.
        distortion: `"mse"` or `"smooth_l1"`. Defaults to None: the
            architecture's.
        density: a name in `DENSITIES`. Defaults to `"factorized"`.
        noise_seed: int. Defaults to None: a random one.
        name: string. Defaults to `"rdm"`.
        trainable: bool. Frozen modules have no noise, and log nothing.
            Defaults to True.
        **options: see `Options`: reductions, weights, temperature.

    Call arguments:
        inputs: embeddings `[N, D]`, or a dict with them as `"embedding"`.
        training: bool. Defaults to False: codes are rounded.

    Returns:
        Dict of float32 tensors: `"reconstruction"` `[M, N, D]`, or of the
        decoder's width without a reconstruction in the loss; `"rate"`
        `[M, N]`, nats summed over dimensions; and with a classifier
        `"logits"` `[M, N, classes]`, those of the code as it was sent: rounded
        at inference.

    Raises:
        UserError: if a name is unknown, a trade-off or option out of range, or
            `num_classes` missing.

    Attributes:
        trade_offs: variable `[M]`; another value may be assigned before `fit`.
        modules: int, M.

    References:
        - CIFD, NeurIPS 2024, eq. 2-5
        - [Balle et al., 2018](https://arxiv.org/abs/1802.01436)
    """

    def __init__(
        self,
        trade_offs: Sequence[float],
        embedding_width: int,
        num_classes: int | None = None,
        architecture: str | Architecture = "cifar_pair",
        *,
        reconstruction: bool | None = None,
        distortion: str | None = None,
        density: str = "factorized",
        noise_seed: int | None = None,
        name: str = "rdm",
        trainable: bool = True,
        **options: Any,
    ) -> None:
        super().__init__(name=name, dtype="float32")
        shape = find_architecture(architecture)
        changes = {"reconstruction": reconstruction, "distortion": distortion}
        self.architecture = dataclasses.replace(
            shape, **{k: v for k, v in changes.items() if v is not None}
        )
        self.options = Options(**options)
        trade_offs = np.asarray(trade_offs, "float32")
        _check(trade_offs, self.architecture, num_classes)
        self.modules = len(trade_offs)
        self.embedding_width = embedding_width
        self.num_classes = num_classes
        self.density_name = density
        self.noise_seed = noise_seed
        self.trade_offs = self.add_weight(
            (self.modules,), "ones", trainable=False, name="trade_offs"
        )
        self.trade_offs.assign(trade_offs)
        self._make_layers()
        # A frozen module in another model adds nothing to its logs.
        self._trackers = self._make_trackers() if trainable else {}
        # All widths are known, so nothing is left to build.
        self.built = True
        # Last: Keras passes it on to the layers that there are by now.
        self.trainable = trainable

    def _make_layers(self):
        shape, width = self.architecture, self.embedding_width
        hidden, code, decoder = shape.widths(width)
        self.density = find_density(self.density_name, self.modules)
        outputs = self.density.encoder_outputs * code

        def dense(inputs, units, activation, name):
            layer = DenseModules(self.modules, units, activation, name=name)
            layer.build((self.modules, None, inputs))
            return layer

        self.hidden = dense(width, hidden, "relu", "hidden")
        self.code = dense(hidden, outputs, None, "code")
        self.noise = self.density.noise(seed=self.noise_seed)
        self.density.build((self.modules, None, code))
        self.decoder = dense(code, decoder, "relu", "decoder")
        self.output_layer = None
        if shape.reconstruction and decoder != width:
            self.output_layer = dense(decoder, width, None, "output")
            decoder = width
        self.classifier = None
        if shape.classifier:
            self.classifier = dense(decoder, self.num_classes, None, "logits")
        self.code_width = code

    def _make_trackers(self):
        names = ["rate"]
        names += ["accuracy"] if self.architecture.classifier else []
        names += ["distortion"] if self.architecture.reconstruction else []
        return {name: ModuleMeans(self.modules, name) for name in names}

    def call(
        self, inputs: Tensor | dict, training: bool = False
    ) -> dict[str, Tensor]:
        if isinstance(inputs, dict):
            inputs = inputs["embedding"]
        encoded = self.code(self.hidden(inputs))
        noisy = self.noise(encoded, training=bool(training and self.trainable))
        decoded = self.decoder(noisy)
        if self.output_layer is not None:
            decoded = self.output_layer(decoded)
        sent = noisy if self.density.reads_noisy else encoded
        outputs = {"reconstruction": decoded, "rate": self.density(sent)}
        if self.classifier is not None:
            outputs["logits"] = self.classifier(decoded)
        return outputs

    def compute_loss(
        self,
        x: Tensor | dict | None = None,
        y: Tensor | None = None,
        y_pred: dict | None = None,
        sample_weight: Tensor | None = None,
        training: bool = True,
    ) -> Tensor:
        """Returns the sum over modules of the mean over a replica's samples.

        Args:
            x: dict of `"embedding"` `[N, D]` and `"logits"` `[N, classes]`.
            y: ints `[N]`.
            y_pred: what `call` returns.
            sample_weight: optional weights `[N]`.
            training: unused.

        Returns:
            Scalar, already divided by the number of replicas.

        Raises:
            UserError: if labels or the teacher's logits are needed and missing.
        """
        del training
        shape, options = self.architecture, self.options
        trade_offs = self.trade_offs[:, None]
        x = x if isinstance(x, dict) else {"embedding": x}
        loss = options.rate(y_pred["rate"], self.code_width)
        seen = {"rate": y_pred["rate"]}
        if shape.reconstruction:
            seen["distortion"] = options.distortion(
                x["embedding"], y_pred["reconstruction"], shape.distortion
            )
            loss += trade_offs * seen["distortion"]
        if shape.classifier:
            logits = y_pred["logits"]
            value = options.classification(y, x.get("logits"), logits)
            loss += value if shape.reconstruction else trade_offs * value
            seen["accuracy"] = rdm_losses.is_correct(y, logits)
        if sample_weight is not None:
            loss *= ops.cast(sample_weight, "float32")
        for name, tracker in self._trackers.items():
            tracker.update_state(seen[name], sample_weight)
        # A replica may have nothing of a last, smaller batch.
        samples = ops.cast(ops.maximum(ops.shape(loss)[-1], 1), loss.dtype)
        replicas = self.distribute_strategy.num_replicas_in_sync
        return ops.sum(loss) / (samples * replicas)

    def frozen(self, modules: int | Sequence[int] | None = None) -> Self:
        """Returns a copy of some modules that has no noise and is not trained.

        Args:
            modules: int, or list of ints counting from 0. Defaults to None:
                all of them.

        Returns:
            `RateDistortionModules`; its results keep the leading axis, also
            that of a single module.

        Raises:
            UserError: if there is no such module.
        """
        chosen = range(self.modules) if modules is None else modules
        chosen = [chosen] if isinstance(chosen, int) else list(chosen)
        if not chosen or not all(0 <= i < self.modules for i in chosen):
            raise UserError(
                f"`modules` must be of 0 to {self.modules - 1}. "
                f"Received: modules={modules}"
            )
        config = {**self.get_config(), "trainable": False}
        config["trade_offs"] = [config["trade_offs"][i] for i in chosen]
        copy = type(self).from_config(config)
        for weight, copied in zip(self.weights, copy.weights, strict=True):
            copied.assign(ops.take(weight, np.array(chosen), axis=0))
        return copy

    def predict_step(self, data: Any) -> dict[str, Tensor]:
        # Keras joins batches along the first axis.
        outputs = super().predict_step(data)
        return keras.tree.map_structure(
            lambda value: ops.swapaxes(value, 0, 1), outputs
        )

    def predict(self, *args: Any, **kwargs: Any) -> dict[str, np.ndarray]:
        """Returns what `call` does at inference, for many batches, in NumPy.

        Args:
            *args: see `keras.Model.predict`.
            **kwargs: see `keras.Model.predict`.
        """
        outputs = super().predict(*args, **kwargs)
        return keras.tree.map_structure(
            lambda value: np.swapaxes(value, 0, 1), outputs
        )

    def get_config(self) -> dict:
        return {
            "trade_offs": ops.convert_to_numpy(self.trade_offs).tolist(),
            "embedding_width": self.embedding_width,
            "num_classes": self.num_classes,
            "architecture": dataclasses.asdict(self.architecture),
            "density": self.density_name,
            "noise_seed": self.noise_seed,
            "name": self.name,
            "trainable": self.trainable,
            **dataclasses.asdict(self.options),
        }

    @classmethod
    def from_config(cls, config: dict) -> Self:
        shape = Architecture(**config["architecture"])
        return cls(**{**config, "architecture": shape})


def _check(trade_offs, shape, num_classes):
    if trade_offs.ndim != 1 or not trade_offs.size or trade_offs.min() <= 0:
        raise UserError(
            "`trade_offs` must be one number above 0 for each module. "
            f"Received: trade_offs={trade_offs.tolist()}"
        )
    rdm_losses.check_distortion(shape.distortion)
    if not shape.reconstruction and not shape.classifier:
        raise UserError(
            "A rate-distortion module needs a reconstruction, a classifier or "
            f"both to be trained. Received: {shape}"
        )
    if shape.classifier and not num_classes:
        raise UserError(
            "These modules have a classifier each, so `num_classes` is needed. "
            f"Received: num_classes={num_classes}. Give it, or choose an "
            "architecture with `classifier=False`."
        )
