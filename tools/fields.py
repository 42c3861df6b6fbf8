"""Flags made of the options of dataclasses, and dataclasses of flags.

A field that is declared with `indistill_tf.options.option` is a flag of its
name, default and help. Fields are read from the class's source: importing it
imports TensorFlow, and `--help` is to answer at once.
"""

import ast
import dataclasses
import importlib.util
import inspect
import pathlib

from absl import flags

# Flags defined by the functions below belong to the tool that calls them.
flags.disclaim_key_flags()
FLAGS = flags.FLAGS

# Flags that `--helpfull` alone explains.
RARE = set()


def define(module, owner, only=None):
    """Defines the flags of a dataclass's options.

    Args:
        module: string, the module that holds it, such as `training.recipe`.
        owner: string, the name of the dataclass.
        only: strings, the fields to define. Defaults to None: all options.
    """
    for name, kind, default, option in _options(module, owner):
        if only is None or name in only:
            _define(option.get("flag") or name, kind, default, option)


def chosen(owner, **more):
    """Returns a dataclass with the values that its flags have.

    Args:
        owner: the dataclass. Fields that are no flags of this tool keep their
            defaults.
        **more: values of further fields.
    """
    values = {}
    for field in dataclasses.fields(owner):
        name = field.metadata.get("flag") or field.name
        if "help" in field.metadata and name in FLAGS:
            kind = inspect.formatannotation(field.type)
            values[field.name] = _value(name, kind)
    return owner(**{**values, **more})


def _options(module, owner):
    """Yields the options of a class: name, type, default and the rest."""
    package = importlib.util.find_spec("indistill_tf").origin
    path = pathlib.Path(package).parent / f"{module.replace('.', '/')}.py"
    for statement in _body(ast.parse(path.read_text()), owner):
        call = getattr(statement, "value", None)
        if not isinstance(call, ast.Call) or ast.unparse(call.func) != "option":
            continue
        default, *help_text = map(_literal, call.args)
        option = {word.arg: _literal(word.value) for word in call.keywords}
        option.setdefault("help", *help_text)
        kind = ast.unparse(statement.annotation)
        yield statement.target.id, kind, default, option


def _body(tree, owner):
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and node.name == owner:
            return [x for x in node.body if isinstance(x, ast.AnnAssign)]
    raise LookupError(f"There is no class {owner}.")


def _literal(node):
    # Also 1 / 6, which `ast.literal_eval` refuses.
    return eval(ast.unparse(node), {"__builtins__": {}})


def _define(name, kind, default, option):
    help_text = option["help"]
    bounds = option.get("at_least"), option.get("at_most")
    if option.get("rare"):
        RARE.add(name)
    if option.get("choices"):
        flags.DEFINE_enum(name, default, option["choices"], help_text)
    elif kind.startswith("tuple"):
        text = ",".join(f"{number:g}" for number in default)
        flags.DEFINE_list(name, text, help_text)
    elif kind == "bool":
        flags.DEFINE_bool(name, default, help_text)
    elif kind.startswith("int"):
        flags.DEFINE_integer(name, default, help_text, *bounds)
    elif kind.startswith("float"):
        flags.DEFINE_float(name, default, help_text, *bounds)
    else:
        flags.DEFINE_string(name, default, help_text)


def _value(name, kind):
    if kind.startswith("tuple"):
        return numbers(name, int if "int" in kind else float)
    return FLAGS[name].value


def numbers(name, kind=float):
    """Returns the numbers of a list flag, a tuple.

    Args:
        name: the flag's name.
        kind: `int` or `float`. Defaults to `float`.

    Raises:
        UserError: if there is something else in the list.
    """
    from indistill_tf.errors import UserError

    expected = "numbers, such as 2,4,8"
    if kind is int:
        expected = "whole numbers, such as 10,100"
    texts = FLAGS[name].value
    try:
        return tuple(kind(text) for text in texts)
    except ValueError:
        raise UserError(
            f"--{name} takes {expected}. Received: {','.join(texts)}"
        ) from None
