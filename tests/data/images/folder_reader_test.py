"""Folders as people have them: what is read, left out and refused."""

import os
import shutil

import keras
import numpy as np
import pytest
import tensorflow as tf

from indistill_tf import data
from indistill_tf.data.images import class_folders
from indistill_tf.errors import UserError

AUGMENTATIONS = ("crop", "random_resized_crop")


def png(shade=0, channels=3):
    return tf.io.encode_png(np.full((8, 8, channels), shade, "uint8")).numpy()


def fill(folder, classes=("bag", "boot"), count=2, shade=0):
    """Puts images into class folders, each of a shade of its own."""
    for number, name in enumerate(classes):
        (folder / name).mkdir(parents=True)
        for index in range(count):
            path = folder / name / f"{index}.png"
            path.write_bytes(png(shade + 10 * number + index))


@pytest.fixture
def photos(tmp_path):
    """Two classes with two images each, to train and to test on."""
    fill(tmp_path / "train")
    fill(tmp_path / "test", shade=100)
    return tmp_path


def load(folder, augmentation="crop", **options):
    options = {"image_size": 8, "augmentation": augmentation} | options
    return data.load("folder", folder, **options)


def counts(folder, **options):
    """What both ways of reading find; they must agree."""
    memory, files = (load(folder, kind, **options) for kind in AUGMENTATIONS)
    assert memory.class_names == files.class_names
    for split in ("train", "test"):
        labels = getattr(memory, split).labels
        np.testing.assert_array_equal(labels, getattr(files, split).labels)
    return dict(
        zip(memory.class_names, np.bincount(memory.train.labels), strict=True)
    )


def refusal(folder, **options):
    """The refusal, which must be the same both ways."""
    messages = set()
    for augmentation in AUGMENTATIONS:
        with pytest.raises(UserError) as caught:
            load(folder, augmentation, **options)
        messages.add(str(caught.value))
    (message,) = messages
    assert "\n" not in message
    return message


def copy(path, target):
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(path, target)


def test_folders_beside_the_splits(photos):
    for beside in (
        "__MACOSX/train/bag/._0.png",
        ".ipynb_checkpoints/0-checkpoint.png",
        "annotations/0.xml",
        "masks/0.png",
        "a_first_folder/with/nothing.txt",
    ):
        copy(photos / "train/bag/0.png", photos / beside)
    assert counts(photos) == {"bag": 2, "boot": 2}


@pytest.mark.parametrize(
    "inside, left_out",
    [
        (".ipynb_checkpoints/0.png", "1 hidden folder"),
        ("bag/.ipynb_checkpoints/0.png", "1 hidden folder"),
        ("__MACOSX/bag/._0.png", "1 hidden folder"),
        ("bag/@eaDir/0.png/SYNOPHOTO_THUMB_M.jpg", "1 hidden folder"),
        ("bag/._0.png", "1 hidden"),
        ("bag/.DS_Store", "1 hidden"),
        ("bag/Thumbs.db", "1 .db"),
        ("bag/0.tif", "1 .tif"),
        ("bag/0.webp", "1 .webp"),
        ("bag/0.HEIC", "1 .heic"),
        ("bag/LICENSE", "1 without an ending"),
        ("labels/0.xml", "1 .xml, 1 folder without images (labels)"),
        ("0.png", "1 image outside the class folders"),
    ],
)
def test_what_is_left_out_is_counted(tmp_path, inside, left_out):
    fill(tmp_path)
    copy(tmp_path / "bag/0.png", tmp_path / inside)
    found = class_folders.read(tmp_path)
    assert [len(paths) for paths in found.paths.values()] == [2, 2]
    assert found.describe_left_out() == left_out


def test_nothing_is_said_of_a_clean_folder(photos, caplog):
    counts(photos)
    assert not caplog.records


def test_several_kinds_are_one_line(photos, caplog):
    for name in ("a.tif", "b.tif", "c.txt", ".d"):
        (photos / "train/boot" / name).touch()
    (photos / "train/empty").mkdir()
    copy(photos / "train/bag/0.png", photos / "train/.hidden/0.png")
    assert counts(photos) == {"bag": 2, "boot": 2}
    line = (
        f"{photos / 'train'}: 4 images of 2 classes; left out: 2 .tif, 1 .txt, "
        "1 folder without images (empty), 1 hidden, 1 hidden folder"
    )
    # One for each way of reading.
    assert [line, line] == [record.getMessage() for record in caplog.records]


def test_contents_decide_not_endings(photos):
    (photos / "train/bag/0.png").rename(photos / "train/bag/0.PNG")
    (photos / "train/bag/1.png").rename(photos / "train/bag/1.jpg")
    (photos / "train/boot/0.png").rename(photos / "train/boot/0.JFIF")
    assert counts(photos) == {"bag": 2, "boot": 2}
    # In a mixed order: shades 0 and 1 of the first class, 10 and 11.
    pixels = load(photos).train.images
    assert sorted(pixels[:, 0, 0, 0]) == [0, 1, 10, 11]


def test_a_grey_image_among_coloured_ones(photos):
    (photos / "train/boot/grey.png").write_bytes(png(200, channels=1))
    assert counts(photos) == {"bag": 2, "boot": 3}
    images = load(photos).train.images
    assert images.shape == (5, 8, 8, 3)
    assert (images == 200).sum() == 8 * 8 * 3


def test_images_in_sub_folders_of_a_class(photos):
    copy(photos / "train/bag/0.png", photos / "train/bag/2024/may/0.png")
    assert counts(photos) == {"bag": 3, "boot": 2}


def test_links(photos, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    shutil.move(photos / "train/bag", elsewhere / "bag")
    (photos / "train/bag").symlink_to(elsewhere / "bag")
    (elsewhere / "more").mkdir()
    copy(elsewhere / "bag/0.png", elsewhere / "more/0.png")
    (elsewhere / "bag/more").symlink_to(elsewhere / "more")
    # A way back up would lead to every image, again and again.
    (photos / "train/boot/back").symlink_to(photos)
    assert counts(photos) == {"bag": 3, "boot": 2}


def test_names_of_people(tmp_path):
    # On macOS an umlaut is often two characters, on Linux one.
    fill(tmp_path / "train", ("B\u00e4r", "rot wein", "\u732b"), count=1)
    fill(tmp_path / "test", ("Ba\u0308r", "rot wein", "\u732b"), count=1)
    expected = {"B\u00e4r": 1, "rot wein": 1, "\u732b": 1}
    assert counts(tmp_path) == expected


def test_names_that_are_no_text_here(photos):
    # Archives of older systems hold names in their own letters.
    try:
        for split in ("train", "test"):
            folder = os.fsencode(photos / split)
            os.rename(folder + b"/bag", folder + b"/B\xe4r")
        image = os.fsencode(photos) + b"/train/B\xe4r/0.png"
        os.rename(image, image + b"\xe4.png")
    except OSError:
        pytest.skip("the file system takes UTF-8 alone")
    assert counts(photos) == {"B\ufffdr": 2, "boot": 2}
    with open(image + b"\xe4.png", "wb"):
        pass
    with pytest.raises(UserError, match="0.png\ufffd.png cannot be read"):
        load(photos)


def test_splits_of_any_name(tmp_path):
    fill(tmp_path / "train 2024")
    fill(tmp_path / "pr\u00fcf-satz")
    names = {
        "train_split": "train 2024[:50%]",
        "test_split": "pr\u00fcf-satz",
    }
    assert sum(counts(tmp_path, **names).values()) == 2


def test_classes_are_those_of_the_training_split(tmp_path):
    fill(tmp_path / "train", ("bag", "boot", "cap"))
    fill(tmp_path / "test", ("bag", "boot"))
    assert refusal(tmp_path).startswith(
        "All splits need a folder with images for each class, of the same "
        f"names: {tmp_path / 'test'} has no images of 'cap'."
    )
    fill(tmp_path / "more", ("bag", "boot"))
    assert counts(tmp_path, train_split="more") == {"bag": 2, "boot": 2}


@pytest.mark.parametrize("split", ["train", "test"])
def test_a_class_that_one_split_has(photos, split):
    fill(photos / split, ("cap",))
    other = {"train": "test", "test": "train"}[split]
    assert f"{photos / other} has no images of 'cap'." in refusal(photos)


def test_validation_has_the_same_classes_too(photos):
    fill(photos / "val", ("bag", "shoe"))
    message = refusal(photos, validation_split="val")
    assert f"{photos / 'val'} has no images of 'boot'" in message
    assert f"{photos / 'train'} has no images of 'shoe'" in message


def test_a_class_whose_images_are_not_read(photos):
    for number in range(2):
        path = photos / f"train/bag/{number}.png"
        path.rename(path.with_suffix(".tif"))
    message = refusal(photos)
    assert f"{photos / 'train/bag'} holds no image of a format" in message
    assert "but 2 .tif. Convert them to one of: .bmp, .gif" in message


@pytest.mark.parametrize("name", ["valid", "Validation"])
def test_another_name_of_the_test_split(photos, name):
    (photos / "test").rename(photos / name)
    fill(photos / "extra")
    message = refusal(photos)
    assert "'folder' has no split 'test' to report on, but: " in message
    assert f"such as `test_split={name}`." in message
    assert counts(photos, test_split=name) == {"bag": 2, "boot": 2}


def test_class_folders_alone(tmp_path):
    fill(tmp_path, count=5)
    assert "`train_split=train[:80%]` and `test_split=" in refusal(tmp_path)
    slices = {"train_split": "train[:60%]", "test_split": "train[60%:]"}
    assert sum(counts(tmp_path, **slices).values()) == 6
    memory = load(tmp_path, **slices)
    shades = [*memory.train.images[:, 0, 0, 0], *memory.test.images[:, 0, 0, 0]]
    assert sorted(shades) == [0, 1, 2, 3, 4, 10, 11, 12, 13, 14]


def test_one_image_a_class(tmp_path):
    fill(tmp_path / "train", count=1)
    fill(tmp_path / "test", count=1)
    assert counts(tmp_path) == {"bag": 1, "boot": 1}


def test_folders_that_are_none(tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "empty").mkdir()
    fill(tmp_path / "flat/train", ("bag",))
    for name, message in (
        ("file", "needs `data_dir`, a folder .* which is a file"),
        ("none", "needs `data_dir`, a folder .* which does not exist"),
        ("empty", "holds no images in class folders. .* it holds: no folder"),
        ("flat", "train holds 1 folders with images; a classification set nee"),
        ("flat/train", "holds no images in class folders. .* it holds: bag"),
    ):
        with pytest.raises(UserError, match=message):
            load(tmp_path / name)
    with pytest.raises(UserError, match="Received: ''"):
        load("")


def test_home(photos, monkeypatch):
    monkeypatch.setenv("HOME", str(photos.parent))
    assert counts(f"~/{photos.name}") == {"bag": 2, "boot": 2}


def test_data_dir_of_the_embedded_set(caplog, tmp_path):
    data.load(data_dir=tmp_path, train_split="train[:9]")
    assert "is not read: the set 'embedded' comes with" in caplog.text


DAMAGE = {
    "cut off": (png()[:60], "(Invalid PNG data, size 60). It holds a PNG im"),
    "nothing": (b"", "(Input is empty). It holds nothing."),
    "a web page": (b"\n<!DOCTYPE html>", "It holds a web page."),
    "a TIFF image": (b"II*\0" + bytes(20), "It holds a TIFF image."),
    "a HEIC image": (b"\0\0\0\x18ftypheic" + bytes(9), "holds a HEIC image."),
    "text": (b"no picture", "It holds bytes of no known format."),
    "a link to nothing": (None, "cannot be opened (No such file"),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_damaged_images_are_named_both_ways(photos, kind):
    content, message = DAMAGE[kind]
    path = photos / "train/boot/1.png"
    path.unlink()
    if content is None:
        path.symlink_to(photos / "gone.png")
    else:
        path.write_bytes(content)
    with pytest.raises(UserError) as memory:
        load(photos)
    images = load(photos, "random_resized_crop")
    with pytest.raises(UserError) as files, data.naming_damage(images.train):
        list(images.train.evaluation(4))
    for caught in (memory, files):
        assert str(path) in str(caught.value)
        assert message in str(caught.value)
        assert str(caught.value).count("\n") == 0
    assert str(memory.value) == str(files.value)


def test_damage_of_the_first_classes(photos):
    (photos / "train/bag/0.png").write_bytes(b"no picture")
    images = load(photos, "random_resized_crop", classes=2)
    with pytest.raises(UserError, match="image .*bag/0.png cannot be read"):
        images.train.check_files()


@pytest.mark.parametrize("resize", ["bilinear", "pad", "crop"])
def test_images_are_sized_as_an_export_sizes_them(tmp_path, resize):
    pixels = np.random.default_rng(0).integers(0, 256, (41, 60, 3), "uint8")
    for split in ("train", "test"):
        for name in ("bag", "cap"):
            folder = tmp_path / split / name
            folder.mkdir(parents=True)
            keras.utils.save_img(folder / "1.png", pixels, scale=False)
    images = data.load("folder", tmp_path, image_size=16, resize=resize)
    # An export does not know the size in advance.
    sized = tf.function(
        images.preprocessing.fit_size,
        input_signature=[tf.TensorSpec([None, None, None, 3], tf.uint8)],
    )
    expected = sized(pixels[None]).numpy()[0]
    np.testing.assert_array_equal(images.train.images[0], expected)
