import keras
import numpy as np
import pytest

from indistill_tf.errors import UserError
from indistill_tf.training import Recipe
from indistill_tf.training import ReferenceSGD


def test_papers_rates():
    recipe = Recipe()
    rates = [recipe.rate(epoch) for epoch in range(recipe.epochs)]
    assert rates[:60] == [1e-3] * 60
    assert rates[60:] == pytest.approx([1e-4] * 10)


def test_several_drops():
    recipe = Recipe(epochs=9, drop_epochs=(3, 6), learning_rate=1.0)
    rates = [recipe.rate(epoch) for epoch in (2, 3, 5, 6, 8)]
    assert rates == pytest.approx([1, 0.1, 0.1, 0.01, 0.01])


def test_ramp():
    recipe = Recipe(epochs=6, drop_epochs=(), learning_rate=8.0, ramp_epochs=2)
    # Up in two epochs, down in four, each at its middle.
    rates = [recipe.rate(epoch) for epoch in range(6)]
    assert rates == pytest.approx([2, 6, 7, 5, 3, 1])
    longer = recipe.scaled(12)
    assert (longer.ramp_epochs, longer.rate(4)) == (4, pytest.approx(7.5))


def test_falling_without_a_ramp():
    recipe = Recipe(epochs=2, drop_epochs=(), learning_rate=1.0, ramp_epochs=0)
    assert [recipe.rate(epoch) for epoch in (0, 1)] == [0.75, 0.25]


def test_ramp_errors():
    with pytest.raises(UserError, match="a ramp or drops"):
        Recipe(ramp_epochs=2)
    with pytest.raises(UserError, match="below `epochs`. Received: 3 of 3"):
        Recipe(epochs=3, drop_epochs=(), ramp_epochs=3)


def test_scaled():
    assert Recipe().scaled(None) == Recipe()
    assert Recipe().scaled(7) == Recipe(epochs=7, drop_epochs=(6,))


def test_label_smoothing():
    logits, labels = np.array([[2.0, 0.0]]), np.array([0])
    plain, smoothed = (
        Recipe(label_smoothing=part).supervised_loss()(labels, logits)
        for part in (0.0, 0.2)
    )
    # -log of the probabilities: 0.1269 and 2.1269, weighed 0.9 and 0.1.
    assert float(plain) == pytest.approx(0.126928)
    assert float(smoothed) == pytest.approx(0.326928)
    with pytest.raises(UserError, match="from 0 to below 1. Received: 1.0"):
        Recipe(label_smoothing=1.0)


@pytest.mark.parametrize(
    "max_steps, epochs, steps",
    [
        (None, 5, 8),
        # Less than an epoch: as many batches of the first one.
        (3, 1, 3),
        (8, 1, 8),
        # Whole epochs of 8 batches.
        (15, 1, 8),
        (17, 2, 8),
        (40, 5, 8),
        # More than the training has.
        (1000, 5, 8),
    ],
)
def test_extent(max_steps, epochs, steps):
    recipe = Recipe(epochs=5, drop_epochs=(), max_steps=max_steps)
    assert recipe.extent(8) == (epochs, steps)


def test_no_steps_at_all_are_refused():
    with pytest.raises(UserError, match="`max_steps` must be above 0"):
        Recipe(max_steps=0)


def test_default_is_adam_as_keras_makes_it():
    optimizer = Recipe().optimizer()
    expected = keras.optimizers.Adam(1e-3, name=optimizer.name)
    assert type(optimizer) is keras.optimizers.Adam
    assert optimizer.get_config() == expected.get_config()


def test_fields_reach_the_optimizer():
    optimizer = Recipe(
        optimizer_name="sgd",
        learning_rate=0.25,
        momentum=0.8,
        nesterov=True,
        weight_decay=0.1,
        gradient_accumulation=4,
    ).optimizer()
    assert type(optimizer) is ReferenceSGD
    assert float(optimizer.learning_rate) == 0.25
    assert optimizer.momentum == 0.8
    assert optimizer.nesterov
    assert optimizer.coupled_weight_decay == 0.1
    assert optimizer.gradient_accumulation_steps == 4


def test_adam_accumulates_too():
    optimizer = Recipe(gradient_accumulation=4).optimizer()
    assert optimizer.gradient_accumulation_steps == 4


def test_scaled_keeps_the_optimizer():
    recipe = Recipe(optimizer_name="sgd", weight_decay=0.1).scaled(7)
    assert recipe.optimizer().coupled_weight_decay == 0.1


@pytest.mark.parametrize(
    "fields, message",
    [
        ({"optimizer_name": "lion"}, "Unknown optimizer: 'lion'"),
        ({"weight_decay": 0.1}, "`weight_decay` belongs to .* 'sgd'"),
        ({"nesterov": True}, "`nesterov` belongs to .* 'sgd'"),
        ({"momentum": 0.8}, "`momentum` belongs to .* 'sgd'"),
        (
            {"optimizer_name": "sgd", "momentum": -1},
            "`momentum` must lie between 0 and 1",
        ),
        (
            {"optimizer_name": "sgd", "weight_decay": -1},
            "`weight_decay` must be 0 or more",
        ),
    ],
)
def test_bad_optimizers(fields, message):
    with pytest.raises(UserError, match=message):
        Recipe(**fields)


def test_accumulation_on_replicas_is_refused(mirrored):
    recipe = Recipe(batch_size=64, gradient_accumulation=4)
    message = "Received: 4 under MirroredStrategy; .* a batch_size of 256"
    with mirrored.scope(), pytest.raises(UserError, match=message):
        recipe.optimizer()


@pytest.mark.parametrize(
    "name", ["epochs", "learning_rate", "batch_size", "gradient_accumulation"]
)
def test_bad_numbers(name):
    with pytest.raises(UserError, match=f"`{name}` must be above 0"):
        Recipe(**{name: 0})


@pytest.mark.parametrize(
    "steps, batch_size, side, expected",
    [
        # CIFAR-10: 32 batches of 128 images hold 2**22 pixels.
        (352, 128, 32, 32),
        (391, 128, 32, 23),
        (390, 256, 32, 15),
        # A prime number has no other divisor.
        (157, 64, 32, 1),
        # Small images: 32 steps at most.
        (640, 16, 16, 32),
        # A batch of ImageNet exceeds the pixels by itself.
        (5004, 256, 224, 1),
    ],
)
def test_steps_per_execution(steps, batch_size, side, expected):
    recipe = Recipe(batch_size=batch_size)
    assert recipe.steps_per_execution(steps, (side, side, 3)) == expected


def test_a_rate_for_one_replica(mirrored):
    recipe = Recipe(learning_rate=0.1, scale_learning_rate=True)
    assert recipe.rate(0) == 0.1
    with mirrored.scope():
        assert recipe.rate(0) == 0.2
        assert recipe.rate(60) == pytest.approx(0.02)
        assert Recipe(learning_rate=0.1).rate(0) == 0.1
