"""Every name in an `__all__` exists, and says what it is."""

import importlib
import inspect
import pkgutil

import pytest

import indistill_tf


def packages():
    yield indistill_tf.__name__
    prefix = f"{indistill_tf.__name__}."
    for module in pkgutil.walk_packages(indistill_tf.__path__, prefix):
        if module.ispkg:
            yield module.name


@pytest.mark.parametrize("package", packages())
def test_public_names(package):
    module = importlib.import_module(package)
    assert module.__doc__
    names = getattr(module, "__all__", [])
    assert sorted(set(names)) == sorted(names)
    for name in names:
        value = getattr(module, name)
        if inspect.ismodule(value) or callable(value):
            assert value.__doc__, name


@pytest.mark.parametrize("room", indistill_tf.__all__)
def test_a_star_imports_them(room):
    if inspect.ismodule(getattr(indistill_tf, room)):
        exec(f"from indistill_tf.{room} import *", {})
