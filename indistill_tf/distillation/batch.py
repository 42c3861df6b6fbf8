"""What a training step reads of the data."""

import dataclasses

import keras

from indistill_tf.errors import UserError
from indistill_tf.hints import Tensor


@dataclasses.dataclass(frozen=True)
class Batch:
    """Images, and what the data say of them.

    Attributes:
        images: tensor `[N, H, W, C]`.
        labels: tensor `[N, ...]`, or None.
        sample_weight: tensor `[N]`, or None.
        sample_ids: ints `[N]`, the images' positions in the training set, or
            None.
        targets: dict of the teacher's outputs by the names of
            `Distiller.target_names`, or None where the teacher is to compute
            them.
    """

    images: Tensor
    labels: Tensor = None
    sample_weight: Tensor = None
    sample_ids: Tensor = None
    targets: dict | None = None

    @classmethod
    def of(cls, data):
        """Returns the batch of what `fit` hands to a step.

        Args:
            data: `(inputs, labels)` or `(inputs, labels, sample_weight)`, the
                inputs as `inputs` below takes them.
        """
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        return cls.inputs(x, labels=y, sample_weight=sample_weight)

    @classmethod
    def inputs(cls, x, labels=None, sample_weight=None):
        """Returns the batch of what a model is called with.

        Args:
            x: images `[N, H, W, C]`, or a dict with `"image"` and, where the
                data bring them, `"sample_id"` and `"targets"`.
            labels: see `Batch`. Defaults to None.
            sample_weight: see `Batch`. Defaults to None.

        Raises:
            UserError: if a dict has no images.
        """
        if not isinstance(x, dict):
            return cls(x, labels, sample_weight)
        if "image" not in x:
            raise UserError(
                "Data in a dict hold the images as 'image', and may hold "
                f"'sample_id' and 'targets'. Received: {', '.join(x)}"
            )
        return cls(
            x["image"],
            labels,
            sample_weight,
            x.get("sample_id"),
            x.get("targets"),
        )

    def check_labels(self, reader, advice):
        """Checks that the data bring labels.

        Args:
            reader: string, what needs them.
            advice: string, what needs none.

        Raises:
            UserError: if not.
        """
        if self.labels is None:
            raise UserError(
                f"{reader} needs labels, but the data bring images alone. "
                f"Expected (images, labels). {advice}"
            )

    def chosen(self, names):
        """Returns those of some attributes that the data bring, as a dict.

        Args:
            names: strings, such as `"sample_ids"`.
        """
        chosen = {name: getattr(self, name) for name in names}
        return {
            name: value for name, value in chosen.items() if value is not None
        }
