"""Layers that draw random numbers, and go on where they were when read."""

from typing import Any

import keras


class SeededLayer(keras.layers.Layer):
    """Base of the layers whose state is that of their random numbers.

    Keras saves no seeds: without this a resumed training would draw others
    than an undisturbed one.

    Args:
        seed: int or None, for a random one. Defaults to None.
        **kwargs: see `keras.layers.Layer`.

    Attributes:
        seed_generator: `keras.random.SeedGenerator`.
        seed_key: string, under which the state is kept in files.
    """

    seed_key = "seed"

    def __init__(self, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def save_own_variables(self, store: Any) -> None:
        store[self.seed_key] = self.seed_generator.state

    def load_own_variables(self, store: Any) -> None:
        self.seed_generator.state.assign(store[self.seed_key])

    def get_config(self) -> dict:
        return {**super().get_config(), "seed": self.seed}
