import io
import tarfile

import keras
import numpy as np
import pytest

from indistill_tf import data
from indistill_tf.data.captions import generated
from indistill_tf.errors import UserError

# Two colours and the captions of each.
PICTURES = {
    "red": ((200, 10, 10), ["a red square", "something red"]),
    "blue": ((10, 10, 200), ["a blue square"]),
    "green": ((10, 200, 10), ["a green square"]),
}


def picture(colour):
    return np.full((40, 50, 3), colour, "uint8")


def encoded(colour):
    file = io.BytesIO()
    keras.utils.array_to_img(picture(colour), scale=False).save(file, "PNG")
    return file.getvalue()


@pytest.fixture
def folder(tmp_path):
    for split in ("train", "test"):
        (tmp_path / split).mkdir()
        lines = ["caption,file"]
        for name, (colour, captions) in PICTURES.items():
            (tmp_path / split / f"{name}.png").write_bytes(encoded(colour))
            lines += [f'"{caption}",{name}.png' for caption in captions]
        table = tmp_path / split / "captions.csv"
        table.write_text("\n".join(lines))
    return tmp_path


def add(shard, name, content):
    info = tarfile.TarInfo(name)
    info.size = len(content)
    shard.addfile(info, io.BytesIO(content))


@pytest.fixture
def shards(tmp_path):
    for split in ("train", "test"):
        (tmp_path / split).mkdir()
        for number, (name, (colour, captions)) in enumerate(PICTURES.items()):
            path = tmp_path / split / f"{number}.tar"
            with tarfile.open(path, "w") as shard:
                add(shard, f"a/{name}.1.json", b"{}")
                add(shard, f"a/{name}.txt", captions[0].encode())
                add(shard, f"a/{name}.PNG", encoded(colour))
    return tmp_path


def colours(split):
    return [tuple(image[5, 5].tolist()) for image in split.images]


def test_folder(folder):
    loaded = data.load_captions("folder", folder, image_size=16)
    assert loaded.input_shape == (16, 16, 3)
    assert loaded.preprocessing.resize == "crop"
    assert loaded.preprocessing.mean[0] == pytest.approx(0.4815, abs=1e-4)
    assert colours(loaded.train) == [value[0] for value in PICTURES.values()]
    assert loaded.train.captions == (
        "a red square",
        "something red",
        "a blue square",
        "a green square",
    )
    assert loaded.train.counts.tolist() == [2, 1, 1]
    assert loaded.train.first_captions.tolist() == [0, 2, 3]
    assert loaded.train.image_of.tolist() == [0, 0, 1, 2]
    assert loaded.describe()["train"] == [3, 4]
    part = data.load_captions("folder", folder, 16, train_split="train[1:2]")
    assert part.train.captions == ("a blue square",)


def test_shards(shards):
    loaded = data.load_captions("shards", shards, image_size=16)
    assert colours(loaded.train) == [value[0] for value in PICTURES.values()]
    assert loaded.train.captions == (
        "a red square",
        "a blue square",
        "a green square",
    )


def test_tfds(tmp_path):
    import tensorflow_datasets as tfds

    tfds.disable_progress_bar()
    rows = [
        {
            "image": picture(colour),
            "image/filename": f"{name}.png",
            "captions": [{"id": 1, "text": text} for text in captions],
        }
        for name, (colour, captions) in PICTURES.items()
    ]
    features = tfds.features.FeaturesDict(
        {
            "image": tfds.features.Image(shape=(None, None, 3)),
            "image/filename": tfds.features.Text(),
            "captions": tfds.features.Sequence(
                {"id": np.int64, "text": tfds.features.Text()}
            ),
        }
    )
    tfds.dataset_builders.store_as_tfds_dataset(
        name="tiny_captions",
        version="1.0.0",
        features=features,
        split_datasets={"train": list(enumerate(rows))},
        data_dir=tmp_path,
    )
    loaded = data.load_captions(
        "tiny_captions", tmp_path, 16, test_split="train[:1]"
    )
    assert sorted(loaded.train.counts) == [1, 1, 2]
    for split in (loaded.train, loaded.test):
        for position, colour in enumerate(colours(split)):
            first = split.first_captions[position]
            (captions,) = (
                value[1] for value in PICTURES.values() if value[0] == colour
            )
            assert split.captions[first] == captions[0]


def test_tfds_without_texts(tiny_sets):
    with pytest.raises(UserError, match="'cifar10' needs an image and a text"):
        data.load_captions("cifar10", tiny_sets)


def test_generated():
    loaded = data.load_captions(train_split="train[:20]", test_split="test[:5]")
    assert loaded.input_shape == (32, 32, 1)
    assert loaded.preprocessing.mean == (0.2860,)
    assert len(loaded.train.captions) == 80
    name = loaded.class_names[loaded.train.labels[3]]
    assert all(name in caption for caption in loaded.train.captions[12:16])
    assert loaded.class_names[9] == "ankle boot"
    again = data.load_captions(train_split="train[:20]")
    assert again.train.captions == loaded.train.captions


def test_generated_captions_say_what_the_pixels_are():
    images = np.zeros((2, 10, 10, 1), "uint8")
    # A quarter of the pixels, of 100 and 180 by turns.
    images[0, :5, :5, 0] = np.tile([100, 180, 100, 180, 100], (5, 1))
    images[1, :9, :9] = 200
    assert generated.describe(images, ["bag", "coat"]) == [
        "a photo of a grey bag",
        "a small, patterned bag",
        "a grey and patterned bag",
        "a picture of a small grey bag",
        "a photo of a bright coat",
        "a large, plain coat",
        "a bright and plain coat",
        "a picture of a large bright coat",
    ]


def test_missing_and_damaged_files(folder):
    def load():
        return data.load_captions("folder", folder, 16)

    with pytest.raises(UserError, match="Unknown split 'valid'"):
        data.load_captions("folder", folder, 16, test_split="valid")
    (folder / "test" / "red.png").write_bytes(b"damaged")
    with pytest.raises(UserError, match=r"red\.png is no readable image"):
        load()
    (folder / "test" / "red.png").unlink()
    with pytest.raises(UserError, match=r"red\.png cannot be read \(No such"):
        load()
    table = folder / "train" / "captions.csv"
    table.write_text("file,text\nred.png,a red square\n")
    with pytest.raises(UserError, match=r"captions\.csv is damaged near line"):
        load()
    for name in ("../test/red.png", str(folder / "test" / "red.png")):
        table.write_text(f"file,caption\n{name},a red square\n")
        with pytest.raises(UserError, match="is not within its folder"):
            load()
    table.unlink()
    with pytest.raises(UserError, match=r"captions\.csv is missing"):
        load()
    with pytest.raises(UserError, match="need `data_dir`"):
        data.load_captions("folder")


def test_damaged_shards(shards):
    path = shards / "train" / "1.tar"
    with tarfile.open(path, "a") as shard:
        add(shard, "lonely.jpg", b"")
    with pytest.raises(UserError, match=r"1\.tar, 'lonely' is an image with"):
        data.load_captions("shards", shards, 16)
    path.write_bytes(path.read_bytes()[:700])
    with pytest.raises(UserError, match=r"1\.tar is no readable shard"):
        data.load_captions("shards", shards, 16)


def test_every_image_needs_a_caption():
    images = np.zeros((2, 4, 4, 3), "uint8")
    with pytest.raises(UserError, match="Every image needs a caption"):
        data.CaptionedSplit(images, ("a",), np.array([1, 0]))
    with pytest.raises(UserError, match="`counts` adds up to 3"):
        data.CaptionedSplit(images, ("a",), np.array([1, 2]))
