"""The README is short, names every method, and its Python example runs."""

import pathlib
import re

import keras
import pytest
import tensorflow as tf

import indistill_tf
from indistill_tf import methods
from indistill_tf_tools import method_table

ROOT = pathlib.Path(__file__).parents[1]
README = ROOT / "README.md"


def test_page_of_methods_is_the_librarys():
    page = ROOT / "docs" / "methods.md"
    assert page.read_text() == method_table.page()


def test_every_method_is_named():
    assert all(f"`{name}`" in README.read_text() for name in methods.METHODS)


def test_readme_is_short():
    assert len(README.read_text().splitlines()) <= 130


@pytest.fixture
def names(build, small_images):
    """What the examples take as given: two networks and the data."""
    images = small_images.preprocessing(small_images.train.images[:64])
    data = tf.data.Dataset.from_tensor_slices(
        (images, small_images.train.labels[:64])
    ).batch(32)
    return {
        "teacher": build("cnn_a"),
        "student": build("cnn_s"),
        "build_my_student": lambda: build("cnn_s"),
        "train": data,
        "validation": data,
    }


@pytest.mark.slow
def test_example_gives_a_good_student(build, tmp_path, monkeypatch):
    images = indistill_tf.data.load("embedded")

    def data(split):
        pixels = images.preprocessing(split.images)
        whole = tf.data.Dataset.from_tensor_slices((pixels, split.labels))
        return whole.shuffle(len(split.labels), seed=0).batch(64)

    train, validation = data(images.train), data(images.test)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    teacher = build("cnn_a")
    teacher.compile("adam", loss)
    teacher.fit(train, epochs=4, shuffle=False, verbose=0)
    monkeypatch.chdir(tmp_path)
    teacher.save("teacher.keras")
    names = {"train": train, "validation": validation}
    names["build_my_student"] = lambda: build("cnn_s")
    (code,) = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    code = code.replace("epochs=70", "epochs=15, shuffle=False, verbose=0")
    exec(code, names)
    student = keras.saving.load_model("student.keras")
    student.compile(loss=loss, metrics=["accuracy"])
    _, accuracy = student.evaluate(validation, verbose=0)
    print(f"accuracy {accuracy:.4f}")
    assert accuracy > 0.75


@pytest.mark.parametrize("page", ["README.md", "docs/index.md"])
def test_example(names, tmp_path, monkeypatch, page):
    (code,) = re.findall(
        r"```python\n(.*?)```", (ROOT / page).read_text(), re.DOTALL
    )
    assert len([line for line in code.splitlines() if line]) <= 10
    # The shortest training that its curriculum allows.
    code = code.replace("epochs=70", "epochs=13, shuffle=False, verbose=0")
    monkeypatch.chdir(tmp_path)
    names["teacher"].save("teacher.keras")
    count = names["student"].count_params()
    exec(code, names)
    student = keras.saving.load_model("student.keras")
    assert student.count_params() == count
