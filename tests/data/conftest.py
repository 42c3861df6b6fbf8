"""Tiny sets in TFDS' format, written once for all tests."""

import pytest

from indistill_tf import data
from indistill_tf_tools import stand_ins

TRAIN, TEST = 48, 12


@pytest.fixture(scope="session")
def array_records(tmp_path_factory):
    """A folder with the same stand-in for ImageNet as ArrayRecord files."""
    folder = tmp_path_factory.mktemp("array_records")
    stand_ins.write_tiny(
        "imagenet2012", folder, TRAIN, TEST, "array_record", shards=3
    )
    return folder


@pytest.fixture(scope="session")
def photographs(tmp_path_factory, tiny_sets):
    """A folder of JPEG and PNG files with one sub-folder a class."""
    import tensorflow as tf

    folder = tmp_path_factory.mktemp("photographs")
    images = data.load("imagenet2012", tiny_sets, image_size=32)
    for split in ("train", "test"):
        rows = getattr(images, split).elements()
        for number, (encoded, _, _) in enumerate(rows.take(9)):
            target = folder / split / ("cat", "dog")[number % 2]
            target.mkdir(parents=True, exist_ok=True)
            (target / f"{number}.JPEG").write_bytes(encoded.numpy())
        pixels = tf.io.encode_png(tf.io.decode_jpeg(encoded))
        (target / "last.png").write_bytes(pixels.numpy())
    return folder


@pytest.fixture(scope="session")
def load_encoded(tiny_sets, array_records, photographs):
    """Loads an image set that stays in its files, at 32 pixels."""

    def load_encoded(kind, **options):
        name, folder = {
            "tfrecord": ("imagenet2012", tiny_sets),
            "array_record": ("imagenet2012", array_records),
            "folder": ("folder", photographs),
        }[kind]
        options = {"augmentation": "random_resized_crop"} | options
        return data.load(name, folder, image_size=32, **options)

    return load_encoded
