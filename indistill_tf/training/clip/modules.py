"""What students are taught by: a teacher pair's embeddings, and modules."""

import dataclasses
import functools
import logging
import zipfile

import numpy as np

from indistill_tf import cifd
from indistill_tf import distribution
from indistill_tf import unit_length
from indistill_tf.data.captions.pairs import embed
from indistill_tf.errors import UserError
from indistill_tf.training import work_directory
from indistill_tf.training.clip import teacher_score
from indistill_tf.training.modules import falling_adam
from indistill_tf.training.once import trained_by_chief
from indistill_tf.training.work_directory import replacing

logger = logging.getLogger("indistill_tf")

MODALITIES = ("image", "text")


def with_embeddings(folder, task, towers):
    """Returns the training pairs with a teacher's embeddings, of unit length.

    The teacher's towers run once over the images and the captions; what they
    say is kept in `teacher_embeddings.npz`. Before it, their scores are logged.

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
        teacher_score.measure(towers, task)
        logger.info("teacher: embedding %d images", len(task.train.split))
        embeddings = map(unit_length.of_array, embed(*towers, task.train))
        named = dict(zip(MODALITIES, embeddings, strict=True))
        distribution.on_chief(lambda: _save(path, named))
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


def _save(path, arrays):
    with replacing(path) as temporary:
        np.savez(temporary, **arrays)


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
        List of the two `RateDistortionModules`, of images and of texts.

    Raises:
        UserError: if a trade-off is out of range.

    References:
        - CIFD, NeurIPS 2024, eq. 4
    """
    embeddings = (pairs.image_embeddings, pairs.text_embeddings)
    both = []
    for name, embedding in zip(MODALITIES, embeddings, strict=True):
        train = functools.partial(
            _train, name, embedding, trade_offs, epochs, batch_size, rate, seed
        )
        (modules,), _ = trained_by_chief(
            folder,
            f"modules of the {name}",
            [f"{name}.keras"],
            seed,
            train,
            record=f"{name}.json",
        )
        both.append(cifd.frozen_modules(modules))
    return both


def _train(name, embedding, trade_offs, epochs, batch_size, rate, seed):
    modules = cifd.RateDistortionModules(
        trade_offs, embedding.shape[1], architecture="clip"
    )
    batches = cifd.EmbeddingBatches(
        {"embedding": embedding}, np.zeros(len(embedding)), batch_size, seed
    )
    modules.compile(falling_adam(rate, len(batches) * epochs))
    history = modules.fit(batches, epochs=epochs, shuffle=False, verbose=0)
    scores = {key: float(f"{x[-1]:.4g}") for key, x in history.history.items()}
    logger.info("modules of the %s: %s", name, scores)
    result = {
        "model": modules.name,
        "trade_offs": list(trade_offs),
        "epochs": epochs,
        "steps_per_epoch": len(batches),
        "parameters": modules.count_params(),
        "checksum": work_directory.checksum(modules),
        "scores": scores,
    }
    return [modules], result
