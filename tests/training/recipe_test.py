import pytest

from indistill_tf.errors import UserError
from indistill_tf.training import Recipe


def test_papers_rates():
    recipe = Recipe()
    rates = [recipe.rate(epoch) for epoch in range(recipe.epochs)]
    assert rates[:60] == [1e-3] * 60
    assert rates[60:] == pytest.approx([1e-4] * 10)


def test_several_drops():
    recipe = Recipe(epochs=9, drop_epochs=(3, 6), learning_rate=1.0)
    rates = [recipe.rate(epoch) for epoch in (2, 3, 5, 6, 8)]
    assert rates == pytest.approx([1, 0.1, 0.1, 0.01, 0.01])


def test_scaled():
    assert Recipe().scaled(None) == Recipe()
    assert Recipe().scaled(7) == Recipe(epochs=7, drop_epochs=(6,))


@pytest.mark.parametrize("name", ["epochs", "learning_rate", "batch_size"])
def test_bad_numbers(name):
    with pytest.raises(UserError, match=f"`{name}` must be above 0"):
        Recipe(**{name: 0})
