import gc
import weakref

import keras
import numpy as np
import pytest
import tensorflow as tf

from indistill_tf import endpoints
from indistill_tf import losses
from indistill_tf import models
from indistill_tf.errors import UserError
from indistill_tf.losses.base import Setting

CLASSES = 10
LABELS = np.array([3, 0, 9], "uint8")


def make_networks(teacher="cnn_a", student="cnn_s"):
    return [
        models.build(name, (32, 32, 1), CLASSES) for name in (teacher, student)
    ]


def make_loss(teacher, student, tap="tap_2", replicas=1, **options):
    setting = Setting(
        teacher,
        student,
        endpoints.endpoint(teacher, tap),
        endpoints.endpoint(student, tap),
        replicas=replicas,
    )
    return losses.HierarchicalSelfSupervision.create(setting, **options)


def random_map(model, tap="tap_2", batch_size=12):
    shape = endpoints.endpoint(model, tap).shape[1:]
    values = np.random.default_rng(0).normal(size=(batch_size, *shape))
    return np.abs(values).astype("float32")


def zero_head(classifier):
    """Makes all logits of a classifier zero."""
    for item in classifier.get_layer("joint_logits").variables:
        item.assign(np.zeros(item.shape))


def random_images(*shape):
    return np.random.default_rng(0).normal(size=shape).astype("float32")


def test_config_round_trip():
    networks = make_networks()
    loss = make_loss(*networks, temperature=2.0, name="tap", replicas=2)
    config = keras.saving.serialize_keras_object(loss)
    again = keras.saving.deserialize_keras_object(config)
    assert again.name == "tap"
    assert again.temperature == 2
    again.set_weights(loss.get_weights())
    maps = [random_map(network) for network in networks]
    assert float(again(*maps)) == pytest.approx(float(loss(*maps)))
    assert again.teacher_classifier.get_layer("bn3").synchronized


def test_weights_survive_a_file(tmp_path):
    networks = make_networks()
    loss = make_loss(*networks, name="loss")
    maps = [random_map(network) for network in networks]
    inputs = [keras.Input(item.shape[1:]) for item in maps]
    keras.Model(inputs, loss(*inputs)).save(tmp_path / "loss.keras")
    again = keras.saving.load_model(tmp_path / "loss.keras").get_layer("loss")
    expected = float(loss(*maps, training=False))
    value = float(again(*maps, training=False))
    assert value == pytest.approx(expected)


def test_joint_labels():
    joint = losses.joint_labels(np.array([3, 99], "uint8"))
    assert np.asarray(joint)[2] == 14
    expected = [12, 13, 14, 15, 396, 397, 398, 399]
    np.testing.assert_array_equal(joint, expected)


def test_rotations_are_counter_clockwise_one_image_after_the_other():
    images = random_images(3, 4, 4, 2)
    rotated = np.asarray(losses.rotations(images))
    assert rotated.shape == (12, 4, 4, 2)
    np.testing.assert_array_equal(rotated[0::4], images)
    for row, image in enumerate(rotated):
        expected = np.rot90(images[row // 4], k=row % 4)
        np.testing.assert_array_equal(image, expected)
        back = np.asarray(losses.rotations(image[None]))[-(row % 4)]
        np.testing.assert_array_equal(back, images[row // 4])


def test_rotations_of_a_batch_of_unknown_size():
    images = random_images(3, 4, 4, 2)
    signature = [tf.TensorSpec((None, 4, 4, 2))]
    traced = tf.function(losses.rotations, input_signature=signature)
    shapes = traced.get_concrete_function().output_shapes
    assert shapes.as_list() == [None, 4, 4, 2]
    np.testing.assert_array_equal(traced(images), losses.rotations(images))


@pytest.mark.parametrize("size", [(4, 5), (None, None), (None, 4)])
def test_images_that_cannot_be_rotated_are_named(size):
    with pytest.raises(UserError, match=r"square images.*Received: shape \("):
        losses.rotations(keras.Input((*size, 1)))


@pytest.mark.parametrize("tap", ["tap_1", "tap_2", "tap_3"])
@pytest.mark.parametrize(
    "name", ["cnn_a", pytest.param("resnet8", marks=pytest.mark.long)]
)
def test_a_classifier_is_the_rest_of_its_network(name, tap):
    teacher, student = make_networks(name)
    loss = make_loss(teacher, student, tap)
    classifier = loss.teacher_classifier
    names = [layer.name for layer in teacher.layers]
    behind = [layer.name for layer in classifier.layers[1:-1]]
    first, last = names.index(tap) + 1, names.index("embedding") + 1
    assert sorted(behind) == sorted(names[first:last])
    logits = classifier(random_map(teacher, tap))
    assert logits.shape == (12, 4 * CLASSES)
    scores = np.reshape(logits, (12, CLASSES, 4)).sum(axis=-1)
    assert scores.shape == (12, CLASSES)
    np.testing.assert_allclose(
        scores[:, 3], np.asarray(logits)[:, 12:16].sum(axis=-1), rtol=1e-4
    )


def test_classifiers_start_anew_and_train_behind_a_frozen_teacher():
    teacher, student = make_networks("resnet8")
    teacher.trainable = False
    loss = make_loss(teacher, student, "tap_1")
    classifier = loss.teacher_classifier
    # Kernels, normalisations with two variables each, and the head.
    assert len(loss.preparation_variables) == 6 + 2 * 6 + 2
    kernels = []
    for layer in classifier.layers:
        if isinstance(layer, keras.layers.Conv2D):
            own = np.asarray(layer.kernel)
            given = np.asarray(teacher.get_layer(layer.name).kernel)
            assert np.abs(own - given).max() > 0.01
            kernels.append(own)
    twins = [item for item in kernels if item.shape == (3, 3, 64, 64)]
    equal = [item for item in twins[1:] if np.allclose(item, twins[0])]
    assert not equal
    assert not teacher.trainable_variables


def test_making_classifiers_leaves_the_networks_as_they_are():
    networks = make_networks("resnet8")
    weights = [network.get_weights() for network in networks]
    make_loss(*networks)
    for network, before in zip(networks, weights):
        for layer in network.layers:
            assert layer.output is endpoints.endpoint(network, layer.name)
        for item, expected in zip(network.get_weights(), before):
            np.testing.assert_array_equal(item, expected)


def test_classifiers_do_not_keep_what_lies_before_the_tap(monkeypatch):
    copies = []
    clone = keras.models.clone_model

    def clone_model(*args, **kwargs):
        copy = clone(*args, **kwargs)
        copies.append(weakref.ref(copy.layers[1]))
        return copy

    monkeypatch.setattr(keras.models, "clone_model", clone_model)
    loss = make_loss(*make_networks())
    gc.collect()
    alive = [copy() is not None for copy in copies]
    assert alive == [False, True, False, True]
    assert loss.preparation_variables


def test_several_replicas_share_their_statistics():
    networks = make_networks()
    for replicas in (1, 2):
        loss = make_loss(*networks, replicas=replicas)
        for classifier in (loss.teacher_classifier, loss.student_classifier):
            synchronized = classifier.get_layer("bn3").synchronized
            assert synchronized == (replicas > 1)
    assert not networks[0].get_layer("bn3").synchronized


def test_nested_models_are_renewed_to_the_bottom():
    def network():
        block = keras.Sequential(
            [
                keras.layers.Conv2D(4, 3),
                keras.layers.BatchNormalization(name="bn"),
            ],
            name="block",
        )
        model = keras.Sequential(
            [
                keras.Input((8, 8, 1)),
                keras.layers.Conv2D(4, 3, name="first"),
                block,
                keras.layers.GlobalAveragePooling2D(),
                keras.layers.Dense(3),
            ]
        )
        model.trainable = False
        return model

    loss = make_loss(network(), network(), "first", replicas=2)
    block = loss.teacher_classifier.get_layer("block")
    assert block.get_layer("bn").synchronized
    assert len(loss.preparation_variables) == 6
    assert loss.teacher_classifier.output.shape == (None, 12)


def test_a_tap_inside_a_residual_block_is_refused():
    networks = make_networks("resnet8", "resnet8")
    with pytest.raises(UserError, match="stage2_block1_relu1.*no shortcut"):
        make_loss(*networks, "stage2_block1_relu1")


def test_everything_is_built_by_create_and_the_symbolic_call():
    networks = make_networks()
    loss = make_loss(*networks)
    before = [id(item) for item in loss.variables]
    value = loss(
        *(endpoints.endpoint(network, "tap_2") for network in networks)
    )
    assert value.shape == ()
    assert [id(item) for item in loss.variables] == before
    # A convolution, its normalisation and two dense layers.
    assert len(loss.preparation_variables) == len(loss.student_variables) == 8


def test_one_classifier_agrees_with_itself():
    teacher, student = make_networks()
    classifier = make_loss(teacher, student).teacher_classifier
    loss = losses.HierarchicalSelfSupervision(classifier, classifier)
    maps = random_map(teacher)
    value = loss(maps, maps, training=False)
    assert float(value) == pytest.approx(0, abs=1e-6)


def test_value_is_the_divergence_over_all_rotated_images():
    networks = make_networks()
    loss = make_loss(*networks)
    maps = [random_map(network) for network in networks]
    logits = [
        classifier(item, training=False)
        for classifier, item in zip(
            (loss.teacher_classifier, loss.student_classifier), maps
        )
    ]
    log_p, log_q = (
        np.log(np.asarray(tf.nn.softmax(tf.cast(item, "float64") / 3)))
        for item in logits
    )
    expected = 9 * np.sum(np.exp(log_p) * (log_p - log_q)) / 12
    value = loss(*maps, training=False)
    assert float(value) == pytest.approx(expected, rel=1e-4)
    assert float(loss(*maps)) != float(value)


def test_preparation_of_zero_logits_is_the_log_of_the_joint_classes():
    teacher, student = make_networks()
    loss = make_loss(teacher, student)
    zero_head(loss.teacher_classifier)
    value = loss.prepare(random_map(teacher), LABELS)
    assert float(value) == pytest.approx(np.log(4 * CLASSES))


def test_preparation_reads_the_joint_labels():
    teacher, student = make_networks()
    loss = make_loss(teacher, student)
    zero_head(loss.teacher_classifier)
    bias = np.zeros(4 * CLASSES, "float32")
    bias[14] = 5
    loss.teacher_classifier.get_layer("joint_logits").bias.assign(bias)
    value = loss.prepare(random_map(teacher), LABELS)
    # One of the twelve rotated images is the class 3 in rotation 2.
    expected = np.log(4 * CLASSES - 1 + np.exp(5)) - 5 / 12
    assert float(value) == pytest.approx(expected, rel=1e-5)


def test_preparation_trains_the_teachers_classifier_alone():
    teacher, student = make_networks()
    loss = make_loss(teacher, student)
    maps = random_map(teacher)
    optimizer = keras.optimizers.Adam(1e-2)
    history = []
    for _ in range(5):
        with tf.GradientTape() as tape:
            value = loss.prepare(maps, LABELS)
        gradients = tape.gradient(
            value, loss.preparation_variables + loss.student_variables
        )
        assert all(item is not None for item in gradients[:8])
        assert all(item is None for item in gradients[8:])
        optimizer.apply(gradients[:8], loss.preparation_variables)
        history.append(float(value))
    assert history[-1] < history[0]
    moved = loss.teacher_classifier.get_layer("bn3").moving_mean
    assert np.abs(moved).max() > 0


def test_the_student_trains_through_its_classifier_and_the_teacher_does_not():
    teacher, student = make_networks()
    loss = make_loss(teacher, student)
    images = losses.rotations(random_images(3, 32, 32, 1))
    views = [
        keras.Model(network.input, endpoints.endpoint(network, "tap_2"))
        for network in (teacher, student)
    ]
    prepared = loss.teacher_classifier.get_weights()
    with tf.GradientTape() as tape:
        value = loss(views[0](images), views[1](images, training=True))
    trained = views[1].trainable_variables + loss.student_variables
    fixed = teacher.trainable_variables + loss.preparation_variables
    gradients = tape.gradient(value, trained + fixed)
    # What a batch normalisation follows gets no gradient for its bias.
    for variable, item in zip(trained, gradients):
        if variable.name != "bias":
            assert np.abs(item).max() > 0, variable.path
    assert all(item is None for item in gradients[len(trained) :])
    for item, before in zip(loss.teacher_classifier.get_weights(), prepared):
        np.testing.assert_array_equal(item, before)


def test_all_zero_maps_have_finite_gradients():
    networks = make_networks()
    loss = make_loss(*networks)
    target, student = (tf.zeros_like(random_map(item)) for item in networks)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(student)
        value = loss(target, student)
        prepared = loss.prepare(target, LABELS)
    gradients = tape.gradient(value, [student] + loss.student_variables)
    gradients += tape.gradient(prepared, loss.preparation_variables)
    assert all(np.isfinite(item).all() for item in gradients)


def test_half_precision_ends_in_float32():
    keras.config.set_dtype_policy("mixed_float16")
    try:
        networks = make_networks()
        loss = make_loss(*networks)
    finally:
        keras.config.set_dtype_policy("float32")
    maps = [tf.cast(random_map(network), "float16") for network in networks]
    convolution = loss.student_classifier.get_layer("conv3")
    assert convolution.compute_dtype == "float16"
    for value in (loss(*maps), loss.prepare(maps[0], LABELS)):
        assert value.dtype == "float32"
        assert np.isfinite(float(value))


def test_bad_temperature():
    with pytest.raises(UserError, match="above 0. Received: temperature=0"):
        make_loss(*make_networks(), temperature=0)
