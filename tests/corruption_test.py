"""Nothing that has changed is taken for what it was."""

import pytest

from . import corruption


@pytest.mark.slow
def test_no_damage_is_silent():
    for kind, found in corruption.counts(count=30, seed=0).items():
        assert found["silent"] == found["traceback"] == 0, (kind, found)
        assert found["clear"] > 0, (kind, found)
