"""An array of many rows in memory-mapped files, checked when it is opened."""

import contextlib
import json
import logging
import pathlib
import zlib

import numpy as np

from indistill_tf.files import replacing

logger = logging.getLogger("indistill_tf")

# Images in a shard: few files, for each stays open, and little to compute again
# where one is damaged.
ROWS = 16384
DTYPE = np.dtype("float16")
_MANIFEST = "manifest.json"


class Shards:
    """One endpoint's targets: float16 `[views, images, ...]` in `.npy` files.

    Many images in one view are a shard. The manifest, written last, says
    what the files are of and holds each one's CRC-32; what it does not say is
    not there.

    Args:
        folder: where the files lie, or will.
        key: dict, JSON-ready, what the targets depend on.
        size: int, the number of images.
        shape: tuple, of one image's target.

    Attributes:
        folder: as above.
        size: as above.
        shape: as above.
    """

    def __init__(self, folder, key, size, shape):
        self.folder = pathlib.Path(folder)
        self.size, self.shape = size, tuple(shape)
        self._key = json.loads(json.dumps(key))
        self._arrays = {}

    def parts(self, views):
        """Returns the shards of the first views, as `(view, first image)`.

        Args:
            views: int.
        """
        starts = range(0, self.size, ROWS)
        return [(view, start) for view in range(views) for start in starts]

    def rows(self, part):
        """Returns the number of images in a shard.

        Args:
            part: `(view, first image)`.
        """
        return min(ROWS, self.size - part[1])

    def nbytes(self, part):
        """Returns the bytes of a shard's targets.

        Args:
            part: `(view, first image)`.
        """
        return self.rows(part) * int(np.prod(self.shape)) * DTYPE.itemsize

    def open(self, views, explain=False):
        """Opens the shards of the first views, each checked.

        Args:
            views: int.
            explain: bool, whether to log what is stale or damaged. Defaults
                to False.

        Returns:
            List of the parts that are not there as they should be.
        """
        sums = self._sums(explain)
        self._arrays, missing, damaged = {}, [], 0
        for part in self.parts(views):
            if self._name(part) not in sums:
                missing.append(part)
                continue
            array = self._map(part)
            if array is None or zlib.crc32(array) != sums[self._name(part)]:
                missing.append(part)
                damaged += 1
                continue
            self._arrays[part] = array
        if damaged and explain:
            logger.info(
                "teacher cache: %s is damaged in %d of %d files, which are "
                "computed again",
                self.folder,
                damaged,
                len(self.parts(views)),
            )
        return missing

    @contextlib.contextmanager
    def writing(self, part):
        """Yields an array whose content takes a shard's place on success.

        Args:
            part: `(view, first image)`.

        Yields:
            Memory-mapped array `[rows, *shape]`.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        shape = (self.rows(part), *self.shape)
        with replacing(self.folder / self._name(part)) as temporary:
            array = np.lib.format.open_memmap(temporary, "w+", DTYPE, shape)
            yield array
            array.flush()
        sums = {**self._sums(), self._name(part): zlib.crc32(array)}
        text = json.dumps({"key": self._key, "crc32": sums}, indent=1)
        with replacing(self.folder / _MANIFEST) as temporary:
            temporary.write_text(text + "\n")
        self._arrays[part] = self._map(part)

    def read(self, positions, views):
        """Returns the targets of some images.

        Args:
            positions: int array `[N]`.
            views: int array `[N]`.

        Returns:
            Array float16 `[N, *shape]`.
        """
        targets = np.empty((len(positions), *self.shape), DTYPE)
        starts = positions - positions % ROWS
        places = views.astype("int64") * self.size + starts
        for place in np.unique(places):
            chosen = np.flatnonzero(places == place)
            part = divmod(int(place), self.size)
            targets[chosen] = self._arrays[part][positions[chosen] % ROWS]
        return targets

    def _name(self, part):
        view, start = part
        return f"view_{view}_images_{start}.npy"

    def _map(self, part):
        """Returns a shard as a memory-mapped array, or None if it is none."""
        try:
            array = np.load(self.folder / self._name(part), mmap_mode="r")
        # A damaged header may be any text.
        except Exception:
            return None
        whole = (self.rows(part), *self.shape)
        fits = array.dtype == DTYPE and array.shape == whole
        return array if fits and array.flags.c_contiguous else None

    def _sums(self, explain=False):
        """Returns the manifest's sums, none where it is of something else."""
        try:
            manifest = json.loads((self.folder / _MANIFEST).read_text())
            key, sums = manifest["key"], dict(manifest["crc32"])
        except FileNotFoundError:
            return {}
        except (AttributeError, KeyError, TypeError, ValueError):
            key = sums = None
        if key == self._key:
            return sums
        if explain:
            kind = "stale" if sums else "damaged"
            logger.info(
                "teacher cache: the manifest of %s is %s; its targets are "
                "computed again",
                self.folder,
                kind,
            )
        return {}
