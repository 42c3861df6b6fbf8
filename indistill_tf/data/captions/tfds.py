"""Images with captions of TensorFlow Datasets."""

import numpy as np
import tensorflow as tf

from indistill_tf.data.captions.captioned import CaptionedSplit
from indistill_tf.data.images import damage
from indistill_tf.data.images import tfds_builders
from indistill_tf.data.images.collecting import parse_split
from indistill_tf.data.images.tfds_reader import check_pixels
from indistill_tf.data.images.tfds_reader import tfds_positions
from indistill_tf.data.preprocessing import fit_size
from indistill_tf.errors import UserError

# Of several texts the first of these that there is, such as the caption
# rather than the file's name.
_USUAL = ("captions", "caption", "text", "texts", "description")


class TfdsCaptions:
    """A TFDS set with an image and one text or several.

    Args:
        name: the set's name.
        data_dir: where prepared sets lie.
        image_size: tuple `(H, W)`.
        resize: a mode of `Preprocessing`.

    Raises:
        UserError: if there is no such set, or it has no image or text.
    """

    class_names = ()

    def __init__(self, name, data_dir, image_size, resize):
        self.image_size, self.resize = image_size, resize
        self.builder = tfds_builders.find(name, data_dir)
        self.image, self.text = _image_and_text(self.builder.info, name)
        tfds_builders.prepare(self.builder, name)

    def split(self, spec):
        """Returns the `CaptionedSplit` of a split or a slice of one.

        Args:
            spec: string.

        Raises:
            UserError: if the split does not exist, or a file is damaged.
        """
        parse_split(spec, self.builder.info.splits)
        damage.check_shards(self.builder, spec)
        try:
            rows = [self._pair(row) for row in self._rows(spec)]
        except tf.errors.OpError as error:
            raise UserError(
                f"{self.builder.data_path} cannot be read "
                f"({error.message.splitlines()[0]}). Copy it again, or prepare "
                "the set again."
            ) from error
        images, texts = zip(*rows, strict=True)
        return CaptionedSplit(
            images=np.stack(images),
            captions=tuple(text for several in texts for text in several),
            counts=np.array([len(several) for several in texts]),
        )

    def positions(self, spec):
        """Returns a split's name, and which of its images a slice holds.

        Args:
            spec: string.
        """
        return tfds_positions(self.builder, spec)

    def _rows(self, spec):
        import tensorflow_datasets as tfds

        key, inner = self.text
        wanted = {self.image: True, key: {inner: True} if inner else True}

        def sized(row):
            text = row[key][inner] if inner else row[key]
            image = fit_size(
                row[self.image][None], self.image_size, self.resize
            )
            return image[0], tf.reshape(text, [-1])

        rows = self.builder.as_dataset(
            split=spec,
            shuffle_files=False,
            decoders=tfds.decode.PartialDecoding(wanted),
        )
        rows = rows.map(sized, num_parallel_calls=tf.data.AUTOTUNE)
        return rows.as_numpy_iterator()

    def _pair(self, row):
        image, texts = row
        if not len(texts):
            raise UserError(
                f"{self.builder.name!r} has an image without a caption. Choose "
                "another split or set."
            )
        return image, [text.decode("utf-8").strip() for text in texts]


def _image_and_text(info, name):
    """Returns the image's key, and the text's with the one inside or None."""
    import tensorflow_datasets as tfds

    images = [
        key
        for key, feature in info.features.items()
        if isinstance(feature, tfds.features.Image)
    ]
    texts = [
        (key, inner)
        for key, feature in info.features.items()
        for inner in _texts(feature)
        if "file" not in key and key != "id"
    ]
    if not images or not texts:
        raise UserError(
            f"TFDS set {name!r} needs an image and a text, but has: "
            f"{', '.join(info.features)}. Choose another set."
        )
    images.sort(key=lambda key: key != "image")
    check_pixels(info.features[images[0]], name)
    return images[0], min(texts, key=_rank)


def _rank(keys):
    return _USUAL.index(keys[0]) if keys[0] in _USUAL else len(_USUAL)


def _texts(feature):
    """Returns the texts in a feature: None for itself, or keys inside."""
    import tensorflow_datasets as tfds

    if isinstance(feature, tfds.features.Text):
        return [None]
    inside = getattr(feature, "feature", None)
    if isinstance(inside, tfds.features.Text):
        return [None]
    if isinstance(inside, tfds.features.FeaturesDict):
        return [
            key
            for key, item in inside.items()
            if isinstance(item, tfds.features.Text)
        ]
    return []
