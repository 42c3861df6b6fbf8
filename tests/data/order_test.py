import numpy as np
import pytest
import tensorflow as tf

from indistill_tf import data
from indistill_tf.errors import UserError


def test_epochs_have_seeds_of_their_own():
    order = data.Order(4, seed=3, first_epoch=2, epochs=3)
    epochs = [int(epoch) for epoch in order.each_epoch()]
    assert epochs == [2, 3, 4]
    seeds = {tuple(order.epoch_seed(epoch).numpy()) for epoch in epochs}
    assert len(seeds) == 3


def test_a_share_is_given_in_parts():
    order = data.Order(8, 0, drop_remainder=True, workers=2, parts=2)
    batches = list(order.batched(tf.data.Dataset.range(9), size=19))
    # Of 19 images 16 are in whole batches, half of them this worker's.
    assert [len(batch) for batch in batches] == [2, 2, 2, 2]


def test_shuffled_batches_say_how_to_augment():
    batches = list(data.Order(4, 1, epochs=2).shuffled_batches(10))
    positions = np.concatenate([positions for _, positions in batches[:3]])
    np.testing.assert_array_equal(np.sort(positions), np.arange(10))
    assert len({tuple(seed.numpy()) for seed, _ in batches}) == 6


@pytest.mark.parametrize(
    "options, message",
    [
        ({"batch_size": 0}, "`batch_size=0`"),
        ({"batch_size": 2, "worker": 2, "workers": 2}, "`worker=2`, `workers"),
    ],
)
def test_numbers_out_of_range(options, message):
    with pytest.raises(UserError, match=message):
        data.Order(seed=0, **options)


def test_workers_share_out_whole_batches():
    whole = tf.data.Dataset.from_tensors((np.arange(8), np.arange(16)))
    whole = whole.map(lambda x, y: (x, tf.reshape(y, (8, 2))))

    def given(**share):
        order = data.Order(8, 0, drop_remainder=True, **share)
        return [x.numpy().tolist() for x, _ in order.shares(whole)]

    assert given() == [[0, 1, 2, 3, 4, 5, 6, 7]]
    assert given(workers=2) == [[0, 1, 2, 3]]
    assert given(workers=2, worker=1) == [[4, 5, 6, 7]]
    assert given(workers=2, worker=1, parts=2) == [[4, 5], [6, 7]]
