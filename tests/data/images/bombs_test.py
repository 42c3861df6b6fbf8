"""Small files that stand for gigabytes."""

import io
import struct
import zipfile

import numpy as np
import PIL.Image
import pytest
import tensorflow as tf

from indistill_tf import machine
from indistill_tf import models
from indistill_tf.data.images import decoding
from indistill_tf.errors import UserError


def encoded(kind):
    file = io.BytesIO()
    pixels = np.arange(5 * 7 * 3, dtype="uint8").reshape(5, 7, 3)
    PIL.Image.fromarray(pixels).save(file, kind)
    return file.getvalue()


# Where each format has its width and its height, and how.
SIZES = {
    "PNG": (16, ">II"),
    "GIF": (6, "<HH"),
    "BMP": (18, "<ii"),
    "JPEG": (None, ">HH"),
}


def with_size(content, kind, height, width):
    place, form = SIZES[kind]
    numbers = (width, height)
    if kind == "JPEG":
        # Behind the marker of the frame, its length and the precision.
        place, numbers = content.index(b"\xff\xc0") + 5, (height, width)
    packed = struct.pack(form, *numbers)
    return content[:place] + packed + content[place + len(packed) :]


@pytest.mark.parametrize("kind", SIZES)
def test_size_is_read_without_decoding(kind):
    content = encoded(kind)
    assert decoding._size(content).numpy().tolist() in ([5, 7], [7, 5])
    assert decoding.decode(content, 3).shape == (5, 7, 3)
    bomb = with_size(content, kind, 50_000, 60_000)
    with pytest.raises(tf.errors.InvalidArgumentError, match="178956970 pixel"):
        decoding.decode(bomb, 3)
    in_a_graph = tf.function(lambda content: decoding.decode(content, 3))
    with pytest.raises(tf.errors.InvalidArgumentError, match="178956970 pixel"):
        in_a_graph(tf.constant(bomb))


def test_part_of_a_bomb():
    bomb = with_size(encoded("JPEG"), "JPEG", 50_000, 60_000)
    with pytest.raises(tf.errors.InvalidArgumentError, match="178956970 pixel"):
        decoding.random_resized_crop(bomb, (8, 8), 3, (0, 1))


def test_an_archive_that_does_not_fit_the_memory(tmp_path, monkeypatch):
    path = tmp_path / "w.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("conv1.kernel.npy", bytes(10_000_000))
    assert path.stat().st_size < 20_000
    monkeypatch.setattr(machine, "memory", lambda: 1_000_000)
    network = models.build("cnn_s", (32, 32, 1), 10)
    with pytest.raises(UserError, match="would take 0 GB .* Do not trust"):
        models.load_weights(network, path)
    path.rename(tmp_path / "w.keras")
    with pytest.raises(UserError, match="Do not trust"):
        models.load_model(tmp_path / "w.keras")
