"""Which splits an official TFDS set has, without its data."""

import ast
import inspect
import textwrap

from indistill_tf.errors import UserError


def names(builder) -> list[str]:
    """Returns the names of the splits that preparing a set would write.

    TFDS says this of prepared sets alone, so the builder's source is read: the
    members of `tfds.Split`, the names given to `SplitGenerator`, and the keys
    of the dict that `_split_generators` returns.

    Args:
        builder: `tfds.core.DatasetBuilder`, prepared or not.

    Raises:
        UserError: if its source names none.
    """
    function = type(builder)._split_generators
    tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    known = inspect.unwrap(function).__globals__
    nodes = sorted(
        _nodes(tree), key=lambda node: (node.lineno, node.col_offset)
    )
    found = dict.fromkeys(filter(None, (_name(node, known) for node in nodes)))
    if not found:
        raise UserError(
            f"The splits of {builder.name!r} cannot be told without its data. "
            "Choose another set."
        )
    return list(found)


def _nodes(tree):
    """Yields what names a split in the source of a function."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and _is_split(node):
            yield node
        elif isinstance(node, ast.Call):
            if getattr(node.func, "attr", None) == "SplitGenerator":
                yield from node.args[:1]
                yield from (k.value for k in node.keywords if k.arg == "name")
        elif isinstance(node, ast.Return) and isinstance(node.value, ast.Dict):
            yield from filter(None, node.value.keys)


def _is_split(node):
    """Whether a node is `tfds.Split.X`, however TFDS is imported."""
    owner = node.value
    return "Split" in (getattr(owner, "attr", None), getattr(owner, "id", None))


def _name(node, known):
    if isinstance(node, ast.Attribute) and _is_split(node):
        return node.attr.lower()
    value = node.value if isinstance(node, ast.Constant) else None
    if isinstance(node, ast.Name):
        value = known.get(node.id)
    return str(value) if isinstance(value, str) else None
