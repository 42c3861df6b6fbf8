import numpy as np
import pytest

import indistill_tf
from indistill_tf import evaluation
from indistill_tf import losses
from indistill_tf import methods
from indistill_tf.errors import UserError
from indistill_tf.schedules import Curriculum


@pytest.mark.parametrize("name", methods.METHODS)
def test_rows_are_complete(name):
    method = methods.get(name)
    assert method.name == name
    assert "arXiv" in method.paper
    assert method.tap or method.task
    if method.task:
        assert method.task().endpoint in ("logits", "embedding")
    else:
        assert method.supervised_weight > 0


@pytest.mark.parametrize("name", methods.METHODS)
def test_every_row_trains_and_leaves_the_bare_student(name, build, batch):
    student = build("cnn_s")
    distiller = indistill_tf.Distiller(
        teacher=build("cnn_a"), student=student, method=name
    )
    distiller.compile("adam")
    before = student.get_layer("conv1").kernel.numpy()
    first = distiller.train_on_batch(*batch, return_dict=True)
    for _ in range(5):
        last = distiller.train_on_batch(*batch, return_dict=True)
    assert np.isfinite(last["loss"])
    assert last["loss"] < first["loss"]
    assert not np.array_equal(student.get_layer("conv1").kernel, before)
    assert evaluation.parameters(student) == 14_906


def test_task_replaces_the_task_alone():
    method = methods.get("indistill", task="okd")
    assert method.task is losses.SoftenedKL
    assert method.tap is losses.FeatureMSE
    assert method.schedule == Curriculum(2, 1)


def test_changes_leave_the_table_alone():
    changed = methods.get("pkt", supervised_weight=1.0, task_weight=None)
    assert (changed.supervised_weight, changed.task_weight) == (1.0, 1.0)
    assert methods.METHODS["pkt"].supervised_weight == 0


def test_unknown_names_list_the_known():
    with pytest.raises(UserError, match="Unknown method: 'kd'.*okd, at"):
        methods.get("kd")
    with pytest.raises(UserError, match="Unknown task: 'indistill'.*okd"):
        methods.get("indistill", task="indistill")


def test_single_loss_methods_take_no_other_task():
    with pytest.raises(UserError, match="'okd' is its own task"):
        methods.get("okd", task="pkt")
    assert methods.get("okd", task="okd").name == "okd"
