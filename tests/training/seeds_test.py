"""Seeds of methods: the paired test."""

import pytest

from indistill_tf.training import seeds


@pytest.mark.parametrize(
    # Of tables of Student's distribution, two-sided.
    ("freedom", "t", "p"),
    [
        (1, 12.7062, 0.05),
        (2, 4.30265, 0.05),
        (3, 3.18245, 0.05),
        (4, 2.77645, 0.05),
        (4, 4.60409, 0.01),
        (5, 2.57058, 0.05),
        (9, 3.24984, 0.01),
        (10, 2.22814, 0.05),
    ],
)
def test_paired_t_test(freedom, t, p):
    count = freedom + 1
    # Deviations of +-1 around a mean that gives this t.
    spread = [(-1) ** i for i in range(count - count % 2)] + [0] * (count % 2)
    deviation = ((count - count % 2) / freedom) ** 0.5
    mean = t * deviation / count**0.5
    first = [10 + mean + each for each in spread]
    found = seeds.paired_t_test(first, [10] * count)
    assert found == pytest.approx(p, rel=1e-4)
    other_way = seeds.paired_t_test([10] * count, first)
    assert other_way == pytest.approx(found)


def test_differences_without_a_spread():
    assert seeds.paired_t_test([1, 2], [1, 2]) == 1
    assert seeds.paired_t_test([2, 3], [1, 2]) == 0
