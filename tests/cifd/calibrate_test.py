import numpy as np
import pytest

from indistill_tf.cifd.architectures import Architecture
from indistill_tf.cifd.calibrate import calibrate
from indistill_tf.errors import UserError

PLAIN = Architecture(32, 6, 16, reconstruction=False)
FAST = {"epochs": 8, "batch_size": 100}


def test_modules_land_where_they_should(make, mixture):
    modules = make((1.0, 1.0), architecture=PLAIN)
    found = calibrate(
        modules, *mixture, (4, 12), lowest=0.1, highest=100, tolerance=1, **FAST
    )
    # The mixture's own classifier.
    assert found.teacher_accuracy == pytest.approx(99.1, abs=0.5)
    below = found.teacher_accuracy - np.array(found.accuracies)
    np.testing.assert_allclose(below, [4, 12], atol=1)
    assert found.trade_offs[0] > found.trade_offs[1]
    assert len(found.rounds) <= 12
    # The modules are those that were measured.
    np.testing.assert_allclose(modules.trade_offs, found.trade_offs, rtol=1e-5)
    logs = modules.evaluate(*mixture[1], verbose=0, return_dict=True)
    assert 100 * float(logs["accuracy/module_2"]) == pytest.approx(
        found.accuracies[1], abs=1e-3
    )


def test_rounds_start_from_the_same_weights(make, mixture):
    results = []
    for _ in range(2):
        modules = make((1.0,), architecture=PLAIN)
        if results:
            modules.set_weights(start)
        start = modules.get_weights()
        with pytest.raises(UserError, match="more rounds") as error:
            calibrate(
                modules,
                *mixture,
                (5,),
                lowest=0.1,
                highest=100,
                rounds=2,
                tolerance=1e-3,
                epochs=2,
                batch_size=100,
            )
        results.append(str(error.value))
    assert results[0] == results[1]


@pytest.mark.parametrize(
    "points, ends, message",
    [
        (-5, (0.1, 100), r"largest R, 100, gave .* Raise `highest`"),
        (10, (50, 100), r"smallest R, 50, gave .* Lower `lowest`"),
    ],
)
def test_targets_out_of_reach(make, mixture, points, ends, message):
    modules = make((1.0,), architecture=PLAIN)
    with pytest.raises(UserError, match=message):
        calibrate(
            modules,
            *mixture,
            (points,),
            lowest=ends[0],
            highest=ends[1],
            **FAST,
        )


def test_errors(make, mixture):
    modules = make((1.0, 2.0))
    with pytest.raises(UserError, match="one for each"):
        calibrate(modules, *mixture, (1, 2, 3))
    with pytest.raises(UserError, match="lowest < highest"):
        calibrate(modules, *mixture, (1, 2), lowest=2, highest=1)
    modules.optimizer = None
    with pytest.raises(UserError, match="Compile"):
        calibrate(modules, *mixture, (1, 2))
