import pytest
import tensorflow as tf

from indistill_tf.errors import UserError
from indistill_tf.training import strategies


def test_one_device():
    with strategies.running("default"):
        assert tf.distribute.get_strategy().num_replicas_in_sync == 1


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("parameter_server", "Unknown strategy"),
        ("tpu", "There is no TPU here"),
        ("multi_worker", "finds no other process"),
    ],
)
def test_what_is_not_here(name, message, monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    with pytest.raises(UserError, match=message):
        with strategies.running(name):
            pass


GONE = tf.errors.UnavailableError(None, None, "Collective ops is aborted")
TASKS = {("worker", 0): "a:8888", ("worker", 1): "b:8888"}


def damaged():
    try:
        raise GONE
    except tf.errors.OpError as error:
        raise UserError("The checkpoint is damaged.") from error


def gone():
    raise GONE


@pytest.mark.parametrize("fail", [gone, damaged])
def test_a_lost_worker_is_named(fail, monkeypatch):
    monkeypatch.setattr(strategies, "_answers", lambda task: False)
    with pytest.raises(UserError, match=r"^Lost worker 0 \(a:8888\) of 2; "):
        with strategies._naming_the_lost(("worker", 1), TASKS):
            fail()


@pytest.mark.parametrize(
    ("answers", "error"), [(True, GONE), (False, UserError("No such file."))]
)
def test_what_no_lost_worker_caused_is_kept(answers, error, monkeypatch):
    monkeypatch.setattr(strategies, "_answers", lambda task: answers)
    with pytest.raises(type(error)) as raised:
        with strategies._naming_the_lost(("worker", 1), TASKS):
            raise error
    assert raised.value is error
