import pathlib

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import indistill_tf
from indistill_tf import deploy
from indistill_tf import models
from indistill_tf.data import Preprocessing
from indistill_tf.deploy import deployable
from indistill_tf.errors import UserError

PADDED = Preprocessing((32, 32), (0.286,), (0.353,), "pad")


@pytest.fixture
def preprocessing():
    return PADDED


@pytest.fixture
def raw():
    return np.random.default_rng(0).integers(0, 256, (5, 28, 28, 1), "uint8")


def test_endpoints(tmp_path, build, preprocessing, raw, small_images):
    model = build("cnn_s")
    names = small_images.class_names
    path = deploy.export(model, preprocessing, names, tmp_path / "export")
    loaded = tf.saved_model.load(path)
    logits = model(preprocessing(raw))
    for images in (raw, raw.astype("float32")):
        probabilities = loaded.serve(images)
        np.testing.assert_allclose(
            probabilities, tf.nn.softmax(logits), atol=1e-5
        )
        np.testing.assert_allclose(np.sum(probabilities, axis=1), 1, atol=1e-5)
        length = np.linalg.norm(loaded.embed(images), axis=1)
        np.testing.assert_allclose(length, 1, atol=1e-5)
    assert (path / "labels.txt").read_text().splitlines() == list(names)


@pytest.mark.parametrize("units", [1, 3])
@pytest.mark.parametrize("activation", ["sigmoid", None])
def test_sigmoids(tmp_path, preprocessing, raw, units, activation):
    images = keras.Input((32, 32, 1))
    x = layers.Dense(units, activation)(layers.Flatten()(images))
    model = keras.Model(images, x)
    # Several logits are those of classes unless it is said.
    head = None if activation or units == 1 else "sigmoid"
    path = deploy.export(model, preprocessing, "ab", tmp_path / "e", head)
    expected = model(preprocessing(raw))
    if activation is None:
        expected = tf.nn.sigmoid(expected)
    loaded = tf.saved_model.load(path)
    np.testing.assert_allclose(loaded.serve(raw), expected, atol=1e-5)


def test_one_of_several_outputs_that_end_in_a_softmax(
    tmp_path, preprocessing, raw
):
    images = keras.Input((32, 32, 1))
    x = layers.Flatten()(images)
    scores = layers.Softmax(dtype="float32")(layers.Dense(3)(x))
    model = keras.Model(images, [layers.Dense(2, name="other")(x), scores])
    with pytest.raises(UserError, match="has 2 outputs: other, softmax"):
        deploy.export(model, preprocessing, "ab", tmp_path / "e")
    name = model.output_names[1]
    path = deploy.export(
        model, preprocessing, "ab", tmp_path / "e", outputs=name
    )
    loaded = tf.saved_model.load(path)
    np.testing.assert_allclose(
        loaded.serve(raw), model(preprocessing(raw))[1], atol=1e-5
    )


def test_signatures_and_any_batch_size(tmp_path, build, preprocessing, raw):
    path = deploy.export(build("cnn_s"), preprocessing, "ab", tmp_path / "e")
    signatures = tf.saved_model.load(path).signatures
    assert {"serving_default", "serve", "embed"} <= set(signatures)
    for name, images in (
        ("serving_default", tf.constant(raw[:1])),
        ("float32", tf.constant(raw[:1], tf.float32)),
    ):
        said = signatures[name](image=images)
        assert said["probabilities"].shape == (1, 10)
        assert said["embedding"].shape == (1, 64)
    assert set(signatures["serve"](tf.constant(raw))) == {"probabilities"}
    assert set(signatures["embed"](tf.constant(raw))) == {"embedding"}


REFUSED = {
    "float64": (lambda x: x / 1.0, "uint8 or float32.*Received: float64"),
    "int32": (lambda x: x.astype("int32"), "Received: int32"),
    "text": (lambda x: np.array(["image.png"]), "Received: string"),
    "one image": (lambda x: x[0], r"shape \[N, H, W, 1\].*\[28 28 1\]"),
    "colours": (lambda x: np.repeat(x, 3, 3), r"1\].*shape \[5 28 28 3\]"),
    "a number": (lambda x: x[0, 0, 0, 0], r"1\]. Received the shape \[\]"),
    "no image": (lambda x: x[:0], r"at least one pixel.*\[0 28 28 1\]"),
    "NaN": (lambda x: x * np.float32("nan"), "pixels that are finite"),
    "large": (lambda x: x.repeat(2, 1), r"at most \[32, 32\] pixels"),
}


@pytest.fixture(scope="module")
def loaded(tmp_path_factory, build):
    path = tmp_path_factory.mktemp("loaded") / "e"
    deploy.export(build("cnn_s"), PADDED, "ab", path)
    return tf.saved_model.load(path)


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.parametrize("endpoint", ["serve", "embed"])
def test_what_is_no_image_is_refused_in_a_sentence(loaded, raw, endpoint, name):
    change, message = REFUSED[name]
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        getattr(loaded, endpoint)(change(raw))


@pytest.mark.parametrize("name", ["colours", "no image", "large"])
def test_signatures_refuse_it_too(loaded, raw, name):
    change, message = REFUSED[name]
    for signature, dtype in (
        ("serving_default", tf.uint8),
        ("float32", tf.float32),
    ):
        images = tf.cast(change(raw), dtype)
        with pytest.raises(tf.errors.InvalidArgumentError, match=message):
            loaded.signatures[signature](image=images)


def test_labels_go_with_the_model(loaded):
    labels = pathlib.Path(loaded.labels.asset_path.numpy().decode())
    assert labels.parent.name == "assets"
    assert labels.read_text() == "a\nb\n"


@pytest.mark.long
def test_a_network_in_half_precision(tmp_path, preprocessing, raw):
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model = models.build("cnn_s", (32, 32, 1), 10)
    finally:
        keras.config.set_dtype_policy("float32")
    path = deploy.export(model, preprocessing, "ab", tmp_path / "e")
    assert deploy.check(path, model, preprocessing, raw) < 5e-3


def logits_of_three():
    images = keras.Input((32, 32, 1))
    return keras.Model(images, layers.Dense(3)(layers.Flatten()(images)))


@pytest.mark.parametrize(
    "head, loss, activation",
    [
        (None, None, "softmax"),
        ("sigmoid", None, "sigmoid"),
        (None, keras.losses.BinaryCrossentropy(from_logits=True), "sigmoid"),
    ],
)
def test_a_distiller_exports_the_head_that_it_trained(
    tmp_path, preprocessing, raw, head, loss, activation
):
    distiller = indistill_tf.Distiller(
        teacher=logits_of_three(),
        student=logits_of_three(),
        # It compares embeddings, so any loss may train the output.
        method="pkt",
        head=head,
    )
    distiller.compile("adam", loss)
    path = deploy.export(distiller, preprocessing, "abc", tmp_path / "e")
    logits = distiller.student(preprocessing(raw))
    expected = keras.activations.get(activation)(logits)
    loaded = tf.saved_model.load(path)
    np.testing.assert_allclose(loaded.serve(raw), expected, atol=1e-5)
    deploy.check(path, distiller, preprocessing, raw)


def test_nothing_of_the_teacher_is_in_it(tmp_path, build, preprocessing):
    teacher, student = build("cnn_a"), build("cnn_s")
    distiller = indistill_tf.Distiller(teacher=teacher, student=student)
    path = deploy.export(distiller.student, preprocessing, "ab", tmp_path / "e")
    shapes = dict(tf.train.list_variables(str(path / "variables/variables")))
    shapes = [tuple(shape) for shape in shapes.values()]
    assert (3, 3, 1, 8) in shapes
    teachers = {tuple(weight.shape) for weight in teacher.weights}
    students = {tuple(weight.shape) for weight in student.weights}
    assert not (teachers - students) & set(shapes)
    numbers = sum(int(np.prod(shape)) for shape in shapes if shape != ())
    assert numbers == student.count_params()


@pytest.mark.slow
def test_check_in_a_fresh_process(tmp_path, build, preprocessing, raw):
    model = build("cnn_s")
    path = deploy.export(model, preprocessing, "ab", tmp_path / "e")
    assert deploy.check(path, model, preprocessing, raw) < 1e-5
    other = models.build("cnn_s", (32, 32, 1), 10)
    with pytest.raises(UserError, match="differs from its model by"):
        deploy.check(path, other, preprocessing, raw)


def test_damaged_export(tmp_path, build, preprocessing, raw):
    model = build("cnn_s")
    path = deploy.export(model, preprocessing, "ab", tmp_path / "e")
    (path / "saved_model.pb").write_bytes(b"damaged")
    with pytest.raises(UserError, match="cannot be loaded"):
        deploy.check(path, model, preprocessing, raw)


def test_export_replaces_an_older_one(tmp_path, build, preprocessing):
    path = tmp_path / "e"
    deploy.export(build("cnn_s"), preprocessing, "ab", path)
    (path / "stale").touch()
    deploy.export(build("cnn_s"), preprocessing, "ab", path)
    assert not (path / "stale").exists()


def test_a_folder_of_something_else_is_left_alone(
    tmp_path, build, preprocessing
):
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(UserError, match="'thesis.tex' lies in it, and would"):
        deploy.export(build("cnn_s"), preprocessing, "ab", tmp_path)
    assert (tmp_path / "thesis.tex").exists()


def test_an_export_without_its_graph_is_made_again(
    tmp_path, build, preprocessing
):
    path = tmp_path / "e"
    deploy.export(build("cnn_s"), preprocessing, "ab", path)
    (path / "saved_model.pb").unlink()
    deploy.export(build("cnn_s"), preprocessing, "ab", path)
    assert (path / "saved_model.pb").exists()


def test_unwritable_place(tmp_path, build, preprocessing):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="cannot be written"):
        deploy.export(
            build("cnn_s"), preprocessing, "ab", tmp_path / "file" / "e"
        )


def test_export_crops_images_of_any_size(tmp_path, build):
    preprocessing = Preprocessing((32, 32), (0.3,), (0.4,), "crop")
    model = build("cnn_s")
    path = deploy.export(model, preprocessing, "ab", tmp_path / "e")
    images = np.random.default_rng(0).integers(0, 256, (4, 50, 71, 1), "uint8")
    loaded = tf.saved_model.load(path)
    expected = tf.nn.softmax(model(preprocessing(images)))
    np.testing.assert_allclose(loaded.serve(images), expected, atol=1e-5)
    # 37 x 52 pixels and then the middle: what is cut off does not matter.
    changed = images.copy()
    changed[:, :, :5] = 0
    np.testing.assert_allclose(
        loaded.serve(images), loaded.serve(changed), atol=1e-6
    )


def test_an_export_of_nan_differs_from_every_model(
    tmp_path, build, preprocessing, raw, monkeypatch
):
    model = build("cnn_s")
    values = model.get_weights()
    model.get_layer("fc2").bias.assign(np.full(10, np.nan))
    with pytest.raises(UserError, match="not finite: 'fc2/bias'"):
        deploy.export(model, preprocessing, "ab", tmp_path / "refused")
    assert not (tmp_path / "refused").exists()
    with pytest.raises(UserError, match="not finite: 'fc2/bias'"):
        deploy.check(tmp_path / "refused", model, preprocessing, raw)
    # One that an earlier version wrote.
    monkeypatch.setattr(deployable, "check_weights", lambda model: None)
    path = deploy.export(model, preprocessing, "ab", tmp_path / "e")
    with pytest.raises(UserError, match="Outputs 'probabilities' of model"):
        deploy.check(path, model, preprocessing, raw)
    model.set_weights(values)
    with pytest.raises(UserError, match="differs from its model by nan"):
        deploy.check(path, model, preprocessing, raw)
