"""The format of sweep files."""

import pathlib

import pytest

from indistill_tf.errors import UserError
from indistill_tf_tools import recipes
from indistill_tf_tools import sweep_file
from indistill_tf_tools.sweep_file import Row

FOLDER = pathlib.Path("runs/s")


@pytest.fixture
def read(tmp_path):
    def read(text, common=()):
        path = tmp_path / "mine.sweep"
        path.write_text(text)
        return sweep_file.read(path, FOLDER, common)

    return read


def test_rows_with_shared_flags(read):
    rows = read("# A comment.\n--epochs=3  # all\n\nokd: --method=okd\n")
    assert rows == [Row("okd", "distill", ("--epochs=3", "--method=okd"))]
    assert rows[0].command_line(FOLDER) == [
        *("distill", "--epochs=3", "--method=okd", "--work_dir=runs/s/okd")
    ]


def test_products(read):
    rows = read("{m=okd,pkt}_seed{seed=0,2}: --method={m} --seed={seed}\n")
    assert [(row.name, *row.arguments) for row in rows] == [
        ("okd_seed0", "--method=okd", "--seed=0"),
        ("okd_seed2", "--method=okd", "--seed=2"),
        ("pkt_seed0", "--method=pkt", "--seed=0"),
        ("pkt_seed2", "--method=pkt", "--seed=2"),
    ]


def test_sub_commands_and_flags_of_their_own(read):
    text = (
        "--epochs=3\ndistill --student=cnn_s\n"
        "alone: train --model=cnn_s\nlabels/okd: --method=okd\n"
    )
    alone, okd = read(text, ["--data_dir=D", "train --flip"])
    assert alone == Row(
        "alone",
        "train",
        ("--epochs=3", "--model=cnn_s", "--data_dir=D", "--flip"),
    )
    shared = ("--epochs=3", "--student=cnn_s")
    own = ("--method=okd", "--data_dir=D")
    assert okd == Row("labels/okd", "distill", (*shared, *own))


def test_rows_that_need_others(read):
    teacher, other, student = read(
        "distill --teacher={folder}/teacher/model.keras\n"
        "teacher: train --model=cnn_a\n"
        # Of a flag that is there twice the later one counts.
        "other: --teacher=cnn_a --teacher_cache={folder}/targets\n"
        "student: --method=okd\n"
    )
    assert teacher.needs == other.needs == ()
    assert other.arguments[-1] == "--teacher_cache=runs/s/targets"
    assert student.needs == ("teacher",)
    assert student.arguments[0] == "--teacher=runs/s/teacher/model.keras"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("okd: --a\n\nokd: --b\n", "line 3: expected `name: flags`, each name"),
        ("okd --a\n", "line 1: expected `name: flags`"),
        ("1st: --a\n", "line 1: expected `name: flags`"),
        ("okd: evaluate --a\n", "Received: 'okd: evaluate --a'"),
        ("okd_{s=0,1}: --a\n", "line 1: {s} in the flags is a value of {s="),
        ("okd: --seed={s}\n", "line 1: {s} in the flags is a value of {s="),
        (
            "a: --teacher={folder}/b/model.keras\nb: --x\n",
            "Run 'a' needs 'b', which does not stand above it. Move it there.",
        ),
    ],
)
def test_lines_that_are_refused(read, text, message):
    with pytest.raises(UserError) as caught:
        read(text)
    assert message in str(caught.value)


def test_common_flags_that_are_refused(read):
    with pytest.raises(UserError, match="--common takes flags"):
        read("okd: --a\n", ["evaluate --b"])


def test_tables_of_cifar10():
    path = recipes.FOLDER / "cifar10_tables.sweep"
    rows = {row.name: row for row in sweep_file.read(path, FOLDER)}
    assert len(rows) == 106
    ablation = ("pkt", "pkt_h_cr", "indistill", "indistill_simultaneous")
    for method in (*ablation, "curriculum_unpruned"):
        names = {name for name in rows if name.startswith(f"{method}_seed")}
        assert names == {f"{method}_seed{seed}" for seed in range(5)}
    # The flags of flags/cifar10_pkt_released.flags, which records have.
    assert set(recipes.expanded(rows["pkt_seed1"].arguments)) == {
        *recipes.expanded(["--flagfile=cifar10_pkt_released.flags"]),
        "--seed=1",
    }
    assert set(recipes.expanded(rows["indistill_seed1"].arguments)) == {
        *recipes.expanded(["--flagfile=cifar10_indistill_released.flags"]),
        "--seed=1",
    }


def test_chain_of_fashion_mnist():
    path = recipes.FOLDER / "fashion_mnist_tables.sweep"
    rows = {row.name: row for row in sweep_file.read(path, FOLDER)}
    assert rows["auxiliary"].needs == ("teacher",)
    assert rows["classification/okd_seed2"].needs == ("auxiliary",)
    assert rows["baseline_seed0"].needs == ()
