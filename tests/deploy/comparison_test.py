import numpy as np
import pytest

from indistill_tf.deploy.comparison import Comparison
from indistill_tf.deploy.comparison import classes
from indistill_tf.deploy.comparison import compare
from indistill_tf.errors import UserError


def answers(probabilities, embedding):
    return {
        "probabilities": np.array(probabilities),
        "embedding": np.array(embedding),
    }


def test_numbers():
    network = answers(
        [[0.9, 0.1], [0.52, 0.48], [0.2, 0.8], [0.7, 0.3]],
        [[1.0, 0], [1, 0], [0, 1], [0, 2]],
    )
    file = answers(
        [[0.8, 0.2], [0.48, 0.52], [0.3, 0.7], [0.4, 0.6]],
        [[1.0, 0], [0, 1], [0, 1], [0, 2]],
    )
    # The second is one that the network is not sure of.
    assert compare(network, file) == pytest.approx(
        Comparison(2 / 4, 2 / 3, 3 / 4, 1)
    )


def test_network_that_is_sure_of_nothing():
    network = answers([[0.52, 0.48]], [[1.0]])
    file = answers([[0.48, 0.52]], [[1.0]])
    found = compare(network, file)
    assert (found.agreement, found.agreement_where_sure) == (0, 1)


def test_one_probability_is_that_of_the_second_class():
    assert classes(np.array([[0.25], [0.75]])).tolist() == [0, 1]


def test_answers_that_are_not_finite():
    network = answers([[0.5, 0.5]], [[1.0, 0]])
    file = answers([[0.5, 0.5]], [[np.nan, 0]])
    with pytest.raises(UserError, match="1 of 2 numbers of its embedding"):
        compare(network, file)
