"""Captions that a program writes for the embedded images.

They are no natural language: four sentences about an image's class and three
properties of its pixels. They are here so that a pair of towers can be trained
and measured without any download, and for nothing else.
"""

import numpy as np

from indistill_tf.data.captions.captioned import CaptionedSplit
from indistill_tf.data.images.readers import EmbeddedReader
from indistill_tf.data.preprocessing import fit_size

SENTENCES = (
    "a photo of a {shade} {name}",
    "a {size}, {texture} {name}",
    "a {shade} and {texture} {name}",
    "a picture of a {size} {shade} {name}",
)
# About the thirds, or for the texture the halves, of the training images.
SIZES = ((0.42, 0.59), ("small", "medium", "large"))
SHADES = ((128, 171), ("dark", "grey", "bright"))
TEXTURES = ((31,), ("plain", "patterned"))


class GeneratedCaptions:
    """The embedded images, each with one caption of every sentence.

    Args:
        image_size: int, pixels a side the network reads, or None for 32.
        resize: a mode of `Preprocessing`, or None for `"pad"`.
    """

    # Of the embedded images, see `indistill_tf.data.images.sets`.
    statistics = ((0.2860,), (0.3530,))

    def __init__(self, image_size=None, resize=None):
        self.image_size = (image_size or 32,) * 2
        self.resize = resize or "pad"
        # The pixels are measured at the size they are kept in.
        self._reader = EmbeddedReader((28, 28), "pad")
        self.class_names = [name.lower() for name in self._reader.class_names]

    def positions(self, spec):
        """Returns a split's name, and which of its images a slice holds.

        Args:
            spec: string.
        """
        return self._reader.positions(spec)

    def split(self, spec):
        """Returns the `CaptionedSplit` of `"train"`, `"test"` or a slice.

        Args:
            spec: string.
        """
        stored = self._reader.split(spec)
        names = [self.class_names[label] for label in stored.labels]
        captions = describe(stored.images, names)
        return CaptionedSplit(
            images=np.asarray(
                fit_size(stored.images, self.image_size, self.resize)
            ),
            captions=tuple(captions),
            counts=np.full(len(stored), len(SENTENCES)),
            labels=stored.labels,
        )


def describe(images, names):
    """Writes captions of images.

    An image's size is the part of its pixels that are not black, its shade
    their mean, its texture the mean difference of neighbours in a row.

    Args:
        images: uint8 array `[N, H, W, 1]`, on black.
        names: N strings, what is seen.

    Returns:
        List of `4 N` strings, the four of the first image first.
    """
    pixels = images[..., 0].astype("float32")
    seen = pixels > 0
    both = seen[:, :, 1:] & seen[:, :, :-1]
    steps = np.abs(np.diff(pixels, axis=2))
    sizes = _words(seen.mean(axis=(1, 2)), SIZES)
    shades = _words(_mean(pixels, seen), SHADES)
    textures = _words(_mean(steps, both), TEXTURES)
    return [
        sentence.format(name=name, size=size, shade=shade, texture=texture)
        for name, size, shade, texture in zip(
            names, sizes, shades, textures, strict=True
        )
        for sentence in SENTENCES
    ]


def _mean(values, where):
    count = np.maximum(where.sum(axis=(1, 2)), 1)
    return (values * where).sum(axis=(1, 2)) / count


def _words(values, scale):
    bounds, words = scale
    return [words[index] for index in np.digitize(values, bounds)]
