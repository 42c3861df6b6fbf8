"""Tables on a page are what the commands above them print."""

import pathlib
import re
import shlex

import pytest

ROOT = pathlib.Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "tables.md").read_text()
BLOCK = r"```sh\npython tools/report\.py ([^`]*)\n```\n\n(.*?)(?=\n\n#|\n*\Z)"

SHOWN = re.findall(BLOCK, TEXT, re.DOTALL)


def test_no_command_is_passed_over():
    assert len(SHOWN) == TEXT.count("python tools/report.py") > 0


@pytest.mark.parametrize(("command", "shown"), SHOWN)
def test_page_shows_what_is_printed(tool, command, shown):
    arguments = shlex.split(command.replace("\\\n", ""))
    assert shown == tool("report", *arguments).stdout.strip()
