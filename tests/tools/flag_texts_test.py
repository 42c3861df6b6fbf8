import sys

import pytest
from absl import flags

from indistill_tf_tools import flag_texts


@pytest.fixture
def tool(monkeypatch):
    """A tool of a few flags that runs."""
    values = flags.FlagValues()
    for define, name, default in (
        (flags.DEFINE_float, "momentum", 0.9),
        (flags.DEFINE_float, "w0", None),
        (flags.DEFINE_bool, "nesterov", False),
        (flags.DEFINE_string, "optimizer", "adam"),
        (flags.DEFINE_list, "taps", "auto"),
        (flags.DEFINE_list, "task_options", ""),
    ):
        define(name, default, "", flag_values=values)
        values.register_flag_by_module("tool", values[name])
    monkeypatch.setattr(flag_texts, "FLAGS", values)
    monkeypatch.setattr(sys, "argv", ["tool"])
    return values


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("`momentum` is above 1", "--momentum is above 1"),
        ("Leave it at `momentum=0.9`.", "Leave it at --momentum=0.9."),
        ("`taps='auto'`, not `taps=\"x\"`", "--taps=auto, not --taps=x"),
        ("`nesterov=True` or `nesterov=False`", "--nesterov or --nonesterov"),
        # Named otherwise.
        ("Choose `optimizer_name='sgd'`.", "Choose --optimizer=sgd."),
        ("`initial` and `tap_weight`", "--w0 and --w0"),
        # What no flag is, or no flag's value.
        ("`temperature=2` and `taps.choose()`",) * 2,
        ("Give `taps=[('a', 'b')]`, `taps=()` or `w0=None`.",) * 2,
        ("expected `name: flags`, Received: momentum=0",) * 2,
    ],
)
def test_arguments_become_flags(tool, message, expected):
    assert flag_texts.translated(message) == expected


def test_options_keep_their_names(tool):
    tool(["tool", "--task_options=momentum=2,decay=3"])
    message = "`momentum` must be below 1: `momentum=2`, `decay`."
    assert flag_texts.translated(message) == message


def test_lines(tool):
    tool(["tool", "--momentum=0.5", "--nesterov"])
    found = flag_texts.lines(flag_texts.of_tool())
    assert found.splitlines() == [
        "--momentum=0.5",
        "--nesterov",
        "--optimizer=adam",
        "--taps=auto",
        "--task_options=",
    ]


def test_rare_flags_are_named_at_the_end(tool):
    page = flag_texts.page("A tool.", rare={"nesterov", "momentum"})
    assert "--momentum=0.9" not in page and "--optimizer=adam" in page
    assert page.endswith("  --helpfull explains --momentum --nesterov too.")
    assert "--momentum=0.9" in flag_texts.page("A tool.")
