"""Batches of a teacher's cached embeddings, in an order of their own."""

import keras
import numpy as np

from indistill_tf.hints import Tensor


class EmbeddingBatches(keras.utils.PyDataset):
    """Shuffled batches of arrays; the order is a function of (seed, epoch).

    Give it to `fit` with `shuffle=False`, or Keras shuffles the batches again.

    Args:
        inputs: dict of arrays `[N, ...]`, such as `"embedding"` and
            `"logits"`.
        labels: ints `[N]`.
        batch_size: int. The last batch of an epoch may be smaller.
        seed: int.
    """

    def __init__(
        self,
        inputs: dict[str, Tensor],
        labels: Tensor,
        batch_size: int,
        seed: int,
    ) -> None:
        super().__init__()
        self._inputs = {name: np.asarray(x) for name, x in inputs.items()}
        self._labels = np.asarray(labels)
        self._batch_size = batch_size
        self._seed = seed
        self._epoch = 0
        self._reorder()

    def _reorder(self):
        generator = np.random.default_rng((self._seed, self._epoch))
        self._order = generator.permutation(len(self._labels))

    def __len__(self) -> int:
        return -(-len(self._labels) // self._batch_size)

    def __getitem__(
        self, index: int
    ) -> tuple[dict[str, np.ndarray], np.ndarray]:
        start = index * self._batch_size
        rows = self._order[start : start + self._batch_size]
        inputs = {name: array[rows] for name, array in self._inputs.items()}
        return inputs, self._labels[rows]

    def on_epoch_end(self) -> None:
        """Draws the next epoch's order."""
        self._epoch += 1
        self._reorder()
