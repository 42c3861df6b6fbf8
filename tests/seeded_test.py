import keras
import numpy as np

from indistill_tf.seeded import SeededLayer


class Draws(SeededLayer):
    """Adds a number that is drawn in each call."""

    def call(self, inputs):
        return inputs + keras.random.uniform((), seed=self.seed_generator)


def test_a_saved_layer_goes_on_where_it_was(tmp_path):
    inputs = keras.Input((1,))
    model = keras.Model(inputs, Draws(seed=0)(inputs))
    zeros = np.zeros((1, 1))
    first = [float(model(zeros)[0, 0]) for _ in range(3)]
    model.save_weights(tmp_path / "draws.weights.h5")
    expected = [float(model(zeros)[0, 0]) for _ in range(3)]
    again = keras.Model(inputs, Draws(seed=7)(inputs))
    again.load_weights(tmp_path / "draws.weights.h5")
    assert [float(again(zeros)[0, 0]) for _ in range(3)] == expected
    assert len({*first, *expected}) == 6


def test_the_seed_is_part_of_its_description():
    assert Draws.from_config(Draws(seed=3).get_config()).seed == 3
