"""Whether an exported file does as well as its network."""

import dataclasses

import numpy as np

from indistill_tf.data import ImageSet
from indistill_tf.data import evenly_spaced
from indistill_tf.deploy import comparison
from indistill_tf.deploy import probe
from indistill_tf.deploy.deployable import EMBEDDING
from indistill_tf.deploy.deployable import PROBABILITIES
from indistill_tf.deploy.deployable import Deployable
from indistill_tf.deploy.formats import Format
from indistill_tf.deploy.tolerances import TOLERANCES
from indistill_tf.errors import UserError
from indistill_tf.evaluation import retrieval
from indistill_tf.hints import Path

# Training images that are searched, for each test image.
_DATABASE = 10


class ExportCheck:
    """Answers of a network, with which those of its files are compared.

    Test images are classified, and training images searched for what is like
    them: ten times as many. Both are evenly spaced over their splits.

    Args:
        deployable: `Deployable`.
        images: the run's `ImageSet`.
        count: int, how many test images; at most all are taken.
    """

    def __init__(
        self, deployable: Deployable, images: ImageSet, count: int
    ) -> None:
        queries, self._labels = _some(images.test, count)
        database, self._database_labels = _some(images.train, _DATABASE * count)
        self._pixels = np.concatenate([queries, database])
        self._expected = deployable.predict(self._pixels)
        self._scores = self._scored(self._expected)

    def measure(self, exported: Format, path: Path) -> dict:
        """Returns how an exported file answers, in a fresh process.

        Args:
            exported: `Format` of the file.
            path: of the file.

        Returns:
            JSON-ready dict: the numbers of `images` and of the `database`,
            those of `Comparison`, and `accuracy` and `map` (mean average
            precision by cosine, standard protocol) of the file and of the
            `network`.

        Raises:
            UserError: if the file cannot be loaded, answers with numbers that
                are not finite, or is further from its network than
                `TOLERANCES` allow.
        """
        (found,) = probe.answers(path, exported.runtime, self._pixels)
        try:
            alike = comparison.compare(self._expected, found)
        except UserError as error:
            raise UserError(f"{path}: {error}") from error
        scores = self._scored(found)
        tolerance = TOLERANCES[exported.name].of_images(len(self._labels))
        faults = _faults(tolerance, alike, self._scores, scores)
        if faults:
            raise UserError(
                f"{path} differs from its network: {', '.join(faults)}. Choose "
                "another format, or train the student for this one."
            )
        return {
            "images": len(self._labels),
            "database": len(self._database_labels),
            **dataclasses.asdict(alike),
            **scores,
            "network": self._scores,
        }

    def _scored(self, answers):
        count = len(self._labels)
        predicted = comparison.classes(answers[PROBABILITIES][:count])
        found = retrieval(
            answers[EMBEDDING][:count],
            self._labels,
            answers[EMBEDDING][count:],
            self._database_labels,
            ranks=(1,),
        )
        return {
            "accuracy": float(np.mean(predicted == self._labels)),
            "map": found.mean_average_precision,
        }


def _faults(tolerance, alike, expected, found):
    """Returns in words where a file is too far from its network."""
    kept = {
        "agreement of classes": (
            alike.agreement_where_sure,
            tolerance.agreement,
        ),
        "cosine of embeddings": (alike.cosine, tolerance.cosine),
        "accuracy": (
            found["accuracy"],
            expected["accuracy"] - tolerance.accuracy,
        ),
        "mAP": (
            found["map"],
            expected["map"] - tolerance.mean_average_precision,
        ),
    }
    return [
        f"{name} {value:.4f} (at least {least:.4f})"
        for name, (value, least) in kept.items()
        if not value >= least
    ]


def _some(split, count):
    """Returns evenly spaced images of a split, and their labels."""
    positions = evenly_spaced(len(split), count)
    return split.images_at(positions), split.labels[positions]
