"""A ladder: rung after rung is trained, written as a file and measured."""

import dataclasses
import functools
import logging
import pathlib
from collections.abc import Callable

import keras

from indistill_tf import models
from indistill_tf.data import evenly_spaced
from indistill_tf.deploy import litert
from indistill_tf.deploy import manifest
from indistill_tf.deploy.deployable import Deployable
from indistill_tf.errors import UserError
from indistill_tf.files import replacing
from indistill_tf.graph import heads
from indistill_tf.training import promises
from indistill_tf.training import work_directory
from indistill_tf.training.chain import with_modules
from indistill_tf.training.distillation import Distillation
from indistill_tf.training.hop import MODEL
from indistill_tf.training.hop import TEACHER
from indistill_tf.training.hop import Hop
from indistill_tf.training.hop import run_hop
from indistill_tf.training.ladder import measuring
from indistill_tf.training.ladder import reporting
from indistill_tf.training.ladder.rungs import AUXILIARY
from indistill_tf.training.ladder.rungs import Rung
from indistill_tf.training.networks import Network
from indistill_tf.training.once import saved
from indistill_tf.training.recipe import Recipe
from indistill_tf.training.run import STUDENT
from indistill_tf.training.run import Run

logger = logging.getLogger("indistill_tf")

# Training images by which the ranges of int8 activations are measured.
_REPRESENTATIVE = 256


@dataclasses.dataclass(frozen=True)
class Ladder:
    """What is made of a finished student.

    Attributes:
        rungs: dict of `Rung`, see `rungs.chosen`.
        networks: dict from role to a function without arguments that returns
            the trained `keras.Model`; `student`, `teacher` and, where there is
            one, `auxiliary`.
        recipe: `Recipe` of the hops that train the student on.
        distillation: `Distillation` from the auxiliary, or the teacher where
            there is none, or None for labels alone. Defaults to None.
    """

    rungs: dict[str, Rung]
    networks: dict[str, Callable[[], keras.Model]]
    recipe: Recipe
    distillation: Distillation | None = None


def run_ladder(run: Run, ladder: Ladder) -> dict:
    """Trains, converts and measures every rung; goes on where it was ended.

    Each rung leaves `NAME.tflite` in the run's folder, each hop a folder of
    its own, as `run_hop` does. Speeds are measured of all files in turns.

    Args:
        run: `Run`, of the data that the student was trained on.
        ladder: `Ladder`.

    Returns:
        Dict that `ladder.json` holds: `rungs` by name, `load`, `images` and
        what a result depends on.

    Raises:
        UserError: if a network, a method or a package does not fit or is
            missing.
    """
    known = functools.cache(lambda role: ladder.networks[role]())
    records, files, batches = {}, {}, {}
    for name, rung in ladder.rungs.items():
        if rung.network not in ladder.networks:
            logger.info("%s: the run has none", name)
            continue
        deployable = _deployable(run, ladder, rung, known)
        write = functools.partial(_written, run, name, rung.kind, deployable)
        files[name] = write(1)
        batches[name] = write(measuring.BATCH)
        logger.info("%s: measuring %s.tflite", name, name)
        records[name] = _measured(run, name, files[name], deployable)
    speeds = measuring.speeds(files, batches)
    for name, record in records.items():
        record.update(speeds["files"][name])
        record.update(dataclasses.asdict(ladder.rungs[name]))
    return work_directory.write_json(
        run.folder / reporting.RECORD,
        {
            "rungs": records,
            "method": ladder.distillation and ladder.distillation.method.name,
            "recipe": dataclasses.asdict(ladder.recipe),
            "seed": run.seed,
            "load": speeds["load"],
            "images": run.images.describe(),
            **work_directory.environment(),
        },
    )


def finished(folder: pathlib.Path) -> keras.Model:
    """Returns the network of a finished hop; its output says what it is.

    Args:
        folder: of the hop.

    Raises:
        UserError: if the hop is not finished or a file is damaged.
    """
    result = promises.read(folder / promises.RECORD)
    network = models.load_model(saved(folder, MODEL))
    return heads.declared(network, result.get("head"))


def _deployable(run, ladder, rung, known):
    network = (
        _trained(run, ladder, rung, known) if rung.hop else known(rung.network)
    )
    return Deployable(network, run.images.preprocessing, run.images.class_names)


def _trained(run, ladder, rung, known):
    teaching = AUXILIARY if AUXILIARY in ladder.networks else TEACHER
    taught = ladder.distillation is not None
    if taught and teaching not in ladder.networks:
        raise UserError(
            "The run has no teacher. Name one (`teacher`), or train from "
            "labels alone (`method=none`)."
        )
    hop = Hop(
        Network(ladder.networks[STUDENT]),
        ladder.recipe,
        ladder.distillation,
        rung.hop,
        (teaching,) if taught else (),
        rung.compression,
    )
    teacher = known(teaching) if taught else None
    hop = with_modules(hop, run, teacher)
    network, _ = run_hop(run.at(rung.hop), hop, teacher)
    return network


def _written(run, name, kind, deployable, batch):
    """Returns a rung's file, written once."""
    end = "tflite" if batch == 1 else f"batch_{batch}.tflite"
    path = run.folder / f"{name}.{end}"
    if not path.exists():
        train = run.images.train
        shown = evenly_spaced(len(train), _REPRESENTATIVE)
        images = train.images_at(shown)
        content = litert.convert(deployable, kind, images, batch)
        with replacing(path) as temporary:
            temporary.write_bytes(content)
    return path.read_bytes()


def _measured(run, name, file, deployable):
    """Returns what does not depend on the machine's load, measured once."""
    record = run.folder / f"{name}.json"
    if not record.exists():
        path = run.folder / f"{name}.tflite"
        measured = {
            **measuring.scores(file, deployable, run.images),
            **manifest.described(path),
            "resident_bytes": measuring.resident_bytes(path),
        }
        work_directory.write_json(record, measured)
    return work_directory.read_json(record)
