import dataclasses

import pytest

from indistill_tf.deploy import FORMATS
from indistill_tf.deploy import tolerances
from indistill_tf.deploy.tolerances import Tolerance


def test_every_format_has_one():
    assert set(tolerances.TOLERANCES) == set(FORMATS)


def test_fewer_images_scatter_more():
    tolerance = Tolerance(0.9, 0.8, 0.02, 0.01)
    assert tolerance.of_images(5000) == tolerance
    found = dataclasses.astuple(tolerance.of_images(250))
    assert found == pytest.approx((0.8, 0.8, 0.04, 0.02))
