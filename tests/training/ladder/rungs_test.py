import pytest

from indistill_tf.errors import UserError
from indistill_tf.training import COMPRESSIONS
from indistill_tf.training.ladder import rungs


def test_the_control_stands_beside_what_is_trained():
    assert list(rungs.chosen(["int4_qat", "student"])) == [
        "student",
        "control",
        "int4_qat",
    ]
    assert list(rungs.chosen(["int8", "student"])) == ["student", "int8"]


def test_every_compression_is_on_a_rung():
    found = {rung.compression for rung in rungs.RUNGS.values()}
    assert found == {None, *COMPRESSIONS}
    assert set(rungs.DEFAULT) <= set(rungs.RUNGS)


def test_unknown_rung():
    with pytest.raises(UserError, match="Unknown rung: 'int2'. Expected one"):
        rungs.chosen(["int2"])
