"""The examples in docstrings are true."""

import doctest
import importlib
import pathlib

import pytest

import indistill_tf

ROOT = pathlib.Path(indistill_tf.__file__).parent


def modules():
    for path in sorted(ROOT.rglob("*.py")):
        if ">>> " in path.read_text():
            parts = path.relative_to(ROOT.parent).with_suffix("").parts
            yield ".".join(parts).removesuffix(".__init__")


@pytest.mark.parametrize("name", modules())
def test_examples(name):
    results = doctest.testmod(importlib.import_module(name))
    assert results.attempted > 0
    assert results.failed == 0
