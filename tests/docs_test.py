"""The pages: their Python runs as it stands, their links and paths exist."""

import contextlib
import io
import pathlib
import re
import shlex

import keras
import numpy as np
import pytest
import tensorflow as tf

ROOT = pathlib.Path(__file__).parents[1]
PAGES = sorted(
    [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")],
    key=lambda page: page.relative_to(ROOT),
)
# Names that stand for any file.
PLACEHOLDERS = {"indistill_tf/x/y.py", "tests/x/y_test.py"}

each_page = pytest.mark.parametrize(
    "page", PAGES, ids=lambda page: str(page.relative_to(ROOT))
)


def blocks(page, *languages):
    """Returns a page's code: language, a file's name or "", and text."""
    block = re.compile(
        r'^```(\w+)(?: title="(.+)")?\n(.*?)^```', re.DOTALL | re.MULTILINE
    )
    found = block.findall(page.read_text())
    return [block for block in found if block[0] in languages]


@pytest.mark.parametrize(
    ("guide", "language"),
    [
        ("your_model", "python"),
        pytest.param("photographs", "python|sh", marks=pytest.mark.long),
        pytest.param("compare", "python", marks=pytest.mark.long),
        pytest.param("compare", "sh", marks=pytest.mark.slow),
        ("add_a_method", "python"),
    ],
)
def test_guide_runs_and_prints_what_it_says(
    guide, language, tmp_path, monkeypatch, console
):
    monkeypatch.chdir(tmp_path)
    # Keras counts layers from here on, as in a process of their own.
    keras.utils.clear_session()
    names, printed = {}, ""
    page = ROOT / "docs" / "guides" / f"{guide}.md"
    for kind, file, text in blocks(page, "text", *language.split("|")):
        if file:
            pathlib.Path(file).write_text(text)
        elif kind == "sh":
            run_commands(text, console)
        elif kind == "python":
            with contextlib.redirect_stdout(io.StringIO()) as output:
                exec(text, names)
            printed = output.getvalue()
        elif printed:
            assert printed.endswith(text)
            printed = ""


def run_commands(text, console):
    """Runs commands in the current folder."""
    for line in text.replace("\\\n", " ").splitlines():
        command, *arguments = shlex.split(line)
        assert command == "indistill_tf"
        process = console(*arguments, folder=pathlib.Path.cwd())
        assert not process.returncode, process.stderr


def test_example_of_modules(build, batch, tmp_path, monkeypatch):
    ((_, _, code),) = blocks(ROOT / "docs" / "cifd.md", "python")
    few = '"embedded", train_split="train[:200]", test_split="test[:10]"'
    code = code.replace('"embedded"', few).replace("0.6)", "0.6), epochs=1")
    monkeypatch.chdir(tmp_path)
    names = {"teacher": build("cnn_a"), "student": build("cnn_s")}
    exec(code, names)
    names["distiller"].compile("adam")
    logs = names["distiller"].train_on_batch(*batch, return_dict=True)
    assert logs["loss/task"] > 0
    assert len(names["record"]["trade_offs"]) == 3
    assert (tmp_path / "runs" / "rdm" / "modules.keras").exists()


def test_example_of_compression(build, batch):
    ((_, _, code),) = blocks(ROOT / "docs" / "compression.md", "python")
    code = code.replace("epochs=8", "epochs=1, shuffle=False, verbose=0")
    names = {"teacher": build("cnn_a"), "student": build("cnn_s")}
    names["train"] = tf.data.Dataset.from_tensor_slices(batch).batch(32)
    exec(code, names)
    kernel = names["small"].get_layer("fc1").kernel.numpy()
    assert np.mean(kernel == 0) == 0.5


@each_page
def test_links_resolve(page):
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.S | re.M)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"https?://", target):
            continue
        path, _, anchor = target.partition("#")
        linked = page.parent / path if path else page
        assert linked.is_file(), target
        if anchor:
            assert anchor in headings(linked), target


def headings(page):
    titles = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    words = [re.sub(r"[^\w\s-]", "", title.lower()) for title in titles]
    return {re.sub(r"\s+", "-", title.strip()) for title in words}


@each_page
def test_files_that_are_named_exist(page):
    rooms = "indistill_tf|tools|tests|flags|docs"
    named = re.findall(
        rf"(?<![\w/.-])((?:{rooms})/[\w./*?-]*[\w/*?])", page.read_text()
    )
    missing = {
        path
        for path in {*named} - PLACEHOLDERS
        if not any(ROOT.glob(path.rstrip("/")))
    }
    assert not missing


@each_page
def test_tools_that_are_named_exist(page):
    commands = re.findall(r"\bindistill_tf ([a-z_]+) ", page.read_text())
    tools = {path.stem for path in (ROOT / "tools").glob("*.py")}
    prose = {"itself", "is", "has", "and"}
    assert {*commands} - prose <= tools
