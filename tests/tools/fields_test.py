"""Flags made of the options of dataclasses."""

import dataclasses
import inspect

import pytest
from absl import flags

from indistill_tf import training
from indistill_tf.errors import UserError
from indistill_tf_tools import fields

OWNERS = {
    "training.recipe": training.Recipe,
    "training.run": training.Run,
    "training.chain": training.Chain,
    "training.distillation": training.Distillation,
    "training.modules": training.ModulesRecipe,
    "training.clip.recipe": training.PairRecipe,
    "training.clip.chain": training.PairChain,
    "training.clip.distillation": training.PairDistillation,
}


@pytest.fixture
def parsed(monkeypatch):
    """Defines the options of a class and parses a command line."""

    def parsed(module, *arguments, only=None):
        values = flags.FlagValues()
        monkeypatch.setattr(fields, "FLAGS", values)
        for kind in ("bool", "enum", "float", "integer", "list", "string"):
            define = getattr(flags, f"DEFINE_{kind}")
            monkeypatch.setattr(
                flags,
                f"DEFINE_{kind}",
                lambda *given, define=define: define(
                    *given, flag_values=values
                ),
            )
        fields.define(module, OWNERS[module].__name__, only)
        values(["tool", *arguments])
        return values

    return parsed


@pytest.mark.parametrize("module", OWNERS)
def test_the_source_says_what_the_class_does(module):
    found = {
        name: (kind, default, option["help"])
        for name, kind, default, option in fields._options(
            module, OWNERS[module].__name__
        )
    }
    expected = {
        field.name: (
            inspect.formatannotation(field.type),
            field.default,
            field.metadata["help"],
        )
        for field in dataclasses.fields(OWNERS[module])
        if "help" in field.metadata
    }
    assert expected
    assert found == expected


def test_a_value_of_flags(parsed):
    values = parsed(
        "training.recipe",
        "--epochs=9",
        "--drop_epochs=3,6",
        "--noflip",
        "--optimizer=sgd",
        "--weight_decay=0.1",
    )
    assert values["optimizer"].help == "<adam|sgd>: of all hops"
    recipe = fields.chosen(training.Recipe, restart_optimizer="epoch")
    assert recipe == training.Recipe(
        epochs=9,
        drop_epochs=(3, 6),
        flip=False,
        optimizer_name="sgd",
        weight_decay=0.1,
        restart_optimizer="epoch",
    )


def test_defaults_are_the_classes(parsed):
    parsed("training.modules")
    assert fields.chosen(training.ModulesRecipe) == training.ModulesRecipe()


def test_bounds(parsed):
    with pytest.raises(
        flags.IllegalFlagValueError, match="not an integer in the range"
    ):
        parsed("training.run", "--seed=-1", only=("seed",))


def test_rare_flags_are_named_and_explained_on_demand(parsed):
    parsed("training.recipe")
    assert "momentum" in fields.RARE and "epochs" not in fields.RARE


def test_no_number(parsed):
    parsed("training.recipe", "--drop_epochs=3,x")
    with pytest.raises(UserError, match="--drop_epochs takes whole numbers"):
        fields.chosen(training.Recipe)
