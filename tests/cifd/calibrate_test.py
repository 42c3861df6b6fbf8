import numpy as np
import pytest

from indistill_tf.cifd.architectures import Architecture
from indistill_tf.cifd.calibrate import Trial
from indistill_tf.cifd.calibrate import calibrate
from indistill_tf.errors import UserError

PLAIN = Architecture(32, 6, 16, reconstruction=False)


@pytest.fixture(scope="module")
def modules(make):
    """Compiled once; every calibration starts from what it finds."""
    modules = make((1.0, 1.0), rate=0.03, architecture=PLAIN)
    modules.optimizer.build(modules.trainable_variables)
    modules.start = [
        (variable, np.array(variable))
        for variable in modules.variables + modules.optimizer.variables
    ]
    return modules


@pytest.fixture(autouse=True)
def _as_new(modules):
    for variable, value in modules.start:
        variable.assign(value)


def search(modules, mixture, points, lowest=0.1, highest=100, **options):
    chosen = {"epochs": 6, "batch_size": 200, "tolerance": 1.5, **options}
    return calibrate(
        modules, *mixture, points, lowest=lowest, highest=highest, **chosen
    )


@pytest.mark.long
def test_modules_land_where_they_should(modules, mixture):
    calibration = search(modules, mixture, (4, 12))
    # The mixture's own classifier.
    assert calibration.teacher_accuracy == pytest.approx(99, abs=0.6)
    below = calibration.teacher_accuracy - np.array(calibration.accuracies)
    np.testing.assert_allclose(below, [4, 12], atol=1.5)
    assert calibration.trade_offs[0] > calibration.trade_offs[1]
    assert calibration.rounds[0][0] == (0.1, 0.1)
    assert calibration.rounds[1][0] == (100, 100)
    assert calibration.rounds[-1] == (
        calibration.trade_offs,
        calibration.accuracies,
    )
    # The modules are those that were measured.
    np.testing.assert_allclose(
        modules.trade_offs, calibration.trade_offs, rtol=1e-5
    )
    correct = modules.predict(mixture[1][0], verbose=0)["logits"].argmax(-1)
    accuracies = 100 * (correct == mixture[1][1]).mean(axis=1)
    np.testing.assert_allclose(accuracies, calibration.accuracies, atol=0.11)


def test_equal_trade_offs_give_equal_results(modules, mixture):
    trial = Trial(modules, *mixture, epochs=3, batch_size=200, seed=0)
    first, other, again = (
        trial(np.array(values)) for values in ((0.1, 30), (30, 0.1), (0.1, 30))
    )
    np.testing.assert_allclose(first, again, atol=0.11)
    assert np.abs(first - other).min() > 5


@pytest.mark.parametrize(
    "points, ends, message",
    [
        (
            (12, -5),
            (0.1, 100),
            "Module 2 .* largest R, 100, gave .* raise `highest`",
        ),
        (
            (60, 60),
            (50, 100),
            "Module 1 .* smallest R, 50, gave .* lower `lowest`",
        ),
    ],
)
def test_targets_out_of_reach(modules, mixture, points, ends, message):
    with pytest.raises(UserError, match=message):
        search(modules, mixture, points, *ends, epochs=3)


def test_too_few_rounds(modules, mixture):
    with pytest.raises(UserError, match="After 2 rounds .* more `rounds`"):
        search(modules, mixture, (6, 12), rounds=2, tolerance=0, epochs=3)


def test_errors(make, modules, mixture):
    with pytest.raises(UserError, match="one number for each"):
        calibrate(modules, *mixture, (1, 2, 3))
    with pytest.raises(UserError, match="lowest < highest"):
        calibrate(modules, *mixture, (1, 2), lowest=2, highest=1)
    unclassified = Architecture(4, 4, 4, classifier=False)
    with pytest.raises(UserError, match="no classifier"):
        calibrate(make([1.0], architecture=unclassified), *mixture, (1,))
    fresh = make([1.0])
    fresh.optimizer = None
    with pytest.raises(UserError, match="not compiled"):
        calibrate(fresh, *mixture, (1,))
