import pytest

from indistill_tf.errors import UserError
from indistill_tf.schedules import Curriculum
from indistill_tf.schedules import TaskOnly


def stages(schedule, epochs, num_taps):
    rows = [schedule.weights(epoch, num_taps) for epoch in range(epochs)]
    assert all(sum(row) == 1 and len(row) == num_taps + 1 for row in rows)
    return [row.index(1.0) for row in rows]


def test_papers_schedule():
    # a = 2, b = 1, three taps: 3, 4 and 5 epochs of 70, then the task.
    expected = [0] * 3 + [1] * 4 + [2] * 5 + [3] * 58
    assert stages(Curriculum(2, 1), 70, 3) == expected


@pytest.mark.parametrize(
    "a, b, num_taps, per_tap",
    [(5, 1, 4, [6, 7, 8, 9]), (1, 0, 2, [1, 1]), (0, 2, 3, [2, 4, 6])],
)
def test_epochs_per_tap(a, b, num_taps, per_tap):
    curriculum = Curriculum(a, b)
    assert curriculum.epochs_per_tap(num_taps) == per_tap
    found = stages(curriculum, sum(per_tap) + 2, num_taps)
    assert [found.count(i) for i in range(num_taps + 1)] == [*per_tap, 2]


def test_no_tap_trains_the_task_at_once():
    assert Curriculum().weights(0, 0) == [1.0]


def test_short_budget_prints_the_arithmetic():
    with pytest.raises(UserError, match=r"3 \+ 4 \+ 5 = 12 .* budget is 12"):
        Curriculum(2, 1).check(12, 3)
    Curriculum(2, 1).check(13, 3)


@pytest.mark.parametrize("a, b", [(-1, 2), (0, 0), (3, -1)])
def test_bad_constants(a, b):
    with pytest.raises(UserError, match=f"Received: a={a}, b={b}"):
        Curriculum(a, b)


def test_task_only():
    assert TaskOnly().weights(7, 2) == [0.0, 0.0, 1.0]
    assert TaskOnly().check(1, 2) is None
