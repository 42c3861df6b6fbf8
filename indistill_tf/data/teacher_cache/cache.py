"""The teacher cache: targets of a few views of each image, computed once.

What a frozen teacher says of an image does not change from epoch to epoch, nor
with the method, the student or the seed. Each endpoint of the teacher has its
own files, so that whoever reads it finds them.
"""

import hashlib
import json
import logging
import pathlib
import re
import time

import numpy as np
import tensorflow as tf

from indistill_tf import distribution
from indistill_tf.checksums import checksum
from indistill_tf.data.images.split import Split
from indistill_tf.data.order import Order
from indistill_tf.data.preprocessing import Preprocessing
from indistill_tf.data.teacher_cache.building import build
from indistill_tf.data.teacher_cache.shards import DTYPE
from indistill_tf.data.teacher_cache.shards import ROWS
from indistill_tf.data.teacher_cache.shards import Shards
from indistill_tf.data.teacher_cache.targets import Targets
from indistill_tf.data.teacher_cache.targets import check_cacheable
from indistill_tf.data.teacher_cache.views import Views
from indistill_tf.errors import UserError
from indistill_tf.files import waiting_lock
from indistill_tf.hints import Path

logger = logging.getLogger("indistill_tf")

# Of the layout of files and keys; another one finds nothing of this.
_FORMAT = 1


class TeacherCache:
    """A teacher's targets on disk, opened, and computed where missing.

    Targets are known by the teacher's weights, the images, how these are
    prepared and augmented, and the endpoint: its layer's name, and the width
    of a pruned map. More views are added to those that are there.

    Processes that share the folder build one after the other; the later ones
    find what the first has built; of the workers of a strategy the chief
    builds. Nothing is ever deleted: the folder may be, while no run uses it.

    Args:
        folder: the cache's; it may hold targets of other teachers and sets.
        split: `Split`.
        preprocessing: `Preprocessing`.
        views: `Views`.
        targets: `Targets`, what is read of the teacher.

    Raises:
        UserError: if there is nothing to cache, the disk is too small, or a
            value is too large for float16.

    Attributes:
        views: as above.
    """

    def __init__(
        self,
        folder: Path,
        split: Split,
        preprocessing: Preprocessing,
        views: Views,
        targets: Targets,
    ):
        check_cacheable(split, targets)
        self.views, self._split = views, split
        self._preprocessing, self._targets = preprocessing, targets
        self._folder = pathlib.Path(folder)
        self._shards = self._make_shards()
        distribution.on_chief(self._fill)
        if not distribution.is_chief():
            self._open()

    def training(self, order: Order) -> tf.data.Dataset:
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
            arrays = tf.numpy_function(
                self._read, [epoch, positions, views], [DTYPE] * len(names)
            )
            targets = {}
            for name, target in zip(names, arrays, strict=True):
                unknown = [None] * len(self._shards[name].shape)
                target.set_shape([positions.shape[0], *unknown])
                targets[name] = target
            return images, labels, positions, targets

        batches = self.views.training(self._split, order)
        return batches.map(add, num_parallel_calls=tf.data.AUTOTUNE)

    def _read(self, epoch, positions, views):
        wanted = self._targets.names(int(epoch))
        return [
            shards.read(positions, views)
            if name in wanted
            else np.empty((len(positions), *[0] * len(shards.shape)), DTYPE)
            for name, shards in self._shards.items()
        ]

    def _make_shards(self):
        """Returns the files of each endpoint, by name, not yet opened."""
        names = self._targets.names(None)
        outputs = self._targets.model(names).output
        # By these bytes the folders that earlier runs have filled are found.
        common = {
            "format": _FORMAT,
            "teacher": checksum(self._targets.model(None).weights, shaped=True),
            "images": checksum([self._split.images], shaped=True),
            "preprocessing": repr(self._preprocessing),
            "padding": self.views.crop.padding,
            "flip": self.views.crop.flip,
            # TensorFlow may draw otherwise one day.
            "crops": checksum(
                [self.views.crops(len(self._split))[0]], shaped=True
            ),
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
                "(`teacher_cache_views=0`)."
            )
        key = {**common, "endpoint": name, "dtype": output.dtype}
        digest = hashlib.sha256(json.dumps(key).encode()).hexdigest()
        # The name is for readers; the digest tells the folders apart.
        label = re.sub(r"\W+", "_", name)
        folder = self._folder / f"{label}_{digest[:16]}"
        return Shards(folder, key, len(self._split), shape)

    def _fill(self):
        """Opens all files, and computes those that are missing."""
        if not self._open():
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        with waiting_lock(self._folder / ".lock"):
            # Another process may have built them meanwhile.
            missing = self._open(explain=True)
            if missing:
                self._build(missing)

    def _open(self, explain=False):
        """Opens all files and returns what is missing, names by part."""
        start = time.perf_counter()
        missing = {}
        for name, shards in self._shards.items():
            for part in shards.open(self.views.count, explain):
                missing.setdefault(part, []).append(name)
        if not missing:
            nbytes = sum(
                shards.nbytes(part)
                for shards in self._shards.values()
                for part in shards.parts(self.views.count)
            )
            logger.info(
                "teacher cache: %.2f MB of targets in %s, checked in %.1f s",
                nbytes / 1e6,
                self._folder,
                time.perf_counter() - start,
            )
        return missing

    def _build(self, missing):
        show = self.views.shower(self._split)
        build(
            self._folder,
            self._shards,
            missing,
            lambda *chosen: self._preprocessing.normalize(show(*chosen)),
            self._targets.model,
        )
