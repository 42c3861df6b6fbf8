"""Exports of a finished run: written, checked, recorded."""

import dataclasses
import logging
import pathlib
from collections.abc import Sequence

from indistill_tf import models
from indistill_tf.data import ImageSet
from indistill_tf.data import Preprocessing
from indistill_tf.data import evenly_spaced
from indistill_tf.deploy import formats
from indistill_tf.deploy import manifest
from indistill_tf.deploy.deployable import Deployable
from indistill_tf.errors import UserError
from indistill_tf.graph import heads
from indistill_tf.hints import Path
from indistill_tf.training import model_card
from indistill_tf.training import promises
from indistill_tf.training import work_directory
from indistill_tf.training.export_check import ExportCheck
from indistill_tf.training.hop import MODEL
from indistill_tf.training.once import saved

logger = logging.getLogger("indistill_tf")

EXPORTS = "exports.json"
CARD = "README.md"
# Ranges of activations settle long before.
REPRESENTATIVE_IMAGES = 200


@dataclasses.dataclass(frozen=True)
class Export:
    """A file of a student, or a directory of files.

    Attributes:
        path: `pathlib.Path`.
        record: what `exports.json` says of it: its bytes, its checksums, and
            how it answers beside the network if that was checked.
    """

    path: pathlib.Path
    record: dict


def export_run(
    folder: Path,
    path: Path | None = None,
    names: Sequence[str] = ("saved_model",),
    images: ImageSet | None = None,
    checked_images: int = 0,
) -> dict[str, Export]:
    """Exports a finished run's student.

    Beside the exports lie `exports.json`, their record, and the model card
    `README.md`. Exports of other formats that lie there stay in both.

    Args:
        folder: the work directory.
        path: the SavedModel's directory, beside which other formats go.
            Defaults to None: `saved_model` in the work directory.
        names: strings, formats. Defaults to the SavedModel alone.
        images: the run's `ImageSet`, for `"litert_int8"` and for the check.
            Defaults to None.
        checked_images: int, how many test images each export answers in a
            fresh process, see `ExportCheck`; 0 checks nothing, which is the
            default.

    Returns:
        Dict from format to `Export`.

    Raises:
        UserError: if the run is not finished, a file of it is damaged, a
            format is unknown or cannot be written, or an export answers
            otherwise than its network.
    """
    folder = pathlib.Path(folder)
    path = pathlib.Path(path or folder / "saved_model")
    wanted = formats.get(names)
    result, deployable = _finished(folder)
    check = None
    if checked_images:
        check = ExportCheck(deployable, images, checked_images)
    sample = None
    if images is not None:
        shown = evenly_spaced(len(images.train), REPRESENTATIVE_IMAGES)
        sample = images.train.images_at(shown)
    exports, faults = {}, []
    for each in wanted:
        place = path if each.name == "saved_model" else path.parent / each.path
        logger.info("Writing %s", place)
        formats.write(deployable, each.name, place, sample)
        record = {"path": place.name, **manifest.described(place)}
        try:
            if check:
                record["check"] = check.measure(each, place)
            exports[each.name] = Export(place, record)
        except UserError as error:
            # The others may be as they should.
            faults.append(str(error))
    _record(folder, path.parent, deployable, result, exports, set(names))
    if path == folder / "saved_model" and promises.listed(result, path.name):
        # Else the run would take it for damaged.
        promises.write(folder / promises.RECORD, result, [path.name])
    if faults:
        raise UserError(" ".join(faults))
    return exports


def verify_exports(folder: Path) -> None:
    """Checks that exports are the files that were written.

    Args:
        folder: that they and their `exports.json` lie in.

    Raises:
        UserError: if a file is missing or was changed since.
    """
    record = work_directory.read_json(pathlib.Path(folder) / EXPORTS)
    for export in record["exports"].values():
        manifest.check(folder, export["sha256"])


def _finished(folder):
    """Returns the result of a run, and its student as it is shipped."""
    path = folder / promises.RECORD
    if not path.exists():
        raise UserError(
            f"{folder} holds no finished run: result.json is missing. Repeat "
            "the run's command to finish it, or name its `work_dir`."
        )
    result = promises.read(path)
    images = result["images"]
    preprocessing = Preprocessing(
        **{
            name: tuple(value) if isinstance(value, list) else value
            for name, value in images["preprocessing"].items()
        }
    )
    model = models.load_model(saved(folder, MODEL))
    # Records of before are of logits of classes, as the model says too.
    model = heads.declared(model, result.get("head"))
    return result, Deployable(model, preprocessing, images["class_names"])


def _record(folder, place, deployable, result, exports, names):
    path = place / EXPORTS
    before = work_directory.read_json(path) if path.exists() else {}
    record = {
        "model": deployable.name,
        "checksum": result.get("checksum"),
        "exports": {name: export.record for name, export in exports.items()},
        **work_directory.environment(),
    }
    if before.get("checksum") == record["checksum"]:
        others = {
            name: export
            for name, export in before.get("exports", {}).items()
            if name not in names
        }
        record["exports"] = {**others, **record["exports"]}
    record = work_directory.write_json(path, record)
    card = model_card.text(folder, record)
    with work_directory.replacing(place / CARD) as temporary:
        temporary.write_text(card)
