"""The teacher cache: targets of a few views of each image, computed once.

What a frozen teacher says of an image does not change from epoch to epoch, nor
with the method, the student or the seed. Each endpoint of the teacher has its
own files, so that whoever reads it finds them.
"""

import contextlib
import fcntl
import hashlib
import json
import logging
import pathlib
import re
import shutil
import time

import numpy as np
import tensorflow as tf

from indistill_tf.data.shards import DTYPE
from indistill_tf.data.shards import ROWS
from indistill_tf.data.shards import Shards
from indistill_tf.errors import UserError

logger = logging.getLogger("indistill_tf")

# Of the layout of files and keys; another one finds nothing of this.
_FORMAT = 1
_BATCH = 256


class TeacherCache:
    """A teacher's targets on disk, opened, and computed where missing.

    Processes that share the folder build one after the other; the later ones
    find what the first has built. Nothing is ever deleted: a folder may be,
    whenever no run uses it.

    Args:
        folder: the cache's; it may hold targets of other teachers and sets.
        split: `Split`.
        preprocessing: `Preprocessing`.
        views: `Views`.
        distiller: `indistill_tf.Distiller`, whose method says what is read.

    Raises:
        UserError: if there is nothing to cache, the disk is too small, or a
            value is too large for float16.

    Attributes:
        views: as above.
    """

    def __init__(self, folder, split, preprocessing, views, distiller):
        check_cacheable(split, distiller)
        self.views, self._split = views, split
        self._preprocessing, self._distiller = preprocessing, distiller
        self._folder = pathlib.Path(folder)
        self._steps = {}
        self._shards = self._make_shards()
        if self._open():
            self._folder.mkdir(parents=True, exist_ok=True)
            with _locked(self._folder / ".lock"):
                # Another process may have built them meanwhile.
                self._build(self._open(explain=True))
        self._steps.clear()

    def training(self, order):
        """Returns shuffled batches of views with the teacher's targets.

        Of targets that an epoch's losses do not read, only the dimensions are
        given, all but the first 0.

        Args:
            order: `Order`.

        Returns:
            `tf.data.Dataset` of `(images [N, H, W, C], labels, positions,
            targets)`, the last a dict by name of float16 tensors.
        """

        def add(images, labels, positions, views, epoch):
            names = list(self._shards)
            found = tf.numpy_function(
                self._read, [epoch, positions, views], [DTYPE] * len(names)
            )
            targets = {}
            for name, target in zip(names, found, strict=True):
                unknown = [None] * len(self._shards[name].shape)
                target.set_shape([positions.shape[0], *unknown])
                targets[name] = target
            return images, labels, positions, targets

        batches = self.views.training(self._split, order)
        return batches.map(add, num_parallel_calls=tf.data.AUTOTUNE)

    def _read(self, epoch, positions, views):
        wanted = self._distiller.target_names(int(epoch))
        return [
            shards.read(positions, views)
            if name in wanted
            else np.empty((len(positions), *[0] * len(shards.shape)), DTYPE)
            for name, shards in self._shards.items()
        ]

    def _make_shards(self):
        """Returns the files of each endpoint, by name, not yet opened."""
        names = self._distiller.target_names()
        outputs = self._distiller.teacher_view(names).output
        common = {
            "format": _FORMAT,
            "teacher": _checksum(self._distiller.teacher.weights),
            "images": _checksum([self._split.images]),
            "preprocessing": repr(self._preprocessing),
            "padding": self.views.padding,
            "flip": self.views.flip,
            # TensorFlow may draw otherwise one day.
            "crops": _checksum([self.views.crops(len(self._split))[0]]),
            "rows": ROWS,
        }
        return {
            name: self._shards_of(name, outputs[name], common) for name in names
        }

    def _shards_of(self, name, output, common):
        shape = tuple(output.shape[1:])
        if None in shape:
            raise UserError(
                f"The teacher's output {name!r} has no fixed shape: {shape}. "
                "Give the teacher a fixed input shape, or leave it live "
                "(--teacher_cache_views=0)."
            )
        key = {**common, "endpoint": name, "dtype": output.dtype}
        digest = hashlib.sha256(json.dumps(key).encode()).hexdigest()
        # The name is for readers; the digest tells the folders apart.
        label = re.sub(r"\W+", "_", name)
        folder = self._folder / f"{label}_{digest[:16]}"
        return Shards(folder, key, len(self._split), shape)

    def _open(self, explain=False):
        """Opens all files and returns what is missing, names by part."""
        start = time.perf_counter()
        missing = {}
        for name, shards in self._shards.items():
            for part in shards.open(self.views.count, explain):
                missing.setdefault(part, []).append(name)
        if not missing:
            logger.info(
                "teacher cache: %s of targets in %s, checked in %.1f s",
                _megabytes(self._nbytes(self._all())),
                self._folder,
                time.perf_counter() - start,
            )
        return missing

    def _all(self):
        return {
            part: list(self._shards)
            for shards in self._shards.values()
            for part in shards.parts(self.views.count)
        }

    def _nbytes(self, parts):
        return sum(
            self._shards[name].nbytes(part)
            for part, names in parts.items()
            for name in names
        )

    def _build(self, missing):
        if not missing:
            return
        needed = self._nbytes(missing)
        _check_space(self._folder, needed)
        logger.info(
            "teacher cache: computing %s of targets in %s",
            _megabytes(needed),
            self._folder,
        )
        start = time.perf_counter()
        show = self.views.shower(self._split)
        for part in sorted(missing):
            self._build_part(part, missing[part], show)
        logger.info(
            "teacher cache: computed in %.1f s", time.perf_counter() - start
        )

    def _build_part(self, part, names, show):
        view, first = part
        teacher = self._step(tuple(names), show)
        with contextlib.ExitStack() as stack:
            arrays = {
                name: stack.enter_context(self._shards[name].writing(part))
                for name in names
            }
            rows = self._shards[names[0]].rows(part)
            for start in range(0, rows, _BATCH):
                chosen = np.arange(start, min(start + _BATCH, rows))
                targets = teacher(first + chosen, np.full_like(chosen, view))
                for name in names:
                    arrays[name][chosen] = _narrowed(targets[name], name)

    def _step(self, names, show):
        """Returns the compiled teacher, from positions and views to targets."""
        if names not in self._steps:
            model = self._distiller.teacher_view(names)

            @tf.function(input_signature=[tf.TensorSpec([None], tf.int32)] * 2)
            def step(positions, views):
                images = self._preprocessing.normalize(show(positions, views))
                return model(images, training=False)

            self._steps[names] = step
        return self._steps[names]


def check_cacheable(split, distiller):
    """Checks that a teacher's targets can be computed once for all epochs.

    Args:
        split: `Split` or `EncodedSplit`.
        distiller: `indistill_tf.Distiller`.

    Raises:
        UserError: if not.
    """
    if split.encoded:
        raise UserError(
            "A teacher cache is of images in memory, and these stay in their "
            "files. Use --augmentation=crop, or leave the teacher live "
            "(--teacher_cache_views=0)."
        )
    distiller.target_names()


@contextlib.contextmanager
def _locked(path):
    """Waits for other processes; the lock goes with the process."""
    with open(path, "w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            logger.info("teacher cache: waiting for another process to build")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _check_space(folder, needed):
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise UserError(
            f"The teacher cache needs {_megabytes(needed)} and {folder} has "
            f"{_megabytes(free)} left. Choose fewer --teacher_cache_views, or "
            "another folder (--teacher_cache)."
        )


def _narrowed(values, name):
    """Returns float16 values, none of which has become infinite."""
    # Overflow is what is looked for.
    with np.errstate(over="ignore"):
        narrow = np.asarray(values).astype(DTYPE)
    if not np.isfinite(narrow).all():
        raise UserError(
            f"The teacher's output {name!r} reaches "
            f"{np.max(np.abs(np.asarray(values, 'float32'))):.3g}, and the "
            "float16 of the teacher cache ends at 65504. Leave the teacher "
            "live (--teacher_cache_views=0)."
        )
    return narrow


def _checksum(arrays):
    digest = hashlib.sha256()
    for array in arrays:
        array = np.ascontiguousarray(array)
        digest.update(repr((array.shape, str(array.dtype))).encode())
        digest.update(array.data)
    return digest.hexdigest()


def _megabytes(count):
    return f"{count / 1e6:.1f} MB"
