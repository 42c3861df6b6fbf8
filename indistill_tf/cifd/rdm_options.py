"""How the terms of a rate-distortion module's loss are weighed and reduced."""

import dataclasses

from keras import ops

from indistill_tf.cifd import rdm_losses
from indistill_tf.errors import UserError


@dataclasses.dataclass(frozen=True)
class Options:
    """What the paper leaves open, or gives for each experiment.

    Attributes:
        rate_reduction: `"sum"` or `"mean"` over the code's dimensions. The
            paper does not say; eq. 4 as printed is a sum. What R means depends
            on both reductions, which is why R is calibrated rather than copied.
            Defaults to `"sum"`.
        distortion_reduction: the same over the embedding's dimensions.
        ce_weight: float, of the cross-entropy. Defaults to 1.
        kl_weight: float, of the divergence from the teacher. Defaults to 1.
        temperature: float above 0, of that divergence, which is multiplied by
            its square (ours). Defaults to 2, the students' in the paper.

    Raises:
        UserError: if a value is out of range.

    References:
        - CIFD, NeurIPS 2024, eq. 4 and 5
    """

    rate_reduction: str = "sum"
    distortion_reduction: str = "sum"
    ce_weight: float = 1.0
    kl_weight: float = 1.0
    temperature: float = 2.0

    def __post_init__(self):
        rdm_losses.check_reduction(self.rate_reduction)
        rdm_losses.check_reduction(self.distortion_reduction)
        if min(self.ce_weight, self.kl_weight) < 0 or self.temperature <= 0:
            raise UserError(
                "`ce_weight` and `kl_weight` must be at least 0 and "
                "`temperature` above 0. "
                f"Received: {self}"
            )

    def rate(self, nats, code_width):
        """Returns the term of the rate.

        Args:
            nats: tensor `[M, N]`, summed over dimensions.
            code_width: int.
        """
        return nats / code_width if self.rate_reduction == "mean" else nats

    def distortion(self, embedding, reconstruction, kind):
        """Returns the distortion, `[M, N]`, before its trade-off.

        Args:
            embedding: `[N, D]`.
            reconstruction: `[M, N, D]`.
            kind: see `rdm_losses.distortion`.
        """
        return rdm_losses.distortion(
            ops.cast(embedding, "float32"),
            reconstruction,
            kind,
            self.distortion_reduction,
        )

    def classification(self, labels, teacher_logits, logits):
        """Returns the weighed cross-entropy and divergence, `[M, N]`.

        Args:
            labels: ints `[N]`.
            teacher_logits: `[N, classes]`, or None where `kl_weight` is 0.
            logits: `[M, N, classes]`.

        Raises:
            UserError: if one is missing.
        """
        if labels is None:
            raise UserError(
                "Modules with a classifier need labels. Give fit batches of "
                '({"embedding": ..., "logits": ...}, labels).'
            )
        value = self.ce_weight * rdm_losses.cross_entropy(labels, logits)
        if not self.kl_weight:
            return value
        if teacher_logits is None:
            raise UserError(
                'The teacher\'s "logits" are missing from the inputs. Give fit '
                'batches of ({"embedding": ..., "logits": ...}, labels), or '
                "set `kl_weight=0`."
            )
        teacher_logits = ops.cast(teacher_logits, "float32")
        return value + self.kl_weight * rdm_losses.sample_kl(
            teacher_logits, logits, self.temperature
        )


# What a user may choose of modules by name, and of which type it is.
OPTIONS = {
    "reconstruction": bool,
    "distortion": str,
    "density": str,
    **{field.name: field.type for field in dataclasses.fields(Options)},
}
