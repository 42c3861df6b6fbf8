import re

import keras
import numpy as np
import pytest

import indistill_tf
from indistill_tf import evaluation
from indistill_tf import losses
from indistill_tf import methods
from indistill_tf.distillation.schedules import Curriculum
from indistill_tf.errors import UserError


@pytest.mark.parametrize("name", methods.METHODS)
def test_rows_are_complete(name):
    method = methods.get(name)
    assert method.name == name
    assert re.search(
        r"\d{4} \((arXiv [\d.]+|CVPR|ICLR|NeurIPS)\)", method.paper
    )
    # A teacher teaches, and a method by its name trains a classifier.
    assert any((method.tap, method.task))
    assert method.supervised_weight > 0
    for loss, options in (
        (method.tap, method.tap_options),
        (method.task, method.task_options),
    ):
        assert set(options) <= set(loss.options() if loss else ())


STAGES = {
    "hints": [1, 2],
    "hints_joint": [2],
    "fsp": [2, 3],
    "factor_transfer": [0, 2],
    "hsakd": [0, 4],
    "indistill": [1, 2, 3, 4],
    "curriculum_unpruned": [1, 2, 3, 4],
}


# With the losses and the schedule of another row.
REPEATED = ("takd", "mkt_absolute", "curriculum_unpruned")


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.slow) if name in REPEATED else name
        for name in methods.METHODS
    ],
)
def test_every_row_trains_and_leaves_the_bare_student(
    name, build, batch, shortened
):
    stages = STAGES.get(name, [4 if methods.METHODS[name].tap else 1])
    images, labels = batch
    student = build("cnn_s")
    distiller = indistill_tf.Distiller(
        teacher=build("cnn_a"),
        student=student,
        method=shortened(name),
        train_labels=labels,
    )
    if distiller.needs_sample_ids:
        images = {"image": images, "sample_id": np.arange(len(labels))}
    distiller.compile("adam")
    before = student.get_layer("conv1").kernel.numpy()
    found = []
    for epoch, _ in enumerate(stages):
        distiller.set_epoch(epoch)
        found.append(distiller.stage)
        first = distiller.train_on_batch(images, labels, return_dict=True)
        # The banks of CRD begin at random: its loss may rise before it falls.
        for _ in range(30 if name == "crd" else 4):
            last = distiller.train_on_batch(images, labels, return_dict=True)
        assert last["loss"] < first["loss"]
    assert found == stages
    one = keras.tree.map_structure(lambda part: part[:1], (images, labels))
    # Not traced again for one image: operation by operation.
    logs = distiller.train_step(one)
    assert all(np.isfinite(value) for value in logs.values())
    assert all(np.isfinite(weight).all() for weight in distiller.get_weights())
    assert not np.array_equal(student.get_layer("conv1").kernel, before)
    assert evaluation.parameters(student) == 14_906


@pytest.mark.parametrize(
    "name, changes",
    [
        ("at", {"tap_options": {"squared": False}}),
        ("mkt", {"task_options": {"normalize": True}}),
        ("fsp", {"pruned": False, "tap_options": {"adapters": True}}),
        ("crd", {"task_options": {"positives": "relaxed"}}),
    ],
)
def test_options_of_the_rows(name, changes, build, batch):
    distiller = indistill_tf.Distiller(
        teacher=build("cnn_a"),
        student=build("cnn_s"),
        method=methods.get(name, **changes),
        train_labels=batch[1],
    )
    loss = distiller.distillation_losses[0]
    for options in (changes.get("tap_options"), changes.get("task_options")):
        for option, value in (options or {}).items():
            owner = loss.sampler if option == "positives" else loss
            assert getattr(owner, option) == value
    # With maps that are not pruned FSP trains 1x1 convolutions.
    trained = {"fsp": 2, "crd": 4}.get(name, 0)
    assert len(loss.student_variables) == trained


def test_unknown_option_of_a_row(build):
    networks = dict(teacher=build("cnn_a"), student=build("cnn_s"))
    method = methods.get("okd", task_options={"heat": 2})
    with pytest.raises(UserError, match="option of SoftenedKL: 'heat'"):
        indistill_tf.Distiller(**networks, method=method)


def test_task_replaces_the_task_alone():
    method = methods.get("indistill", task="okd")
    assert method.task is losses.SoftenedKL
    assert method.tap is losses.FeatureMSE
    assert method.schedule == Curriculum(2, 1)


def test_changes_leave_the_table_alone():
    changed = methods.get(
        "pkt", objective="retrieval", supervised_weight=1.0, task_weight=None
    )
    assert changed.weights == (1.0, 1.0)
    assert methods.METHODS["pkt"].supervised_weight == 0


def test_weights_of_the_references_classification_runs():
    method = methods.get("okd", objective="classification")
    assert (method.task_weight, method.supervised_weight) == (0.9, 0.1)
    method = methods.get("indistill", task="crd", objective="classification")
    assert (method.task_weight, method.supervised_weight) == (0.8, 1.0)
    method = methods.get("at", objective="classification")
    assert method.supervised_weight == 1.0
    method = methods.get("okd", objective="classification", task_weight=2.0)
    assert (method.task_weight, method.supervised_weight) == (2.0, 0.1)


# What was set in these rows from the start.
OF_BOTH = ("hints_joint", "at", "fsp", "cifd", "hsakd", "factor_transfer")


@pytest.mark.parametrize("name", methods.METHODS)
def test_a_name_means_a_classifier(name):
    row = methods.METHODS[name]
    given = methods.get(name)
    assert given == methods.get(name, objective="classification")
    assert given.supervised_weight > 0
    expected = row.classification if row.task else row.weights
    assert given.weights == expected
    assert methods.get(name, objective="retrieval") == row
    if name in OF_BOTH:
        assert given == row
    else:
        assert row.supervised_weight == 0


def test_a_method_keeps_its_weights():
    own = methods.Method("own", "", task=losses.SoftenedKL, task_weight=3.0)
    assert methods.get(own) == own
    for name in ("pkt", "indistill"):
        retrieval = methods.get(name, objective="retrieval")
        assert methods.get(retrieval).weights == (1.0, 0.0)
        by_hand = methods.get(name, task_weight=3000.0)
        assert methods.get(by_hand, preparation=0).weights == (3000.0, 1.0)
        # Asked for, either is to be had of the other.
        assert methods.get(by_hand, objective="retrieval") == retrieval
        classifier = methods.get(retrieval, objective="classification")
        assert classifier == methods.get(name)


def test_a_task_joins_under_the_methods_objective():
    classifier = methods.get("indistill")
    assert methods.get(classifier, task="okd").weights == (0.9, 0.1)
    assert methods.get("indistill", task="mse").weights == (1.0, 1.0)
    retrieval = methods.get("indistill", objective="retrieval")
    assert methods.get(retrieval, task="okd").weights == (1.0, 0.0)
    by_hand = methods.get("indistill", supervised_weight=0.5)
    assert methods.get(by_hand, task="okd").weights == (1.0, 0.5)
    behind = methods.get("at", task="pkt", objective="retrieval")
    assert behind.weights == (1.0, 1.0)


def test_options_are_added_to_the_rows():
    method = methods.get("hsakd", task_options={"temperature": 2.0})
    assert method.task_options == {"temperature": 2.0}
    assert methods.METHODS["hsakd"].task_options == {"temperature": 3.0}


def test_preparation_comes_before_the_schedule():
    method = methods.get("factor_transfer", preparation=2)
    assert [method.stage(epoch, 1) for epoch in range(4)] == [0, 0, 2, 2]
    method.check(3, num_taps=1)
    with pytest.raises(UserError, match="prepares its loss for 2 epochs"):
        method.check(2, num_taps=1)


def test_unknown_names_list_the_known():
    with pytest.raises(UserError, match="Unknown method: 'kd'.*okd, hints"):
        methods.get("kd")
    with pytest.raises(UserError, match="Unknown task: 'indistill'.*okd"):
        methods.get("indistill", task="indistill")
    with pytest.raises(UserError, match="Unknown objective: 'clustering'"):
        methods.get("okd", objective="clustering")


def test_single_loss_methods_take_no_other_task():
    with pytest.raises(UserError, match="'okd' is its own task"):
        methods.get("okd", task="pkt")
    assert methods.get("okd", task="okd").name == "okd"


def test_without_warm_up():
    method = methods.get("indistill", "okd", supervised_weight=0.5)
    alone = method.without_warm_up()
    assert (alone.name, alone.tap, alone.task) == ("okd", None, method.task)
    assert (alone.task_weight, alone.supervised_weight) == (0.9, 0.5)
    assert alone.schedule.weights(0, 0) == [1.0]
    own = methods.get("indistill", [("mse", 1.0)]).without_warm_up()
    assert own.name == "indistill+own without warm-up"
    for name in ("pkt", "at"):
        with pytest.raises(UserError, match="has no warm-up before a task"):
            methods.get(name).without_warm_up()


def test_continued():
    row = methods.get("closed_form", "similarity_okd", objective="retrieval")
    rest = row.continued()
    assert (rest.name, rest.closed_form) == ("similarity_okd", False)
    assert (rest.task, rest.weights) == (row.task, row.weights)
    # Its taps have faded, or had their time.
    for name in ("indistill", "pkt_h_cr", "indistill_critical_period"):
        assert methods.get(name).continued().name == "pkt"
    assert methods.get("hints").continued().weights == (1 / 9, 1.0)
    assert methods.get("fsp").continued() is None
    # What teaches to the end goes on, but for a closed form before it.
    for name in ("okd", "at", "hsakd"):
        assert methods.get(name).continued() == methods.get(name)
    own = methods.get("indistill_simultaneous", closed_form=True)
    rest = own.continued()
    assert (rest.closed_form, rest.tap, rest.pruned) == (False, own.tap, True)
