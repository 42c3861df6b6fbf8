"""Which room may use which."""

import ast
import pathlib
import re
import subprocess
import sys

import pytest

PACKAGE = pathlib.Path(__file__).parents[1] / "indistill_tf"
GROUND = {
    *("checksums", "contents", "distribution", "errors", "files", "finite"),
    *("finite_training", "hints", "machine", "options", "seeded", "tables"),
    "unit_length",
}
MAY_USE = {
    "graph": set(),
    "losses": {"graph"},
    "models": {"graph"},
    "data": set(),
    "cifd": {"graph", "losses"},
    "distillation": {"graph", "losses", "cifd"},
    "deploy": {"graph"},
    "evaluation": {"graph", "losses", "data", "deploy"},
    "training": {
        *("graph", "losses", "models", "data", "cifd"),
        *("distillation", "evaluation", "deploy"),
    },
}
WITHOUT_TENSORFLOW = ("graph", "losses", "models")


def imports(room):
    """Yields the modules that a room's files import, anywhere in them."""
    for path in sorted((PACKAGE / room).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom):
                names = [f"{node.module}.{alias.name}" for alias in node.names]
            elif isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            else:
                continue
            yield from ((path.name, name) for name in names)


def test_every_room_is_known():
    rooms = {path.name for path in PACKAGE.iterdir() if path.is_dir()}
    assert rooms - {"__pycache__"} == set(MAY_USE)
    files = {path.stem for path in PACKAGE.glob("*.py")}
    assert files - {"__init__"} == GROUND


@pytest.mark.parametrize("room", MAY_USE)
def test_rooms_use_what_they_may(room):
    allowed = MAY_USE[room] | GROUND | {room}
    used = {
        (file, match[1])
        for file, name in imports(room)
        if (match := re.match(r"indistill_tf\.(\w+)", name))
    }
    assert used
    assert {(file, name) for file, name in used if name not in allowed} == set()
    assert not any("indistill_tf_tools" in name for _, name in imports(room))


@pytest.mark.parametrize("room", WITHOUT_TENSORFLOW)
def test_rooms_without_tensorflow(room):
    assert not [name for _, name in imports(room) if "tensorflow" in name]


def test_the_ground_uses_no_room():
    for name in GROUND:
        text = (PACKAGE / f"{name}.py").read_text()
        assert not re.findall(rf"indistill_tf\.({'|'.join(MAY_USE)})", text)


def test_public_modules_have_public_names():
    lines = [
        "from indistill_tf.schedules import Curriculum",
        "from indistill_tf.auxiliary import widen",
        "import indistill_tf.pruning, indistill_tf.taps, indistill_tf.methods",
        "import indistill_tf.endpoints",
        "print(Curriculum(2, 1).weights(0, 3), widen.__name__)",
    ]
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(lines)], capture_output=True, text=True
    )
    assert done.stdout == "[1.0, 0.0, 0.0, 0.0] widen\n"
