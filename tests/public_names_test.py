"""Every name in an `__all__` exists, and says what it is."""

import dataclasses
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


def without_hints(function):
    """Returns the parameters of a function that have no type."""
    return [
        parameter.name
        for parameter in inspect.signature(function).parameters.values()
        if parameter.annotation is parameter.empty
        and parameter.name not in ("self", "cls", "args", "kwargs")
        and parameter.kind is not parameter.VAR_KEYWORD
    ]


@pytest.mark.parametrize("package", packages())
def test_public_functions_have_hints(package):
    module = importlib.import_module(package)
    for name in getattr(module, "__all__", []):
        value = getattr(module, name)
        if inspect.isclass(value) and not dataclasses.is_dataclass(value):
            value = vars(value).get("__init__")
        if inspect.isfunction(value):
            assert without_hints(value) == [], name
