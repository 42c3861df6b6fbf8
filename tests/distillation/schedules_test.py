import pytest

from indistill_tf.distillation.schedules import NOT_COMPUTED
from indistill_tf.distillation.schedules import CriticalPeriod
from indistill_tf.distillation.schedules import Curriculum
from indistill_tf.distillation.schedules import CurriculumCallback
from indistill_tf.distillation.schedules import Simultaneous
from indistill_tf.distillation.schedules import TaskOnly
from indistill_tf.distillation.schedules import TwoStage
from indistill_tf.errors import UserError


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


class Recorder:
    """Stands for a distiller."""

    def __init__(self):
        self.epochs, self.restarts, self.stage = [], [], None
        self.checks, self.steps_before = 0, []

    def check_restarts(self, steps):
        assert steps == 10
        self.checks += 1

    def set_steps_before(self, steps):
        self.steps_before.append(steps)

    def learning_rate(self):
        return 0.5

    def log_names(self):
        return ["loss", "loss/task"]

    def active_losses(self, epoch):
        return (min(epoch, 2),)

    def set_epoch(self, epoch):
        self.epochs.append(epoch)
        self.stage = min(epoch, 2) + 1

    def restart_optimizer(self):
        self.restarts.append(self.epochs[-1])


@pytest.mark.parametrize(
    "restart, expected, before",
    [
        ("stage", [1, 2], [0, 10, 20, 20, 20]),
        ("epoch", [1, 2, 3, 4], [0, 10, 20, 30, 40]),
        ("never", [], [0] * 5),
    ],
)
def test_restarts_depend_on_the_epoch_alone(restart, expected, before):
    for first_epoch in range(5):
        callback = CurriculumCallback(restart)
        recorder = Recorder()
        callback.set_model(recorder)
        callback.set_params({"epochs": 5, "steps": 10})
        callback.on_train_begin()
        for epoch in range(first_epoch, 5):
            logs = {"loss": 0.25}
            callback.on_epoch_begin(epoch)
            callback.on_epoch_end(epoch, logs)
            assert logs == {
                "loss": 0.25,
                "stage": min(epoch, 2) + 1,
                "learning_rate": 0.5,
                "loss/task": NOT_COMPUTED,
            }
        to_come = [e for e in expected if e >= first_epoch]
        assert recorder.restarts == to_come
        assert recorder.steps_before == before[first_epoch:]
        assert recorder.checks == bool(to_come)


def test_unknown_restart():
    with pytest.raises(UserError, match="Unknown restart: 'step'"):
        CurriculumCallback("step")


def test_simultaneous():
    assert Simultaneous(1000.0).weights(3, 2) == [1000.0, 1000.0, 1.0]


def test_critical_period_is_the_papers_table():
    # 100 * 0.7^e beside the task's 1.
    schedule = CriticalPeriod()
    for epoch, weight in ((0, 100), (1, 70), (5, 16.807), (13, 0.96889)):
        assert schedule.weights(epoch, 3) == pytest.approx(
            [weight] * 3 + [1], rel=1e-5
        )


def test_two_stages():
    schedule = TwoStage(warm_up=2, first=4.0, last=1.0, falling=3)
    assert [schedule.weights(epoch, 2) for epoch in range(7)] == [
        [1, 1, 0],
        [1, 1, 0],
        [0, 0, 4],
        [0, 0, 3],
        [0, 0, 2],
        [0, 0, 1],
        [0, 0, 1],
    ]
    assert TwoStage(warm_up=1).weights(1, 1) == [0, 1]


def test_two_stages_check_the_budget():
    TwoStage(warm_up=2).check(3, num_taps=1)
    with pytest.raises(UserError, match="for 2 epochs .* Use 3 epochs"):
        TwoStage(warm_up=2).check(2, num_taps=1)


@pytest.mark.parametrize(
    "fields, message",
    [
        ({"warm_up": 0}, "warm_up=0"),
        ({"falling": -1}, "falling=-1"),
        ({"last": 0.0}, "must stay above 0.*last=0.0"),
    ],
)
def test_two_stages_out_of_range(fields, message):
    with pytest.raises(UserError, match=message):
        TwoStage(**fields)


def test_taps_that_stay_beside_the_task_decay_from_its_first_epoch():
    curriculum = Curriculum(1, 0, tap_weight=8.0, decay=0.25)
    weights = [curriculum.weights(epoch, 2) for epoch in range(4)]
    assert weights == [[1, 0, 0], [0, 1, 0], [8, 8, 1], [2, 2, 1]]


@pytest.mark.parametrize("change", [{"tap_weight": -1.0}, {"decay": 1.5}])
def test_weights_that_would_grow_or_be_negative_are_refused(change):
    with pytest.raises(UserError, match="tap_weight >= 0 and 0 <= decay <= 1"):
        Curriculum(**change)
