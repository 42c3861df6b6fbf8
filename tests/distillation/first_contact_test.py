"""What a newcomer types first: a classifier, and nothing silently wrong."""

import logging

import keras
import numpy as np
import pytest
from keras import layers

import indistill_tf
from indistill_tf import methods
from indistill_tf.errors import UserError
from indistill_tf.graph import pruned_maps


def distil(build, method="indistill", **options):
    return indistill_tf.Distiller(
        teacher=build("cnn_a"), student=build("cnn_s"), method=method, **options
    )


def test_the_first_ten_lines_train_the_classifier(build, batch):
    student = build("cnn_s")
    distiller = indistill_tf.Distiller(teacher=build("cnn_a"), student=student)
    assert distiller.method.weights == (30000.0, 1.0)
    distiller.compile(optimizer="adam", metrics=["accuracy"])
    before = student.get_layer("fc2").kernel.numpy()
    distiller.set_epoch(12)
    logs = distiller.train_on_batch(*batch, return_dict=True)
    assert {"loss/task", "loss/supervised", "accuracy"} <= set(logs)
    assert not np.array_equal(student.get_layer("fc2").kernel, before)


def test_objective_of_a_distiller(build):
    assert distil(build, objective="retrieval").method.weights == (1.0, 0.0)
    own = methods.get("pkt", task_weight=3.0)
    assert distil(build, own).method.weights == (3.0, 1.0)
    with pytest.raises(UserError, match="Unknown objective: 'ranking'"):
        distil(build, objective="ranking")


@pytest.fixture
def warnings(caplog):
    """The warnings of the library so far."""

    def warnings():
        return [
            record.getMessage()
            for record in caplog.records
            if record.name == "indistill_tf"
            and record.levelno == logging.WARNING
        ]

    return warnings


def test_metrics_of_an_untrained_classifier_are_warned_of_once(build, warnings):
    distiller = distil(build, objective="retrieval")
    distiller.compile("adam")
    assert warnings() == []
    for _ in range(2):
        distiller.compile("adam", metrics=["accuracy"])
    (message,) = warnings()
    assert "'indistill' trains the output of student 'cnn_s'" in message
    assert "fc2 will stay as it is" in message
    assert '`objective="classification"`' in message


@pytest.mark.parametrize(
    "method, options, warned",
    [
        ("indistill", {}, False),
        ("okd", {"objective": "retrieval"}, False),
        ("at", {"objective": "retrieval"}, False),
        ("mkt", {"objective": "retrieval"}, True),
        ("pkt", {"supervised_weight": 0.0}, True),
        ("at", {"supervised_weight": 0.0}, True),
        ("okd", {"task_weight": 0.0, "supervised_weight": 0.0}, True),
    ],
)
def test_who_trains_no_classifier(build, warnings, method, options, warned):
    distiller = distil(build, methods.get(method, **options))
    distiller.compile("adam", weighted_metrics=["accuracy"])
    assert bool(warnings()) is warned


def test_a_frozen_classifier_is_meant(build, warnings):
    student = build("cnn_s")
    student.get_layer("fc2").trainable = False
    distiller = indistill_tf.Distiller(
        teacher=build("cnn_a"),
        student=student,
        method="pkt",
        objective="retrieval",
    )
    distiller.compile("adam", metrics=["accuracy"])
    assert warnings() == []


@pytest.mark.parametrize("name", ["okd", "pkt", "crd"])
def test_a_method_without_taps_compares_no_maps(build, batch, name):
    distiller = distil(build, name, train_labels=batch[1])
    assert distiller.pairing == f"Method '{name}' compares no feature maps."


def test_pairing_says_what_a_method_compares_of_what_fits(build):
    assert distil(build, "hints").pairing.splitlines() == [
        "tap_2 6 x 6 x 32 -> tap_2 6 x 6 x 16",
        "left out: tap_1 15 x 15 x 8, the method compares the middle pair "
        "alone",
        "left out: tap_3 2 x 2 x 32, the method compares the middle pair alone",
    ]
    named = distil(build, taps=[("tap_1", "tap_1"), ("tap_3", "tap_3")])
    assert named.pairing.splitlines()[2] == (
        "left out: tap_2 6 x 6 x 16, no pair of `taps` names it"
    )


def network(width, norm=True, branches=False):
    inputs = keras.Input((8, 8, 1))
    convolved = [
        layers.Conv2D(width, 3, padding="same", name=f"conv_{number}")(inputs)
        for number in range(2 if branches else 1)
    ]
    if norm:
        convolved = [layers.BatchNormalization()(x) for x in convolved]
    x = layers.Concatenate()(convolved) if branches else convolved[0]
    x = layers.ReLU(name="map")(x)
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, layers.Dense(3)(x))


@pytest.mark.parametrize(
    "options, mode",
    [
        ({}, "batch_statistics"),
        ({"norm": False}, "carry (no batch normalisation to rebuild)"),
        # Behind a concatenation the map is sliced, after its normalisation.
        ({"branches": True}, "carry (no batch normalisation to rebuild)"),
    ],
)
def test_statistics_of_the_batch_where_something_is_normalised(options, mode):
    distiller = indistill_tf.Distiller(
        teacher=network(8, **options), student=network(4)
    )
    assert distiller.method.batch_norm == "batch_statistics"
    assert distiller.pairing.endswith(f"batch_norm={mode}")
    if mode == "batch_statistics":
        with pytest.raises(UserError, match="cached. Use `batch_norm=carry`"):
            distiller.target_names()
    else:
        assert distiller.target_names() == ("map-4-carry", "embedding")


def test_maps_of_equal_width_are_no_statistics():
    distiller = indistill_tf.Distiller(teacher=network(4), student=network(4))
    assert distiller.pairing.endswith("pruning rate 0, as it is")
    assert distiller.target_names() == ("map", "embedding")


def test_statistics_of_all_replicas(mirrored):
    teacher = network(8)
    images = np.random.default_rng(0).normal(size=(8, 8, 8, 1))
    images = (images + np.arange(8)[:, None, None, None]).astype("float32")
    tensor = teacher.get_layer("map").output

    def pruned(synchronized):
        target = pruned_maps.pruned_map(
            tensor, 4, "batch_statistics", synchronized
        )
        return keras.Model(teacher.inputs[0], target)

    def halves(model):
        parts = mirrored.experimental_distribute_values_from_function(
            lambda context: images[4 * context.replica_id_in_sync_group :][:4]
        )
        found = mirrored.run(model, args=(parts,))
        return np.concatenate(mirrored.experimental_local_results(found))

    with mirrored.scope():
        models = [pruned(synchronized) for synchronized in (True, False)]
    whole = pruned(False)(images)
    np.testing.assert_allclose(halves(models[0]), whole, atol=1e-4)
    assert np.abs(halves(models[1]) - whole).max() > 0.1
