"""What students are taught by: a teacher pair's embeddings, and modules."""

import dataclasses
import logging
import zipfile

import keras
import numpy as np

from indistill_tf import cifd
from indistill_tf import unit_length
from indistill_tf.data.captions.pairs import embed
from indistill_tf.errors import UserError
from indistill_tf.training import work_directory
from indistill_tf.training.modules import falling_adam
from indistill_tf.training.work_directory import replacing

logger = logging.getLogger("indistill_tf")

MODALITIES = ("image", "text")


def with_embeddings(folder, task, towers):
    """Returns the training pairs with a teacher's embeddings, of unit length.

    The teacher's towers run once over the images and the captions; what they
    say is kept in `teacher_embeddings.npz`.

    Args:
        folder: a `pathlib.Path`, where the file goes.
        task: `PairTask`.
        towers: the teacher's pair of `keras.Model`.

    Returns:
        `Pairs`.

    Raises:
        UserError: if the file is there and damaged.
    """
    path = folder / "teacher_embeddings.npz"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        logger.info("teacher: embedding %d images", len(task.train.split))
        found = embed(*towers, task.train)
        found = map(unit_length.of_array, found)
        with replacing(path) as temporary:
            np.savez(temporary, **dict(zip(MODALITIES, found, strict=True)))
    try:
        with np.load(path) as file:
            image, text = (file[name] for name in MODALITIES)
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise UserError(
            f"{path} is damaged ({error}). Remove it and repeat the command."
        ) from error
    return dataclasses.replace(
        task.train, image_embeddings=image, text_embeddings=text
    )


def train_pair_modules(
    folder, pairs, trade_offs, epochs=7, batch_size=1024, rate=5e-3, seed=0
):
    """Trains the modules of both modalities on a teacher's embeddings.

    Adam, with a cosine down to zero. Finished modules are read from their
    files, `image.keras` and `text.keras`.

    Args:
        folder: a `pathlib.Path`, where the files go.
        pairs: `Pairs` with embeddings.
        trade_offs: floats above 0, one a module.
        epochs: int. Defaults to 7, the paper's.
        batch_size: int. Defaults to 1024.
        rate: float, the learning rate at first. Defaults to 5e-3, as of
            `ModulesRecipe`.
        seed: int. Defaults to 0.

    Returns:
        Tuple of the two `RateDistortionModules` and a dict from modality to
        the last epoch's loss, distortions and rates.

    Raises:
        UserError: if a trade-off is out of range.

    References:
        - CIFD, NeurIPS 2024, eq. 4
    """
    folder.mkdir(parents=True, exist_ok=True)
    embeddings = (pairs.image_embeddings, pairs.text_embeddings)
    found, logs = [], {}
    for name, embedding in zip(MODALITIES, embeddings, strict=True):
        path, record = folder / f"{name}.keras", folder / f"{name}.json"
        if not record.exists():
            modules, log = _train(
                embedding, trade_offs, epochs, batch_size, rate, seed
            )
            logger.info("modules of the %s: %s", name, log)
            modules.optimizer = None
            with replacing(path) as temporary:
                modules.save(temporary)
            work_directory.write_json(record, log)
        found.append(cifd.frozen_modules(str(path)))
        logs[name] = work_directory.read_json(record)
    return found, logs


def _train(embedding, trade_offs, epochs, batch_size, rate, seed):
    keras.utils.set_random_seed(seed)
    modules = cifd.RateDistortionModules(
        trade_offs, embedding.shape[1], architecture="clip"
    )
    batches = cifd.EmbeddingBatches(
        {"embedding": embedding}, np.zeros(len(embedding)), batch_size, seed
    )
    modules.compile(falling_adam(rate, len(batches) * epochs))
    history = modules.fit(batches, epochs=epochs, shuffle=False, verbose=0)
    log = {name: float(f"{x[-1]:.4g}") for name, x in history.history.items()}
    return modules, log
