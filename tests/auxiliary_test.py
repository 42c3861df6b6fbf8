import pytest

from indistill_tf import auxiliary
from indistill_tf import endpoints
from indistill_tf import evaluation
from indistill_tf import models
from indistill_tf import taps
from indistill_tf.errors import UserError


@pytest.mark.parametrize(
    "shape, classes, expected",
    [((32, 32, 3), 10, 57_994), ((48, 48, 3), 30, 104_990)],
)
def test_half_rate_makes_the_papers_auxiliary(shape, classes, expected):
    student = models.build("cnn_s", shape, classes)
    widened = auxiliary.widen(student, 0.5)
    assert evaluation.parameters(widened) == expected


@pytest.mark.parametrize(
    "rate, widths", [(1 / 3, [12, 24, 48]), (3 / 4, [32, 64, 128])]
)
def test_rates(rate, widths):
    student = models.build("cnn_s", (32, 32, 3), 10)
    widened = auxiliary.widen(student, rate)
    maps = endpoints.feature_maps(widened)
    assert [tensor.shape[-1] for tensor in maps.values()] == widths
    assert widened.output_shape == (None, 10)
    assert len(taps.pair(widened, student)) == 3


def test_residual_students_are_widened_too():
    student = models.build("resnet8", (32, 32, 3), 10)
    pairs = taps.pair(auxiliary.widen(student, 0.5), student)
    assert len(pairs) == 3


def test_transformers_get_more_heads():
    sizes = dict(input_shape=(8, 8, 3), num_classes=5, patch_size=4, depth=4)
    student = models.vit(**sizes, width=8, heads=2, embedding_size=6)
    twice = models.vit(**sizes, width=16, heads=4, embedding_size=12)
    widened = auxiliary.widen(student, 0.5)
    shapes = [variable.shape for variable in widened.variables]
    assert shapes == [variable.shape for variable in twice.variables]


def test_rate_without_whole_widths():
    student = models.build("cnn_s", (32, 32, 3), 10)
    with pytest.raises(UserError, match="to a whole number"):
        auxiliary.widen(student, 0.3)


def test_rate_out_of_range():
    student = models.build("cnn_s", (32, 32, 3), 10)
    with pytest.raises(UserError, match=r"must be in \[0, 1\)"):
        auxiliary.widen(student, 1.0)
