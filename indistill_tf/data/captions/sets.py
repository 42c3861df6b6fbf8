"""Image-text sets: generated captions, files, or TensorFlow Datasets."""

from indistill_tf.data.captions import generated
from indistill_tf.data.captions.captioned import CaptionSet
from indistill_tf.data.captions.files import FolderCaptions
from indistill_tf.data.captions.files import ShardCaptions
from indistill_tf.data.captions.tfds import TfdsCaptions
from indistill_tf.data.images import overlap
from indistill_tf.data.preprocessing import Preprocessing
from indistill_tf.errors import UserError
from indistill_tf.hints import Path

# What CLIP's towers were trained with.
MEAN = (0.48145466, 0.4578275, 0.40821073)
STD = (0.26862954, 0.26130258, 0.27577711)


def load_captions(
    name: str = "generated",
    data_dir: Path | None = None,
    image_size: int | None = None,
    resize: str | None = None,
    train_split: str = "train",
    test_split: str = "test",
) -> CaptionSet:
    """Loads images with captions into memory.

    Args:
        name: one of
            - `"generated"`: the embedded images of Fashion-MNIST with captions
              that a program wrote of their classes and pixels, see
              `indistill_tf.data.captions.generated`. Nothing measured on it
              says anything about natural texts;
            - `"folder"`: a folder a split, in it images and `captions.csv`
              with the columns `file` and `caption`, a line a caption;
            - `"shards"`: a folder a split, in it webdataset's `.tar` files of
              `key.jpg` or `key.png` beside `key.txt`;
            - a TFDS name, of a set with images and texts, such as
              `"coco_captions"`.
            Defaults to `"generated"`.
        data_dir: the folder of the splits, or where prepared TFDS sets lie.
        image_size: int, pixels a side the network reads. Defaults to 32 for
            `"generated"`, else 224.
        resize: a mode of `Preprocessing`. Defaults to `"pad"` for
            `"generated"`, else `"crop"`.
        train_split: string, may be a slice such as `"train[:90%]"`. Where
            `test_split` shares images with it, a warning says how many.
        test_split: the same.

    Returns:
        `CaptionSet`, normalised as CLIP's towers read it (grey images by the
        mean over colours), the generated one by its own mean and deviation.

    Raises:
        UserError: if the set, a split or a file is missing, damaged or holds
            no images with captions.
    """
    if name == "generated":
        reader = generated.GeneratedCaptions(image_size, resize)
    else:
        size = (image_size or 224,) * 2
        reader = _make_reader(name, data_dir, size, resize or "crop")
    specs = [train_split, test_split]
    splits = [reader.split(spec) for spec in specs]
    for spec, split in zip(specs, splits, strict=True):
        if not len(split):
            raise UserError(
                f"Split {spec!r} of {name!r} holds no image. Choose a larger "
                "slice."
            )
    overlap.warn(reader, train_split, test_split)
    train, test = splits
    channels = train.images.shape[-1]
    mean, std = getattr(reader, "statistics", (MEAN, STD))
    if channels < len(mean):
        mean, std = (sum(mean) / len(mean),), (sum(std) / len(std),)
    return CaptionSet(
        name=name,
        train=train,
        test=test,
        preprocessing=Preprocessing(
            image_size=tuple(train.images.shape[1:3]),
            mean=mean,
            std=std,
            resize=reader.resize,
        ),
        class_names=tuple(reader.class_names),
    )


def _make_reader(name, data_dir, image_size, resize):
    files = {"folder": FolderCaptions, "shards": ShardCaptions}
    if name in files:
        return files[name](data_dir, image_size, resize)
    return TfdsCaptions(name, data_dir, image_size, resize)
