import pytest

from indistill_tf import losses
from indistill_tf import methods
from indistill_tf.errors import UserError
from indistill_tf.schedules import Curriculum


@pytest.mark.parametrize("name", methods.METHODS)
def test_rows_are_complete(name):
    method = methods.get(name)
    assert method.name == name
    assert isinstance(method.task(), losses.DistillationLoss)
    assert method.task().endpoint in ("logits", "embedding")
    assert "arXiv" in method.paper


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
    with pytest.raises(UserError, match="Unknown method: 'kd'.*okd, pkt"):
        methods.get("kd")
    with pytest.raises(UserError, match="Unknown task: 'indistill'.*okd"):
        methods.get("indistill", task="indistill")


def test_single_loss_methods_take_no_other_task():
    with pytest.raises(UserError, match="'okd' is its own task"):
        methods.get("okd", task="pkt")
    assert methods.get("okd", task="okd").name == "okd"
