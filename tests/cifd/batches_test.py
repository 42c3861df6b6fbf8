import numpy as np

from indistill_tf.cifd.batches import EmbeddingBatches


def orders(seed, epochs=2):
    rows = np.arange(10)
    batches = EmbeddingBatches({"embedding": rows[:, None]}, rows, 4, seed)
    seen = []
    for _ in range(epochs):
        parts = [batches[index] for index in range(len(batches))]
        for inputs, labels in parts:
            np.testing.assert_array_equal(inputs["embedding"][:, 0], labels)
        seen.append(np.concatenate([labels for _, labels in parts]))
        batches.on_epoch_end()
    return seen


def test_every_sample_once_an_epoch():
    for order in orders(0):
        np.testing.assert_array_equal(np.sort(order), np.arange(10))


def test_the_order_is_a_function_of_seed_and_epoch():
    first, again, other = orders(0), orders(0), orders(1)
    np.testing.assert_array_equal(first, again)
    assert (first[0] != first[1]).any()
    assert (first[0] != other[0]).any()
