"""Writes the embedded image set: a part of Fashion-MNIST.

    python tools/make_embedded.py --data_dir=DIR --output=FILE.npz

Takes the first 1,000 images of each class of the training split and the first
200 of each class of the test split, in their order, from the TFDS set
`fashion_mnist` prepared in DIR.
"""

import numpy as np
from absl import app
from absl import flags

_DATA_DIR = flags.DEFINE_string("data_dir", None, "Where TFDS sets lie.")
_OUTPUT = flags.DEFINE_string("output", None, "The file to write.")


def first_of_each_class(
    images: np.ndarray, labels: np.ndarray, count: int
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the first images of each class and their labels, in their order.

    Args:
        images: [N, H, W, C].
        labels: [N], integers.
        count: how many of each class.
    """
    ranks = np.zeros(len(labels), "int64")
    for label in np.unique(labels):
        chosen = labels == label
        ranks[chosen] = np.arange(chosen.sum())
    chosen = ranks < count
    return images[chosen], labels[chosen]


def main(argv):
    del argv
    import tensorflow_datasets as tfds

    builder = tfds.builder("fashion_mnist", data_dir=_DATA_DIR.value)
    arrays = {"class_names": np.array(builder.info.features["label"].names)}
    for split, count in (("train", 1000), ("test", 200)):
        whole = tfds.as_numpy(
            builder.as_dataset(split=split, batch_size=-1, shuffle_files=False)
        )
        images, labels = first_of_each_class(
            whole["image"], whole["label"], count
        )
        arrays[f"{split}_images"] = images
        arrays[f"{split}_labels"] = labels.astype("uint8")
    np.savez_compressed(_OUTPUT.value, **arrays)


if __name__ == "__main__":
    flags.mark_flags_as_required(["data_dir", "output"])
    app.run(main)
