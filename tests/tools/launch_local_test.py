"""Several workers of one command, on this machine."""

import csv
import json
import pathlib
import signal
import subprocess
import sys

import pytest

from indistill_tf import models
from indistill_tf.training import snapshots
from indistill_tf_tools import local_workers

ROOT = pathlib.Path(__file__).parents[2]
SMALL = [
    "--train_split=train[:256]",
    "--test_split=test[:33]",
    "--batch_size=64",
    "--drop_epochs=",
    "--worker_timeout=600",
]
CHAIN = [
    "--validation_split=train[256:289]",
    "--evaluate_every=1",
    "--teacher=resnet8",
    "--teacher_epochs=1",
    "--auxiliary=auto",
    "--auxiliary_epochs=1",
    "--student=cnn_s",
    "--a=1",
    "--b=0",
    "--epochs=4",
    "--supervised_weight=1",
    *SMALL,
]


def test_the_first_that_fails_is_the_status(capfd):
    workers = local_workers.LocalWorkers(["distill", "--epochs=many"], 2)
    assert workers.run() == 1
    lines = capfd.readouterr().out.splitlines()
    assert sorted(line[:11] for line in lines) == ["[0] error: ", "[1] error: "]


@pytest.mark.long
def test_workers_end_with_their_launcher(tmp_path):
    command = [sys.executable, "tools/launch_local.py", "--"]
    launcher = subprocess.Popen(
        [*command, "train", "--model=cnn_s", f"--work_dir={tmp_path}"],
        stdout=subprocess.PIPE,
        cwd=ROOT,
    )
    assert launcher.stdout.readline().startswith(b"[0] ")
    launcher.kill()
    # The pipe is closed when the last who could write into it has ended.
    launcher.communicate(timeout=60)


def test_a_command_is_needed(tool):
    process = tool("launch_local", "--", "--flag", check=False)
    assert process.returncode == 1
    assert "Behind -- comes a sub-command" in process.stderr
    assert process.stderr.endswith("Received: '--flag'\n")


def test_a_strategy_that_ignores_the_others(tool, monkeypatch, tmp_path):
    config = local_workers.configurations(2)[0]
    monkeypatch.setenv("TF_CONFIG", config)
    command = ["--model=cnn_s", f"--work_dir={tmp_path}"]
    process = tool("train", *command, check=False, fresh=True)
    assert process.returncode == 1
    assert process.stderr == (
        "error: TF_CONFIG names 2 processes, and each would train alone. "
        "Received: --strategy=default. Use --strategy=multi_worker, or unset "
        "TF_CONFIG.\n"
    )


def run(workers, folder, *command):
    """Returns what a command says in so many workers, and its records."""
    launcher = ["tools/launch_local.py", f"--workers={workers}", "--"]
    if workers == 1:
        launcher = ["tools/__main__.py"]
    process = subprocess.run(
        [sys.executable, *launcher, *command, f"--work_dir={folder}"],
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert process.returncode == 0, process.stdout[-3000:] + process.stderr
    return {
        str(path.parent.relative_to(folder)): json.loads(path.read_text())
        for path in folder.rglob("result.json")
    }


def losses(folder):
    with open(folder / "history.csv") as file:
        return [float(row["loss"]) for row in csv.DictReader(file)]


def mean_average_precision(result):
    return result["scores"]["retrieval"]["cosine"]["standard"]["map"]


# Two workers compare their weights themselves after each training.
@pytest.mark.slow
@pytest.mark.parametrize(
    "method",
    [
        ["--method=indistill", "--batch_norm=batch_statistics"],
        ["--method=pkt", "--teacher_cache_views=2"],
    ],
    ids=["indistill", "cached"],
)
def test_chain(tmp_path, method):
    one, two = (
        run(count, tmp_path / str(count), "distill", *CHAIN, *method)
        for count in (1, 2)
    )
    assert one.keys() == two.keys() == {".", "auxiliary", "teacher"}
    for role, result in one.items():
        assert (result["replicas"], two[role]["replicas"]) == (1, 2)
        # Adam takes rounding for a gradient where that is tiny, and each
        # network's teacher is trained by it too.
        assert losses(tmp_path / "2" / role) == pytest.approx(
            losses(tmp_path / "1" / role), rel=5e-3
        )
        assert mean_average_precision(two[role]) == pytest.approx(
            mean_average_precision(result), abs=0.01
        )


# The chief trains the modules, so they are those of one process to the bit.
@pytest.mark.slow
def test_rate_distortion_modules(tmp_path):
    teacher = str(tmp_path / "teacher.keras")
    models.build("cnn_a", (32, 32, 1), 10).save(teacher)
    options = [f"--teacher={teacher}", *SMALL[:2], "--worker_timeout=600"]
    rdm = ["train_rdm", "--trade_offs=1,0.5", "--epochs=2", *options]
    one, two = (run(n, tmp_path / f"rdm_{n}", *rdm)["."] for n in (1, 2))
    assert one["checksum"] == two["checksum"]
    modules = f"modules={tmp_path}/rdm_2/modules.keras"
    cifd = ["distill", f"--teacher={teacher}", "--student=cnn_s", *SMALL]
    cifd += ["--method=cifd", f"--task_options={modules}", "--epochs=3"]
    one, two = (run(n, tmp_path / f"cifd_{n}", *cifd)["."] for n in (1, 2))
    assert (one["replicas"], two["replicas"]) == (1, 2)
    assert losses(tmp_path / "cifd_2") == pytest.approx(
        losses(tmp_path / "cifd_1"), rel=5e-3
    )
    assert mean_average_precision(two) == pytest.approx(
        mean_average_precision(one), abs=0.01
    )


@pytest.mark.slow
def test_pairs(tmp_path):
    pairs = [
        *("--teacher_image=cnn_s", "--teacher_text=text_32", "--epochs=1"),
        *("--student_image=cnn_s", "--student_text=text_32", "--modules=1"),
        *("--module_epochs=1", "--context_length=8", "--batch_size=64"),
        "--embedding_size=16",
        *("--train_split=train[:128]", "--test_split=test[:33]"),
        "--worker_timeout=600",
    ]
    found = run(2, tmp_path, "distill_clip", *pairs)
    assert found.keys() == {".", "teacher"}
    assert found["."]["replicas"] == 2


# To the chief, or to the other one: all end. What each replica has for itself
# is not lost either.
@pytest.mark.slow
@pytest.mark.parametrize(
    ("victim", "kind", "option"),
    [
        (0, signal.SIGINT, "--synchronize_batch_norm"),
        (1, signal.SIGTERM, "--nosynchronize_batch_norm"),
    ],
)
def test_a_signal_to_one_worker(tmp_path, capfd, victim, kind, option):
    teacher = str(tmp_path / "teacher.keras")
    models.build("cnn_a", (32, 32, 1), 10).save(teacher)
    command = ["distill", f"--teacher={teacher}", "--student=cnn_s", *SMALL]
    command += ["--method=okd", "--epochs=9", "--checkpoint_steps=2", option]
    expected = run(2, tmp_path / "a", *command)
    folder = tmp_path / "b"
    own = ["--strategy=multi_worker", f"--work_dir={folder}"]
    workers = local_workers.LocalWorkers([*command, *own], 2)
    while not snapshots.found(folder):
        assert not workers.ended_within(0.1)
    workers.signal(victim, kind)
    assert workers.run() == 128 + kind
    lines = capfd.readouterr().out.splitlines()
    assert not any("Traceback" in line for line in lines)
    assert sorted(line for line in lines if "Interrupted" in line) == [
        f"[{number}] Interrupted by {kind.name}. The same command goes on "
        "where it stopped."
        for number in range(2)
    ]
    found = run(2, folder, *command)
    assert found["."]["checksum"] == expected["."]["checksum"]
