"""How a student pair is taught by a teacher pair and its modules."""

import dataclasses

from indistill_tf import cifd
from indistill_tf.data.captions.pairs import Pairs
from indistill_tf.options import option


@dataclasses.dataclass(frozen=True)
class PairDistillation:
    """What is asked of a student pair, and with which weights.

    Attributes:
        trade_offs: floats above 0, R of each module beside the teacher.
        module_epochs: int, epochs that the modules are trained for.
        contrastive_weight: float, of the contrastive loss beside the teacher.
        dropout: float, how often teacher and modules are cut.
        reduction: string, see `indistill_tf.cifd.EmbeddingMatching`.
        information_bottleneck: float, the weight of the rate of noisy
            embeddings, see `indistill_tf.cifd.with_bottleneck`; 0 for none.
            The towers that are saved have no noise.

    References:
        - CIFD, NeurIPS 2024, sec. 3 and eq. 10 to 13
    """

    trade_offs: tuple = ()
    module_epochs: int = option(7, "of the modules' training", at_least=1)
    contrastive_weight: float = option(
        0.005, "of the contrastive loss", at_least=0.0
    )
    dropout: float = option(
        0.25, "how often teacher and modules are cut", at_least=0.0
    )
    reduction: str = option(
        "mean", "of distances over dimensions", choices=["mean", "sum"]
    )
    information_bottleneck: float = option(
        0.0, "weight of the rate of noise", at_least=0.0
    )

    def matchings(self, teacher: "PairTeacher") -> list[cifd.EmbeddingMatching]:
        """Returns the two `EmbeddingMatching`, of images and of texts.

        Args:
            teacher: `PairTeacher`.
        """
        return [
            cifd.EmbeddingMatching(
                modules, dropout=self.dropout, reduction=self.reduction
            )
            for modules in teacher.modules or (None, None)
        ]


@dataclasses.dataclass(frozen=True)
class PairTeacher:
    """What a teacher pair says, and its modules.

    Attributes:
        pairs: `Pairs` with the teacher's embeddings.
        modules: pair of `RateDistortionModules` of images and of texts, or
            None for the teacher alone.
    """

    pairs: Pairs
    modules: tuple | None = None
