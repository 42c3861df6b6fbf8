import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import indistill_tf
from indistill_tf import methods
from indistill_tf.distillation.schedules import Curriculum
from indistill_tf.errors import UserError

SHORT = Curriculum(a=1, b=0)  # one epoch a tap


def make(build, method="indistill", optimizer="adam", compile=None, **changes):
    if method == "indistill":
        changes.setdefault("schedule", SHORT)
    changes.setdefault("objective", "retrieval")
    distiller = indistill_tf.Distiller(
        teacher=build("cnn_a"),
        student=build("cnn_s"),
        method=methods.get(method, **changes),
    )
    distiller.compile(optimizer, metrics=["accuracy"], **(compile or {}))
    return distiller


def weights_of(model):
    return {weight.path: weight.numpy() for weight in model.weights}


def changed_layers(model, before):
    return {
        path.split("/")[-2]
        for path, value in weights_of(model).items()
        if not np.array_equal(value, before[path])
    }


def fit(distiller, batch, **options):
    options = {"batch_size": 32, "verbose": 0, **options}
    return distiller.fit(*batch, shuffle=False, **options)


def test_each_stage_trains_its_layers_and_no_other(build, batch):
    distiller = make(build)
    trained = [{"conv1", "bn1"}, {"conv2", "bn2"}, {"conv3", "bn3"}, {"fc1"}]
    expected = set()
    for epoch, layers_of_stage in enumerate(trained):
        expected |= layers_of_stage
        before = weights_of(distiller.student)
        train_one_epoch(distiller, batch, epoch)
        assert changed_layers(distiller.student, before) == expected


def train_one_epoch(distiller, batch, epoch):
    """Runs one epoch of a longer training."""

    class Stop(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            self.model.stop_training = True

    fit(distiller, batch, epochs=9, initial_epoch=epoch, callbacks=[Stop()])


def test_both_networks_are_truncated_at_the_active_tap(build):
    distiller = make(build)
    names = [layer.name for layer in distiller._current.student.layers]
    assert names[-1] == "tap_1"
    assert "conv2" not in names
    targets = distiller._current.teacher.outputs
    assert [target.shape for target in targets] == [(None, 15, 15, 8)]


def test_weight_decay_leaves_inactive_layers_alone(build, batch):
    optimizer = keras.optimizers.AdamW(1e-3, weight_decay=0.1)
    distiller = make(build, optimizer=optimizer)
    before = weights_of(distiller.student)
    train_one_epoch(distiller, batch, 0)
    assert changed_layers(distiller.student, before) == {"conv1", "bn1"}


@pytest.fixture(scope="module")
def five_epochs(build, batch):
    """A distiller, the weights that its teacher had, and what `fit` logged."""
    keras.utils.set_random_seed(0)
    distiller = make(build, supervised_weight=1.0)
    before = weights_of(distiller._plan.teacher)
    logs = fit(distiller, batch, epochs=5, validation_data=batch).history
    return distiller, before, logs


def test_logs_name_the_active_losses(five_epochs):
    _, _, history = five_epochs
    assert history["stage"] == [1, 2, 3, 4, 4]
    for name, first, last in (
        ("loss/tap_1", 0, 1),
        ("loss/tap_2", 1, 2),
        ("loss/task", 3, 5),
        ("loss/supervised", 3, 5),
        ("accuracy", 3, 5),
    ):
        computed = np.isfinite(history[name]).tolist()
        assert computed == [first <= epoch < last for epoch in range(5)]
    assert history["loss"][0] == pytest.approx(history["loss/tap_1"][0])


def test_total_is_the_weighed_sum(build, batch):
    distiller = make(build, "pkt", task_weight=3.0, supervised_weight=0.5)
    logs = fit(distiller, batch, epochs=1).history
    expected = 3 * logs["loss/task"][0] + 0.5 * logs["loss/supervised"][0]
    assert logs["loss"][0] == pytest.approx(expected, rel=1e-5)


def test_first_loss_equals_the_equation(build, batch):
    distiller = make(build, "okd")
    teacher = distiller._plan.teacher
    expected = indistill_tf.losses.softened_kl(
        teacher(batch[0]), distiller.student(batch[0], training=True)
    )
    found = distiller.train_on_batch(*batch, return_dict=True)
    assert found["loss"] == pytest.approx(float(expected), rel=1e-4)


def test_teacher_is_a_guest(five_epochs):
    distiller, before, _ = five_epochs
    teacher = distiller._plan.teacher
    assert not changed_layers(teacher, before)
    mine = {id(weight) for weight in distiller.weights}
    assert not mine & {id(weight) for weight in teacher.weights}
    sizes = [slot.shape for slot in distiller.optimizer.variables]
    assert (3, 3, 1, 16) not in sizes


def test_checkpoint_holds_no_teacher(build, tmp_path):
    import h5py

    distiller = make(build)
    distiller.build_optimizer()
    distiller.save_weights(tmp_path / "all.weights.h5")
    shapes = []
    with h5py.File(tmp_path / "all.weights.h5") as file:
        file.visititems(
            lambda name, item: shapes.append(getattr(item, "shape", None))
        )
    assert (3, 3, 1, 8) in shapes
    assert (3, 3, 1, 16) not in shapes


def test_evaluate_speaks_for_the_student_and_changes_nothing(build, batch):
    distiller = make(build)
    before = weights_of(distiller.student)
    scores = distiller.evaluate(*batch, verbose=0, return_dict=True)
    logits = distiller.predict(batch[0], verbose=0)
    assert not changed_layers(distiller.student, before)
    accuracy = np.mean(logits.argmax(1) == batch[1])
    assert set(scores) == {"loss", "accuracy"}
    assert scores["accuracy"] == pytest.approx(accuracy)
    entropy = keras.losses.sparse_categorical_crossentropy(
        batch[1], logits, from_logits=True
    )
    assert scores["loss"] == pytest.approx(float(np.mean(entropy)), rel=1e-5)


def test_validation_is_logged_in_every_stage(five_epochs):
    _, _, logs = five_epochs
    assert len(logs["val_accuracy"]) == len(logs["val_loss"]) == 5


def test_without_distillation_it_is_plain_training(build, batch):
    keras.utils.set_random_seed(1)
    # In even backgrounds, rounding decides which pixel a maximum is taken of.
    random = np.random.default_rng(0)
    batch = random.normal(size=batch[0].shape).astype("float32"), batch[1]
    distiller = make(build, "okd", task_weight=0.0, supervised_weight=1.0)
    plain = keras.models.clone_model(distiller.student)
    plain.set_weights(distiller.student.get_weights())
    # Not Adam: it moves a bias before a normalisation, whose gradient is
    # nothing but rounding, as far as any other weight.
    distiller.compile("sgd")
    plain.compile(
        "sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    )
    fit(distiller, batch, epochs=2)
    plain.fit(*batch, batch_size=32, epochs=2, shuffle=False, verbose=0)
    for mine, theirs in zip(distiller.student.weights, plain.weights):
        np.testing.assert_allclose(mine, theirs, atol=1e-6)


def test_stage_changes_do_not_compile_again(five_epochs, batch):
    distiller, _, _ = five_epochs
    stages = dict(distiller._plan.stages)
    functions = [stage.train_function for stage in stages.values()]
    assert len(set(functions)) == 4
    fit(distiller, batch, epochs=4)
    assert distiller._plan.stages == stages
    assert [stage.train_function for stage in stages.values()] == functions


@pytest.mark.parametrize("form", ["arrays", "dataset"])
def test_the_first_step_is_traced_once(build, batch, form, monkeypatch):
    distiller = make(build, method="okd", objective="classification")
    traces, step = [], distiller.train_step

    def counted(data):
        traces.append(data)
        return step(data)

    monkeypatch.setattr(distiller, "train_step", counted)
    if form == "arrays":
        fit(distiller, batch)
    else:
        dataset = tf.data.Dataset.from_tensor_slices(batch).batch(32)
        distiller.fit(dataset, shuffle=False, verbose=0)
    assert len(traces) == 1


def test_second_fit_trains_again(build, batch):
    distiller = make(build, "pkt")
    fit(distiller, batch, epochs=1)
    before = weights_of(distiller.student)
    fit(distiller, batch, epochs=1)
    assert changed_layers(distiller.student, before)


def test_short_budget_is_an_error(build, batch):
    with pytest.raises(UserError, match=r"1 \+ 1 \+ 1 = 3 epochs"):
        fit(make(build), batch, epochs=3)


def test_a_fit_of_each_epoch(tiny, caplog):
    whole, parts = tiny.make(), tiny.make()
    tiny.fit(whole)
    stages = []
    for epoch in range(4):
        logs = tiny.fit(parts, epochs=epoch + 1, initial_epoch=epoch).history
        stages += logs["stage"]
    assert stages == [1, 1, 2, 2]
    for mine, theirs in zip(parts.weights, whole.weights, strict=True):
        np.testing.assert_array_equal(mine, theirs)
    # Said once, not in each epoch.
    (message,) = caplog.messages
    assert "ends in the warm-up" in message and "budget is 1" in message


def test_preparations_in_a_fit_of_each_epoch(tiny):
    distiller = tiny.make(method="factor_transfer", preparation=1)
    tiny.fit(distiller, epochs=1, initial_epoch=0)
    assert distiller.stage == 0
    with pytest.raises(UserError, match="the budget is 1"):
        tiny.fit(distiller, epochs=1)


def test_a_fit_that_begins_anew_says_so(tiny, caplog):
    distiller = tiny.make()
    tiny.fit(distiller)
    tiny.fit(distiller, epochs=5, initial_epoch=4)
    assert not caplog.messages
    tiny.fit(distiller, epochs=6)
    assert "To go on, use `initial_epoch=5`" in caplog.text


@pytest.mark.parametrize("method", ["okd", "indistill"])
def test_images_without_labels(tiny, method):
    # Found in the first epoch, also where the labels come after a warm-up.
    distiller = tiny.make(method=method, supervised_weight=1.0)
    with pytest.raises(UserError, match="needs labels, but .* images alone"):
        distiller.fit(tiny.data[0], epochs=4, verbose=0)


def test_preparing_from_labels_without_labels(tiny):
    distiller = tiny.make(method="hsakd", preparation=1, supervised_weight=0.0)
    with pytest.raises(UserError, match="needs labels, but .* images alone"):
        distiller.fit(tiny.data[0], epochs=4, verbose=0)


def test_evaluating_without_labels(tiny):
    distiller = tiny.make(method="pkt", supervised_weight=0.0)
    with pytest.raises(UserError, match="Evaluation needs labels"):
        distiller.evaluate(tiny.data[0], verbose=0)
    # What reads no labels needs none.
    distiller.fit(tiny.data[0], verbose=0)


def test_batches_by_hand(tiny, caplog):
    distiller = tiny.make()
    logs = distiller.train_on_batch(*tiny.data, return_dict=True)
    assert set(logs) == {"loss", "loss/tap_1"}
    assert "until `set_epoch(epoch)` is called" in caplog.text
    caplog.clear()
    distiller.set_epoch(2)
    logs = distiller.train_on_batch(*tiny.data, return_dict=True)
    assert set(logs) == {"loss", "loss/task", "loss/supervised", "accuracy"}
    assert not caplog.messages


def test_evaluating_a_batch_by_hand_speaks_for_the_student(tiny):
    distiller = tiny.make()
    logs = distiller.test_on_batch(*tiny.data, return_dict=True)
    expected = distiller.evaluate(*tiny.data, verbose=0, return_dict=True)
    assert logs == pytest.approx(expected)


def test_a_part_of_the_arrays_validates(tiny):
    distiller = tiny.make(warm_up=1)
    logs = tiny.fit(
        distiller,
        epochs=2,
        batch_size=6,
        validation_split=0.25,
        class_weight={0: 1.0, 1: 0.0, 2: 0.0},
    ).history
    assert len(logs["val_accuracy"]) == 2
    unweighed = tiny.fit(tiny.make(warm_up=1), epochs=2, batch_size=6)
    weighed, plain = (x["loss/supervised"] for x in (logs, unweighed.history))
    assert weighed[1] < 0.6 * plain[1]


def test_sample_weight_reaches_the_supervised_loss(build, batch):
    images, labels = batch
    weight = np.zeros(len(labels), "float32")
    weight[:32] = 1
    distiller = make(build, "okd", task_weight=0.0, supervised_weight=1.0)
    logits = distiller.student(images, training=True)
    entropy = keras.losses.sparse_categorical_crossentropy(
        labels, logits, from_logits=True
    )
    found = distiller.train_on_batch(images, labels, weight, return_dict=True)
    expected = float(np.sum(entropy * weight) / len(labels))
    assert found["loss"] == pytest.approx(expected, rel=1e-4)


def test_regularisers_count_in_every_stage(batch):
    teacher = indistill_tf.models.build("cnn_a", (32, 32, 1), 10)
    student = keras.models.clone_model(
        indistill_tf.models.build("cnn_s", (32, 32, 1), 10),
        clone_function=lambda layer: type(layer).from_config(
            {
                **layer.get_config(),
                **(
                    {"kernel_regularizer": keras.regularizers.L2(1.0)}
                    if isinstance(layer, layers.Conv2D)
                    else {}
                ),
            }
        ),
    )
    distiller = indistill_tf.Distiller(teacher=teacher, student=student)
    distiller.compile("adam")
    penalty = float(np.sum(np.square(student.get_layer("conv1").kernel)))
    logs = distiller.train_on_batch(*batch, return_dict=True)
    assert logs["loss"] == pytest.approx(logs["loss/tap_1"] + penalty, rel=1e-4)


@pytest.mark.parametrize(
    "method", ["indistill", "pkt", "okd", "pkt_kl", "similarity_okd"]
)
def test_mixed_precision(method, batch, small_images):
    keras.mixed_precision.set_global_policy("mixed_bfloat16")
    try:
        teacher, student = (
            indistill_tf.models.build(name, small_images.input_shape, 10)
            for name in ("cnn_a", "cnn_s")
        )
        distiller = indistill_tf.Distiller(
            teacher=teacher,
            student=student,
            method=methods.get(method, supervised_weight=1.0),
        )
        distiller.compile("adam")
        logs = distiller.train_on_batch(*batch, return_dict=True)
    finally:
        keras.mixed_precision.set_global_policy("float32")
    assert student.compute_dtype == "bfloat16"
    assert student.outputs[0].dtype == "float32"
    assert np.isfinite(logs["loss"])


def test_gradient_accumulation_updates_every_second_step(build, batch):
    optimizer = keras.optimizers.SGD(0.1, gradient_accumulation_steps=2)
    distiller = make(build, "okd", optimizer=optimizer)
    distiller.build_optimizer()
    kernel = distiller.student.get_layer("fc2").kernel
    before = kernel.numpy()
    distiller.train_on_batch(*batch)
    np.testing.assert_array_equal(kernel, before)
    distiller.train_on_batch(*batch)
    assert not np.array_equal(kernel, before)


def train(batch, strategy=None, method=None, global_batch=True, **compile):
    """Trains through every stage and returns history and weights.

    Without a method, there are two of the taps and one of the logits.
    """
    strategy = strategy or tf.distribute.get_strategy()
    images, labels = batch
    keras.utils.set_random_seed(0)
    with strategy.scope():
        # Without batch normalisation, which sees the replica's part alone.
        teacher, student = plain_network(16), plain_network(8)
        distiller = indistill_tf.Distiller(
            teacher=teacher,
            student=student,
            method=method
            or methods.get(
                "indistill", task="okd", schedule=SHORT, supervised_weight=1.0
            ),
            taps="auto"
            if method
            else [(f"map_{i}", f"map_{i}") for i in (1, 2)],
            train_labels=labels,
            global_batch=global_batch,
        )
        distiller.compile("sgd", metrics=["accuracy"], **compile)
    if distiller.needs_sample_ids:
        images = {"image": images, "sample_id": np.arange(len(labels))}
    data = tf.data.Dataset.from_tensor_slices((images, labels)).batch(
        32, drop_remainder=True
    )
    logs = distiller.fit(
        data, validation_data=batch, epochs=4, verbose=0, shuffle=False
    ).history
    return logs, [weight.numpy() for weight in student.weights]


def plain_network(width):
    inputs = keras.Input((32, 32, 1))
    x = layers.Conv2D(width, 3, strides=2, name="conv_1")(inputs)
    x = layers.ReLU(name="map_1")(x)
    x = layers.Conv2D(2 * width, 3, strides=2, name="conv_2")(x)
    x = layers.ReLU(name="map_2")(x)
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, layers.Dense(10)(x))


@pytest.fixture(scope="module")
def undisturbed(batch):
    return train(batch)


@pytest.mark.parametrize(
    "replicas, compile",
    [
        pytest.param(2, {}, marks=pytest.mark.slow),
        (2, {"steps_per_execution": 2}),
        (1, {"steps_per_execution": 2}),
    ],
)
def test_replicas_and_steps_per_execution_change_nothing(
    batch, undisturbed, mirrored, replicas, compile
):
    expected_logs, expected = undisturbed
    strategy = mirrored if replicas > 1 else None
    logs, weights = train(batch, strategy, **compile)
    for name in expected_logs:
        np.testing.assert_allclose(
            logs[name], expected_logs[name], rtol=1e-4, atol=1e-6
        )
    for mine, theirs in zip(weights, expected):
        np.testing.assert_allclose(mine, theirs, atol=1e-5)


@pytest.mark.parametrize(
    "task",
    [
        pytest.param("pkt", marks=pytest.mark.long),
        pytest.param("crd", marks=pytest.mark.long),
        *(
            pytest.param(name, marks=pytest.mark.slow)
            for name in ("mkt", "dist")
        ),
    ],
)
def test_relational_losses_see_the_whole_batch(batch, mirrored, task):
    few = {"num_negatives": 64} if task == "crd" else None
    method = methods.get(task, task_options=few, supervised_weight=1.0)
    expected_logs, expected = train(batch, method=method)
    logs, weights = train(batch, mirrored, method)
    assert logs["loss/task"] == pytest.approx(
        expected_logs["loss/task"], rel=1e-4
    )
    # Adam steps by its rate, 1e-3, however small a gradient is: where it is
    # tiny its rounding shows.
    for mine, theirs in zip(weights, expected):
        np.testing.assert_allclose(mine, theirs, atol=5e-5)


@pytest.mark.slow
def test_relational_losses_of_each_replica(batch, mirrored):
    # Its value falls like 1 / N: half a batch has about twice the loss.
    whole, _ = train(batch, mirrored, methods.get("pkt"))
    parts, _ = train(batch, mirrored, methods.get("pkt"), global_batch=False)
    ratio = parts["loss/task"][0] / whole["loss/task"][0]
    assert 1.5 < ratio < 2.5


def test_contrasting_needs_labels_and_sample_ids(build, batch):
    networks = dict(teacher=build("cnn_a"), student=build("cnn_s"))
    with pytest.raises(UserError, match="needs `train_labels`"):
        indistill_tf.Distiller(**networks, method="crd")
    distiller = indistill_tf.Distiller(
        **networks, method="crd", train_labels=batch[1]
    )
    distiller.compile("adam")
    with pytest.raises(UserError, match='"sample_id": ids}, labels'):
        distiller.train_on_batch(*batch)


def test_students_built_layer_by_layer(batch):
    networks = [
        keras.Sequential(
            [
                keras.Input((32, 32, 1)),
                layers.Conv2D(width, 3, activation="relu", name="map_1"),
                layers.GlobalAveragePooling2D(),
                layers.Dense(10),
            ]
        )
        for width in (8, 4)
    ]
    distiller = indistill_tf.Distiller(
        teacher=networks[0],
        student=networks[1],
        method=methods.get("indistill", schedule=Curriculum(1, 0)),
    )
    distiller.compile("adam")
    logs = fit(distiller, batch, epochs=2).history
    assert logs["stage"] == [1, 2]


def nested_network(width, activation=None):
    """A backbone and a head, both models inside, without names in common."""
    inputs = keras.Input((32, 32, 1))
    x = layers.Conv2D(width, 3, strides=2)(inputs)
    x = layers.BatchNormalization()(x)
    backbone = keras.Model(inputs, layers.ReLU()(x))
    head = keras.Sequential(
        [
            keras.Input((15, 15, width)),
            layers.GlobalAveragePooling2D(),
            layers.Dense(10, activation=activation),
        ]
    )
    return keras.Sequential([keras.Input((32, 32, 1)), backbone, head])


def test_models_inside_models(batch):
    teacher, student = nested_network(8), nested_network(4)
    distiller = indistill_tf.Distiller(
        teacher=teacher,
        student=student,
        method=methods.get("indistill", schedule=Curriculum(1, 0)),
    )
    distiller.compile("adam", metrics=["accuracy"])
    assert "15 x 15 x 8 -> " in distiller.pairing
    assert ", pruning rate 0.5, rebuilt from conv2d" in distiller.pairing
    before = [weights_of(model) for model in (teacher, student)]
    backbone, head = student.layers
    train_one_epoch(distiller, batch, 0)
    assert not changed_layers(teacher, before[0])
    trained = [layer.name for layer in backbone.layers[1:3]]
    assert changed_layers(student, before[1]) == set(trained)
    train_one_epoch(distiller, batch, 1)
    assert not changed_layers(teacher, before[0])
    scores = distiller.evaluate(*batch, verbose=0, return_dict=True)
    predicted = student(batch[0]).numpy().argmax(1)
    assert scores["accuracy"] == pytest.approx(np.mean(predicted == batch[1]))


def test_probabilities_of_a_model_inside_are_no_logits(batch):
    student = nested_network(4, "softmax")
    distiller = indistill_tf.Distiller(
        teacher=nested_network(8), student=student, method="pkt"
    )
    distiller.compile("adam")
    found = distiller.evaluate(*batch, verbose=0)
    chosen = student(batch[0]).numpy()[np.arange(64), batch[1]]
    assert found == pytest.approx(-np.mean(np.log(chosen)), rel=1e-4)


def test_networks_that_share_what_is_trained():
    inputs = keras.Input((8, 8, 1))
    shared = keras.Sequential([inputs, layers.Conv2D(4, 3)])
    wrapped = keras.Model(inputs, shared(inputs))
    tail = [layers.GlobalAveragePooling2D, lambda: layers.Dense(10)]
    networks = [
        keras.Sequential([inputs, body, *[layer() for layer in tail]])
        for body in (shared, wrapped)
    ]
    with pytest.raises(UserError, match="share layers"):
        indistill_tf.Distiller(
            teacher=networks[0], student=networks[1], method="pkt"
        )
    shared.trainable = False
    indistill_tf.Distiller(
        teacher=networks[0], student=networks[1], method="pkt"
    )


def test_networks_of_several_inputs_are_refused():
    inputs = [keras.Input((8,)), keras.Input((8,))]
    outputs = layers.Dense(10)(layers.Concatenate()(inputs))
    model = keras.Model(inputs, outputs)
    with pytest.raises(UserError, match="teacher must read images alone.*2"):
        indistill_tf.Distiller(
            teacher=model, student=plain_network(4), method="pkt"
        )


def test_a_wholly_frozen_student_is_refused(batch):
    student = plain_network(4)
    student.trainable = False
    with pytest.raises(UserError, match="no trainable weight. Set `trainable"):
        indistill_tf.Distiller(
            teacher=plain_network(8), student=student, method="okd"
        )
    # A part of it may be.
    student.trainable = True
    student.layers[1].trainable = False
    distiller = indistill_tf.Distiller(
        teacher=plain_network(8), student=student, method="okd"
    )
    distiller.compile("sgd")
    assert np.isfinite(distiller.train_on_batch(*batch)[0])


@pytest.mark.parametrize(
    "augmentation",
    [
        layers.RandomFlip("vertical", name="own"),
        keras.Sequential([layers.RandomTranslation(0.5, 0.5, name="own")]),
        layers.Pipeline([layers.RandomErasing(1.0)], name="own"),
    ],
)
def test_the_student_sees_the_teachers_images(batch, augmentation, caplog):
    plain = plain_network(4)
    inputs = keras.Input((32, 32, 1))
    student = keras.Model(inputs, plain(augmentation(inputs)))
    distiller = indistill_tf.Distiller(
        teacher=plain,
        student=keras.models.clone_model(student),
        method="hints",
        taps=[("map_2", "map_2")],
    )
    distiller.student.set_weights(student.get_weights())
    distiller.compile("sgd")
    stage = distiller._plan.stage((0,))
    seen = stage.student(batch[0], training=True)
    itself = indistill_tf.endpoints.named_view(plain, ["map_2"])(batch[0])
    np.testing.assert_allclose(*seen.values(), itself["map_2"], atol=1e-6)
    # Alone it is augmented as before.
    assert not np.allclose(student(batch[0], training=True), plain(batch[0]))
    fit(distiller, batch, epochs=13, steps_per_epoch=1)
    (record,) = [r for r in caplog.records if r.name == "indistill_tf"]
    assert record.levelname == "WARNING"
    assert "layers own are passed by" in record.getMessage()
