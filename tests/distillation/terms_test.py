import keras
import numpy as np
import pytest

import indistill_tf
from indistill_tf import losses
from indistill_tf import methods
from indistill_tf.errors import UserError


def absolute_error(y_true, y_pred):
    return keras.ops.abs(y_true - y_pred)


TASKS = {
    "a name of Keras": ("mse", {"loss/task"}),
    "an objective": (keras.losses.CosineSimilarity(), {"loss/task"}),
    "a function": (absolute_error, {"loss/task"}),
    "a loss of ours": (losses.SoftenedKL(2.0), {"loss/task"}),
    "a class of ours": (losses.MetricRelative, {"loss/task"}),
    "keras.distillation": (
        keras.distillation.LogitsDistillation(4.0, keras.losses.KLDivergence()),
        {"loss/task"},
    ),
    "a list": (
        [("mse", 0.5), (losses.ProbabilisticKL(), 3.0)],
        {"loss/task_1", "loss/task_2"},
    ),
}


@pytest.mark.parametrize("task", TASKS)
def test_warm_up_for_anything(task, build, batch):
    task, names = TASKS[task]
    distiller = indistill_tf.Distiller(
        teacher=build("cnn_a"),
        student=build("cnn_s"),
        method="indistill",
        task=task,
        objective="retrieval",
    )
    distiller.compile("adam")
    logs = distiller.train_on_batch(*batch, return_dict=True)
    assert set(logs) == {"loss", "loss/tap_1"}
    distiller.set_epoch(12)
    first = distiller.train_on_batch(*batch, return_dict=True)
    last = distiller.train_on_batch(*batch, return_dict=True)
    assert set(last) == {"loss", *names}
    assert last["loss"] < first["loss"]


def test_weights_of_a_list_of_tasks(build, batch):
    networks = dict(teacher=build("cnn_a"), student=build("cnn_s"))
    distiller = indistill_tf.Distiller(
        **networks,
        method="indistill",
        task=[("mse", 0.5), (losses.SoftenedKL(1.0), 3.0)],
        objective="retrieval",
    )
    distiller.compile("adam")
    distiller.set_epoch(12)
    logs = distiller.train_on_batch(*batch, return_dict=True)
    expected = 0.5 * logs["loss/task_1"] + 3 * logs["loss/task_2"]
    assert logs["loss"] == pytest.approx(expected, rel=1e-5)


def test_loss_of_keras_equals_ours(build, batch):
    """KL with the softmax and the squared temperature, in both libraries."""
    values = []
    for task in (TASKS["keras.distillation"][0], losses.SoftenedKL(4.0)):
        keras.utils.set_random_seed(0)
        networks = dict(teacher=build("cnn_a"), student=build("cnn_s"))
        distiller = indistill_tf.Distiller(
            **networks,
            method="indistill",
            task=task,
            objective="retrieval",
        )
        distiller.compile("adam")
        distiller.set_epoch(12)
        values.append(distiller.train_on_batch(*batch))
    np.testing.assert_allclose(*values, rtol=1e-4)


def test_no_task_but_the_labels(build, batch):
    distiller = indistill_tf.Distiller(
        teacher=build("cnn_a"),
        student=build("cnn_s"),
        method=methods.get("indistill", task=[], supervised_weight=1.0),
    )
    distiller.compile("adam", metrics=["accuracy"])
    distiller.set_epoch(12)
    logs = distiller.train_on_batch(*batch, return_dict=True)
    assert set(logs) == {"loss", "loss/supervised", "accuracy"}


def test_not_a_task(build):
    networks = dict(teacher=build("cnn_a"), student=build("cnn_s"))
    with pytest.raises(UserError, match="Not a distillation loss: 3"):
        indistill_tf.Distiller(**networks, task=3)
    with pytest.raises(UserError, match="Unknown task: 'magic'.*okd"):
        indistill_tf.Distiller(**networks, task="magic")
    with pytest.raises(UserError, match=r"pairs \(loss, weight\).*mse"):
        indistill_tf.Distiller(**networks, task=["mse", "mae"])
    with pytest.raises(UserError, match="Not a distillation loss: <class"):
        indistill_tf.Distiller(**networks, task=keras.losses.KLDivergence)
