"""How like its network an exported file answers."""

import dataclasses

import numpy as np

from indistill_tf import unit_length
from indistill_tf.deploy.deployable import EMBEDDING
from indistill_tf.deploy.deployable import PROBABILITIES
from indistill_tf.deploy.tolerances import SURE
from indistill_tf.errors import UserError


@dataclasses.dataclass(frozen=True)
class Comparison:
    """How like two sets of answers to the same images are.

    Attributes:
        agreement: part of the images that get the same first class.
        agreement_where_sure: the same of the images of which the network is
            sure, see `Tolerance`; 1 if it is sure of none.
        cosine: mean cosine of the embeddings.
        difference: the largest absolute difference of two numbers.
    """

    agreement: float
    agreement_where_sure: float
    cosine: float
    difference: float


def compare(
    expected: dict[str, np.ndarray], found: dict[str, np.ndarray]
) -> Comparison:
    """Compares the answers of a file with those of its network.

    Args:
        expected: the network's to N images, see `Deployable.predict`.
        found: the file's, to the same images.

    Raises:
        UserError: if a number of the file's is not finite.
    """
    for name, values in found.items():
        wrong = int((~np.isfinite(values)).sum())
        if wrong:
            raise UserError(
                f"{wrong} of {values.size} numbers of its {name} are not "
                "finite. Export it again, or choose another format."
            )
    same = classes(expected[PROBABILITIES]) == classes(found[PROBABILITIES])
    sure = _margins(expected[PROBABILITIES]) >= SURE
    lengths = [unit_length.of_array(x[EMBEDDING]) for x in (expected, found)]
    return Comparison(
        agreement=float(same.mean()),
        agreement_where_sure=float(same[sure].mean()) if sure.any() else 1.0,
        cosine=float(np.sum(np.multiply(*lengths), axis=1).mean()),
        difference=max(
            float(np.abs(values - expected[name]).max())
            for name, values in found.items()
        ),
    )


def classes(probabilities: np.ndarray) -> np.ndarray:
    """Returns the class that each image is taken for.

    Args:
        probabilities: array `[N, K]`, or `[N, 1]` of the second class.

    Returns:
        Ints `[N]`.
    """
    return _of_classes(probabilities).argmax(axis=1)


def _margins(probabilities):
    """Returns by how much the first class is more probable than the second."""
    second, first = np.sort(_of_classes(probabilities), axis=1)[:, -2:].T
    return first - second


def _of_classes(probabilities):
    if probabilities.shape[1] > 1:
        return probabilities
    return np.concatenate([1 - probabilities, probabilities], axis=1)
