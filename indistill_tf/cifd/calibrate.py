"""Finds the trade-offs at which modules are as good as assistants should be.

What R means depends on how rate and distortion are reduced, on the embedding
and on the data; the paper's values differ by a factor of 10,000 between two
data sets. So R is found from what it is for: a module's accuracy.
"""

import dataclasses
import logging
from collections.abc import Sequence

import numpy as np
from keras import ops

from indistill_tf.cifd.batches import EmbeddingBatches
from indistill_tf.cifd.rdm import RateDistortionModules
from indistill_tf.cifd.rdm_losses import is_correct
from indistill_tf.errors import UserError
from indistill_tf.hints import Tensor

logger = logging.getLogger("indistill_tf")


@dataclasses.dataclass(frozen=True)
class Calibration:
    """What `calibrate` comes to.

    Attributes:
        trade_offs: tuple of M floats, the R of each module.
        accuracies: tuple of M floats, percent on the validation part.
        teacher_accuracy: float, percent on the same.
        rounds: tuple of pairs `(trade_offs, accuracies)`, one for each round.
    """

    trade_offs: tuple
    accuracies: tuple
    teacher_accuracy: float
    rounds: tuple


def calibrate(
    modules: RateDistortionModules,
    train: tuple[dict, Tensor],
    validation: tuple[dict, Tensor],
    points_below: Sequence[float] = (2.0, 4.0, 8.0),
    *,
    epochs: int = 30,
    batch_size: int = 1024,
    lowest: float = 1e-3,
    highest: float = 1e3,
    rounds: int = 12,
    tolerance: float = 0.5,
    seed: int = 0,
) -> Calibration:
    """Chooses R so that modules are given points less accurate than a teacher.

    Bisection on log R, for all modules at once: each round trains them from
    the same weights, with the same noise and the same order of the data, and
    measures them with rounded codes. The first two rounds are the ends of the
    range. A module that is within the tolerance keeps its R. The modules are
    left as the last round has trained them, ready for `frozen()`.

    With a reconstruction in the loss, the classification terms are not
    weighed by R, and hold the accuracy up however small R is; lower
    `ce_weight` and `kl_weight` if a target lies below what is in reach.

    Args:
        modules: compiled `RateDistortionModules` with classifiers.
        train: pair of `{"embedding": [N, D], "logits": [N, classes]}` and
            labels `[N]`, NumPy arrays.
        validation: the same of images that are not in `train`; needs the
            logits, which give the teacher's accuracy.
        points_below: a number for each module, percentage points under the
            teacher's accuracy. Defaults to `(2, 4, 8)`.
        epochs: int, of each round. Defaults to 30.
        batch_size: int. Defaults to 1024.
        lowest: float above 0, the smallest R. Defaults to 1e-3.
        highest: float above `lowest`. Defaults to 1e3.
        rounds: int, the largest number of rounds, two of which are the ends.
            Defaults to 12, which narrows R down to 1.4 percent.
        tolerance: float, in percentage points. Defaults to 0.5.
        seed: int, of the order of the data. Defaults to 0.

    Returns:
        `Calibration`.

    Raises:
        UserError: if an argument is out of range, a target is out of reach
            between `lowest` and `highest`, or not hit in `rounds` rounds.

    References:
        - CIFD, NeurIPS 2024, eq. 5; the calibration is ours
    """
    _check(modules, points_below, lowest, highest, rounds)
    teacher = _percent(is_correct(validation[1], validation[0]["logits"]))
    trial = Trial(modules, train, validation, epochs, batch_size, seed)
    targets = teacher - np.asarray(points_below, "float64")
    low = np.full(len(targets), np.log(lowest))
    high = np.full(len(targets), np.log(highest))
    settled, history = np.zeros(len(targets), bool), []
    log_trade_offs = low
    for number in range(rounds):
        guess = (low, high)[number] if number < 2 else (low + high) / 2
        log_trade_offs = np.where(settled, log_trade_offs, guess)
        accuracies = trial(np.exp(log_trade_offs))
        history.append((_floats(np.exp(log_trade_offs)), _floats(accuracies)))
        logger.info("calibration %d: R %s, accuracy %s", number, *history[-1])
        settled |= np.abs(accuracies - targets) <= tolerance
        over = accuracies > targets
        if number < 2:
            possible = settled | (over == bool(number))
            _check_end(number, possible, targets, history[-1])
        if settled.all():
            return Calibration(*history[-1], teacher, tuple(history))
        low = np.where(over, low, log_trade_offs)
        high = np.where(over, log_trade_offs, high)
    raise UserError(
        f"After {rounds} rounds modules are not within {tolerance} points of "
        f"accuracies {_floats(targets)}: R {history[-1][0]} gave "
        f"{history[-1][1]}. Allow more `rounds`, a larger `tolerance` or more "
        "validation data."
    )


class Trial:
    """Trains modules from where they are now, and measures them, repeatedly.

    Equal trade-offs give equal results: weights, optimizer, noise and the order
    of the data start anew in each call.

    Args:
        modules: see `calibrate`, as the rest.
        train: pair of inputs and labels.
        validation: the same.
        epochs: int.
        batch_size: int.
        seed: int.
    """

    def __init__(self, modules, train, validation, epochs, batch_size, seed):
        self._modules, self._train = modules, train
        self._validation = validation
        self._epochs, self._batch_size, self._seed = epochs, batch_size, seed
        if not modules.optimizer.built:
            modules.optimizer.build(modules.trainable_variables)
        # The state of the noise's seed is among them.
        self._variables = modules.variables + modules.optimizer.variables
        self._start = [ops.convert_to_numpy(v) for v in self._variables]

    def __call__(self, trade_offs):
        """Returns the accuracies, percent `[M]`, at trade-offs `[M]`."""
        for variable, value in zip(self._variables, self._start):
            variable.assign(value)
        modules = self._modules
        modules.trade_offs.assign(trade_offs)
        batches = EmbeddingBatches(*self._train, self._batch_size, self._seed)
        modules.fit(batches, epochs=self._epochs, shuffle=False, verbose=0)
        inputs, labels = self._validation
        logs = modules.evaluate(
            inputs,
            labels,
            batch_size=self._batch_size,
            verbose=0,
            return_dict=True,
        )
        names = [f"accuracy/module_{i + 1}" for i in range(modules.modules)]
        return np.array([100 * float(logs[name]) for name in names])


def _check(modules, points_below, lowest, highest, rounds):
    if not modules.architecture.classifier:
        raise UserError(
            "Calibration compares accuracies, and these modules have no "
            "classifier. Choose their `trade_offs` yourself."
        )
    if modules.optimizer is None:
        raise UserError(
            "Calibration trains the modules. Received: modules that are not "
            "compiled. Call `modules.compile(optimizer)` first."
        )
    if len(points_below) != modules.modules:
        raise UserError(
            "`points_below` must hold one number for each of the "
            f"{modules.modules} modules. Received: points_below={points_below}"
        )
    if not 0 < lowest < highest or rounds < 2:
        raise UserError(
            "`lowest` and `highest` must be 0 < lowest < highest, and `rounds` "
            f"at least 2. Received: lowest={lowest}, highest={highest}, "
            f"rounds={rounds}"
        )


def _check_end(number, possible, targets, result):
    """Checks that targets are above the lower or below the upper end."""
    if possible.all():
        return
    which = int(np.argmin(possible))
    trade_offs, accuracies = result
    end, advice = (
        ("smallest", "Ask for fewer points below, or lower `lowest`"),
        ("largest", "Train longer, ask for more below, or raise `highest`"),
    )[number]
    raise UserError(
        f"Module {which + 1} is to have an accuracy of {targets[which]:.2f}, "
        f"out of reach: the {end} R, {trade_offs[which]:g}, gave "
        f"{accuracies[which]:.2f}. {advice}. In a run, `train_rdm` does it, "
        "and `distill --task_options=modules=FILE` takes its modules."
    )


def _percent(correct):
    return 100 * float(np.mean(ops.convert_to_numpy(correct)))


def _floats(values):
    return tuple(float(f"{value:.6g}") for value in values)
