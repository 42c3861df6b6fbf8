"""What the pages' generator does not know of our docstrings and fields."""

import re

import griffe

# A title at the docstring's margin, and the indented lines below.
_CALL_ARGUMENTS = re.compile(r"(?<=^Call arguments:\n)((?: {4,}.*\n?)+)", re.M)
_ARGUMENT = re.compile(r"^ {4}(\*{0,2}\w+):", re.M)
_SESSION = re.compile(r"^>>> .*(?:\n(?!\n).+)*", re.M)


class KerasSections(griffe.Extension):
    """Lists call arguments, fences what is typed behind `>>>`, reads fields."""

    def on_object(self, *, obj, **kwargs):
        """Rewrites the docstring of what was just read."""
        if obj.docstring is None or obj.is_alias:
            return
        text = _CALL_ARGUMENTS.sub(_listed, obj.docstring.value)
        obj.docstring.value = _SESSION.sub(_fenced, text)

    def on_attribute_instance(self, *, attr, **kwargs):
        """Shows of a field that is an option its default alone."""
        call = attr.value
        if isinstance(call, griffe.ExprCall) and str(call.function) == "option":
            attr.value = call.arguments[0]


def _listed(match):
    return _ARGUMENT.sub(r"    - `\1`:", match[0])


def _fenced(match):
    return f"```pycon\n{match[0]}\n```"
