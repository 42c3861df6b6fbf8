"""Reading the sets of TensorFlow Datasets."""

import numpy as np
import tensorflow as tf

from indistill_tf.data.images import damage
from indistill_tf.data.images import indexed_records
from indistill_tf.data.images import overlap
from indistill_tf.data.images import tfds_builders
from indistill_tf.data.images import tfrecords
from indistill_tf.data.images.collecting import check_fits
from indistill_tf.data.images.collecting import collect
from indistill_tf.data.images.collecting import parse_split
from indistill_tf.data.images.encoded import EncodedSplit
from indistill_tf.errors import UserError


class TfdsReader:
    """A set of TensorFlow Datasets, prepared or downloadable."""

    def __init__(self, name, data_dir, image_size, resize, encoded=False):
        self.builder = tfds_builders.find(name, data_dir)
        # What does not fit is refused before it is downloaded.
        self.image, self.label = image_and_label(self.builder.info, name)
        features = self.builder.info.features
        shape = features[self.image].shape
        if image_size is None and None in shape:
            raise UserError(
                f"The images of {name!r} differ in size. Say which size the "
                "network reads, such as `image_size=64`."
            )
        self.image_size, self.resize = image_size or shape[:2], resize
        self.channels, self.encoded = shape[-1], encoded
        tfds_builders.prepare(self.builder, name)
        if not self.builder.info.splits:
            raise UserError(
                f"{self.builder.data_path} is not prepared to its end. Delete "
                f"this folder and prepare {name!r} again."
            )
        self.splits = list(self.builder.info.splits)
        self.class_names = features[self.label].names

    def split(self, spec):
        parse_split(spec, self.splits)
        damage.check_shards(self.builder, spec)
        split = self._encoded(spec)
        if self.encoded:
            return split
        check_fits(len(split), self.image_size, self.channels)
        with damage.naming_damage(split):
            return self._in_memory(spec)

    def positions(self, spec):
        return tfds_positions(self.builder, spec)

    def _encoded(self, spec):
        formats = {
            "tfrecord": tfrecords.TfRecords,
            "array_record": indexed_records.ArrayRecords,
        }
        file_format = self.builder.info.file_format.value
        if file_format not in formats:
            raise UserError(
                f"{self.builder.name!r} is prepared as {file_format}. Prepare "
                f"it in one of these formats: {', '.join(formats)}."
            )
        parse, parse_label = _parsers(
            self.builder.info.features, self.image, self.label
        )
        instructions = self.builder.info.splits[spec].file_instructions
        records = formats[file_format](instructions, parse, parse_label)
        return EncodedSplit(
            records, self.channels, self.image_size, self.resize
        )

    def _in_memory(self, spec):
        import tensorflow_datasets as tfds

        keys = dict.fromkeys((self.image, self.label), True)
        rows = self.builder.as_dataset(
            split=spec,
            shuffle_files=False,
            # A second image, such as a mask, is not decoded.
            decoders=tfds.decode.PartialDecoding(keys),
        )
        pairs = rows.map(lambda row: (row[self.image], row[self.label]))
        return collect(pairs, self.image_size, self.resize)


def tfds_positions(builder, spec):
    """Returns a TFDS split's name, and which of its images a slice holds.

    Args:
        builder: `tfds.core.DatasetBuilder` of a prepared set.
        spec: string, a split or a slice of one.
    """
    splits = builder.info.splits
    split, _ = parse_split(spec, splits)
    return overlap.positions(spec, splits, splits[split].num_examples)


def image_and_label(info, name):
    """Returns the keys of a TFDS set's image and class label.

    Args:
        info: `tfds.core.DatasetInfo`.
        name: the set's name, for messages.

    Raises:
        UserError: if it has none, or images of another type than uint8.
    """
    import tensorflow_datasets as tfds

    keys = []
    for kind in (tfds.features.Image, tfds.features.ClassLabel):
        fitting = [
            key
            for key, feature in info.features.items()
            if isinstance(feature, kind)
        ]
        # `image` rather than its mask, `label` rather than a coarser one.
        fitting.sort(key=lambda key: key not in (info.supervised_keys or ()))
        if not fitting:
            raise UserError(
                f"TFDS set {name!r} has no {kind.__name__}, so it is no "
                f"image-classification set. It has: {', '.join(info.features)}."
            )
        keys.append(fitting[0])
    check_pixels(info.features[keys[0]], name)
    return keys


def check_pixels(image, name):
    """Checks that the images of a TFDS set can be read.

    Args:
        image: their feature.
        name: the set's name, for messages.

    Raises:
        UserError: if they are of another type than uint8, or neither grey nor
            coloured.
    """
    if image.np_dtype != np.uint8 or image.shape[-1] not in (1, 3):
        raise UserError(
            f"The images of TFDS set {name!r} are of type "
            f"{np.dtype(image.np_dtype)} with {image.shape[-1]} channels; "
            "expected uint8 with 1 or 3. Choose another set."
        )


def _parsers(features, image, label):
    """Returns functions from a record to its encoded image and its label.

    Other features, a second image for one, are neither parsed nor decoded.
    """
    import tensorflow_datasets as tfds

    def parser(keys, decoders):
        part = tfds.decode.PartialDecoding(dict.fromkeys(keys, True))
        part = part.extract_features(features)
        return lambda record: part.deserialize_example(
            record, decoders=decoders
        )

    both = parser((image, label), {image: tfds.decode.SkipDecoding()})
    label_alone = parser((label,), None)

    def parse(record):
        row = both(record)
        return row[image], tf.cast(row[label], tf.int32)

    return parse, lambda record: tf.cast(label_alone(record)[label], tf.int32)
