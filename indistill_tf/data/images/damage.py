"""Which file of a set is missing or damaged, and what to do."""

import contextlib
import os
import re
import struct
import time
from collections.abc import Iterator

import tensorflow as tf

from indistill_tf import contents
from indistill_tf.data.images import decoding
from indistill_tf.data.images.image_split import ImageSplit
from indistill_tf.data.images.records import Records
from indistill_tf.errors import UserError

_REMEDY = "Copy it again, or prepare the set again."
# What reading and decoding damaged files raises.
DAMAGE = (
    tf.errors.DataLossError,
    tf.errors.InvalidArgumentError,
    tf.errors.NotFoundError,
    tf.errors.PermissionDeniedError,
    tf.errors.UnknownError,
)
# Seconds that the search for a damaged image may take.
_SEARCH = 60.0
# A TFRecord: length, its checksum, the data, their checksum.
_LENGTH = struct.Struct("<Q")
_HEADER, _FOOTER = 12, 4


def check_shards(builder, spec):
    """Checks that the files of a prepared TFDS split are there and whole.

    Sizes are compared, which takes no time; a TFRecord shard is only gone
    through where the split's files are smaller than its images.

    Args:
        builder: `tfds.core.DatasetBuilder` of a prepared set.
        spec: string, a split or a slice of one.

    Raises:
        UserError: if a file is missing, empty or cut off, or the split holds
            nothing.
    """
    instructions = builder.info.splits[spec].file_instructions
    if not instructions:
        raise UserError(
            f"Split {spec!r} of {builder.name!r} holds no image. Choose a "
            "larger slice, or prepare the set again."
        )
    for item in instructions:
        if not tf.io.gfile.exists(item.filename):
            raise UserError(
                f"{item.filename} is missing from {builder.name!r}. {_REMEDY}"
            )
        if not _size(item.filename):
            raise UserError(f"{item.filename} is empty. {_REMEDY}")
    whole = builder.info.splits[spec.partition("[")[0]]
    if builder.info.file_format.value != "tfrecord":
        return
    paths = [item.filename for item in whole.file_instructions]
    sizes = [_size(path) for path in paths if tf.io.gfile.exists(path)]
    expected = whole.num_bytes + whole.num_examples * (_HEADER + _FOOTER)
    if len(sizes) == len(paths) and sum(sizes) < expected:
        for item in instructions:
            _check_length(item)


def _check_length(item):
    """Goes from record to record of a shard without reading them."""
    size, place = _size(item.filename), 0
    with tf.io.gfile.GFile(item.filename, "rb") as file:
        for _ in range(item.examples_in_shard):
            file.seek(place)
            header = file.read(_LENGTH.size).ljust(_LENGTH.size, b"\xff")
            place += _HEADER + _LENGTH.unpack(header)[0] + _FOOTER
            if place > size:
                raise UserError(
                    f"{item.filename} is cut off: it holds {size} bytes, and "
                    f"its {item.examples_in_shard} records more. {_REMEDY}"
                )


def _size(path):
    return tf.io.gfile.stat(path).length


@contextlib.contextmanager
def naming_damage(*splits: ImageSplit | None) -> Iterator[None]:
    """Turns a reading error into one that names the damaged file.

    Args:
        *splits: those that are read; None is passed over.

    Raises:
        UserError: if one of the splits has a file that cannot be read or an
            image that cannot be decoded.
    """
    try:
        yield
    except DAMAGE as error:
        for split in splits:
            if split is not None:
                split.check_files()
        raise error


def search(records: Records, channels: int, seconds: float = _SEARCH):
    """Looks for a file that cannot be read or decoded.

    Args:
        records: `Records` of a split.
        channels: int, what images are decoded to.
        seconds: float, when to give up. Defaults to 60.

    Raises:
        UserError: if there is one.
    """
    end = time.monotonic() + seconds
    for name, images in records.files():
        count = 0
        try:
            for encoded, _, _ in images:
                decoding.decode(encoded, channels)
                count += 1
                if time.monotonic() > end:
                    return
        except DAMAGE as error:
            if records.image_files:
                raise _unreadable(name, error) from error
            raise UserError(
                f"{name} is damaged: its image {count} (counted from 0 in "
                f"what is used of the file) cannot be read "
                f"({type(error).__name__}). {_REMEDY}"
            ) from error
        if time.monotonic() > end:
            return


def _unreadable(path, error):
    """Returns the `UserError` of an image file: what it holds, what to do."""
    shown = os.fsencode(path).decode("utf-8", "replace")
    try:
        holds = f"It holds {contents.described(path)}"
    except OSError as missing:
        return UserError(
            f"The image {shown} cannot be opened ({missing.strerror}). Copy it "
            "again, or delete it."
        )
    reason = re.sub(r"{{.*?}} |\[Op.*", "", error.message.splitlines()[0])
    return UserError(
        f"The image {shown} cannot be read ({reason.strip().rstrip('.')}). "
        f"{holds}. Copy it again, save it as JPEG or PNG, or delete it."
    )
