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
