"""The README's Python example is run as it stands."""

import pathlib
import re

import keras
import tensorflow as tf

from indistill_tf import methods
from indistill_tf_tools import method_table

README = pathlib.Path(__file__).parents[1] / "README.md"


def test_page_of_methods_is_the_librarys():
    page = README.parent / "docs" / "methods.md"
    assert page.read_text() == method_table.page()


def test_every_method_is_named():
    assert all(f"`{name}`" in README.read_text() for name in methods.METHODS)


def python_examples():
    return re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)


def test_example_of_modules(build, batch, tmp_path, monkeypatch):
    _, code = python_examples()
    few = '"embedded", train_split="train[:200]", test_split="test[:10]"'
    code = code.replace('"embedded"', few).replace("0.6)", "0.6), epochs=1")
    monkeypatch.chdir(tmp_path)
    names = {"teacher": build("cnn_a"), "student": build("cnn_s")}
    exec(f"import indistill_tf\n{code}", names)
    names["distiller"].compile("adam")
    logs = names["distiller"].train_on_batch(*batch, return_dict=True)
    assert logs["loss/task"] > 0
    assert len(names["record"]["trade_offs"]) == 3
    assert (tmp_path / "runs" / "rdm" / "modules.keras").exists()


def test_example(build, small_images, tmp_path, monkeypatch):
    code = python_examples()[0]
    assert len([line for line in code.splitlines() if line]) <= 10
    # The shortest training that its curriculum allows.
    code = code.replace("epochs=70", "epochs=13, shuffle=False, verbose=0")
    monkeypatch.chdir(tmp_path)
    build("cnn_a").save("teacher.keras")
    images = small_images.preprocessing(small_images.train.images[:64])
    data = tf.data.Dataset.from_tensor_slices(
        (images, small_images.train.labels[:64])
    ).batch(32)
    names = {
        "build_my_student": lambda: build("cnn_s"),
        "train": data,
        "validation": data,
    }
    exec(code, names)
    student = keras.saving.load_model("student.keras")
    assert student.count_params() == build("cnn_s").count_params()
