"""A training that is done once: its files tell whether it is finished."""

import logging
import pathlib
from collections.abc import Callable
from collections.abc import Sequence

import keras
import numpy as np

from indistill_tf import distribution
from indistill_tf import models
from indistill_tf.errors import UserError
from indistill_tf.hints import Path
from indistill_tf.training import history
from indistill_tf.training import promises
from indistill_tf.training import snapshots
from indistill_tf.training import work_directory

logger = logging.getLogger("indistill_tf")

# Networks were called students, also where they were teachers.
_EARLIER_NAMES = {
    "model.keras": "student.keras",
    "image_model.keras": "image_student.keras",
    "text_model.keras": "text_student.keras",
}


def trained_once(
    folder: Path,
    role: str,
    files: Sequence[str],
    seed: int,
    train: Callable[[], tuple[Sequence[keras.Model], dict]],
    record: str = promises.RECORD,
) -> tuple[list[keras.Model], dict]:
    """Returns networks and their record, from files or from a training.

    A folder with a record is finished: its networks are read. Otherwise they
    are trained, by all workers together, and saved; the record is written last,
    with the checksums of their files and of the history.

    Args:
        folder: where the files go.
        role: string, what is trained, in messages.
        files: names of the networks' `.keras` files.
        seed: int, of all that the training draws at random.
        train: function that trains and returns a tuple: the networks, one for
            each file, and a dict of what there is to record.
        record: name of the record's file. Defaults to `"result.json"`.

    Returns:
        Tuple of the list of `keras.Model` and the record.

    Raises:
        UserError: if a file is not what the record promises, or the workers
            have trained different weights.
    """
    folder = pathlib.Path(folder)
    promised = [*files, history.NAME]
    if (folder / record).exists():
        logger.info("%s: finished before, not trained again", role)
        result = promises.read(folder / record)
        promises.check(folder, record, result, promised)
        return [
            models.load_model(saved(folder, name)) for name in files
        ], result
    keras.utils.set_random_seed(seed)
    networks, result = train()
    _check_workers(role, networks)

    def save():
        folder.mkdir(parents=True, exist_ok=True)
        for network, name in zip(networks, files, strict=True):
            network.optimizer = None
            with work_directory.replacing(folder / name) as temporary:
                network.save(temporary)
        more = {"seed": seed, **work_directory.environment()}
        promises.write(folder / record, {**result, **more}, promised)
        snapshots.remove(folder)

    distribution.on_chief(save)
    return networks, promises.read(folder / record)


def _check_workers(role, networks):
    """Checks that all workers have trained the same weights."""
    if distribution.workers() == 1:
        return
    own = "".join(map(work_directory.checksum, networks))
    letters = np.frombuffer(own.encode(), "uint8").astype("int32")
    found = distribution.gathered_rows(letters[None])
    if (found != found[0]).any():
        raise UserError(
            f"{role}: the workers ended with different weights. Start all of "
            "them with the same flags, versions and data."
        )


def trained_by_chief(folder: Path, *args, **kwargs):
    """Returns what `trained_once` does, for trainings too small to share out.

    Of several workers the chief trains on one device; the others read its
    files.

    Args:
        folder: see `trained_once`.
        *args: see `trained_once`.
        **kwargs: see `trained_once`.
    """
    if distribution.workers() > 1:
        distribution.on_chief(lambda: trained_once(folder, *args, **kwargs))
    return trained_once(folder, *args, **kwargs)


def saved(folder: Path, name: str) -> pathlib.Path:
    """Returns where a network lies that this or an earlier version saved.

    Args:
        folder: `pathlib.Path`.
        name: the file's name.
    """
    earlier = folder / _EARLIER_NAMES.get(name, name)
    if earlier.exists() and not (folder / name).exists():
        return earlier
    return folder / name
