"""Wrong requests: one line that teaches, exit status 1, no traceback."""

import numpy as np
import pytest

from indistill_tf import models

ONE_HOP = ["--teacher=cnn_a", "--student=cnn_s"]
CASES = {
    "unknown model": (
        ["--teacher=resnet8", "--student=cnn_x"],
        "Unknown model: 'cnn_x'. Expected one of: cnn_s, cnn_s_2",
    ),
    "unknown method": (
        [*ONE_HOP, "--method=magic"],
        "Unknown method: 'magic'. Expected one of: okd, hints, hints_joint, at",
    ),
    "unknown data set": (
        [*ONE_HOP, "--dataset=nothing"],
        "Unknown dataset: 'nothing'. Expected one of: embedded, folder",
    ),
    "unknown split": (
        [*ONE_HOP, "--test_split=valid"],
        "Unknown split 'valid'. Expected one of train, test",
    ),
    "unknown layer": (
        [*ONE_HOP, "--taps=tap_1:tap_1,tap_2:conv9"],
        "has no layer 'conv9'. Its feature maps are: tap_1, tap_2, tap_3",
    ),
    "malformed taps": ([*ONE_HOP, "--taps=tap_1"], "--taps takes teacher:"),
    "sizes that differ": (
        [*ONE_HOP, "--taps=tap_1:tap_2"],
        "Heights and widths differ",
    ),
    "nothing to pair": (
        ["--teacher=resnet8", "--student=cnn_s"],
        "distil through an auxiliary teacher",
    ),
    "wider student": (
        ["--teacher=cnn_s", "--student=cnn_a"],
        "at least the channels of one of model 'cnn_a'",
    ),
    "argument of the library": (
        [*ONE_HOP, "--ramp_epochs=99", "--drop_epochs="],
        "--ramp_epochs must be from 0 to below --epochs. Received: 99 of 70",
    ),
    "impossible curriculum": (
        [*ONE_HOP, "--epochs=12"],
        "3 + 4 + 5 = 12 epochs",
    ),
    "warm-up as long as the training": (
        [*ONE_HOP, "--method=hints", "--epochs=12"],
        "trained for 12 epochs and the task needs at least one more",
    ),
    "preparation as long as the training": (
        [*ONE_HOP, "--method=factor_transfer", "--epochs=6"],
        "prepares its loss for 6 epochs before the student learns",
    ),
    "cache of rotated images": (
        [*ONE_HOP, "--method=hsakd", "--teacher_cache_views=2"],
        "each image in four rotations, of which no targets are cached",
    ),
    "cache of batches' statistics": (
        [*ONE_HOP, "--teacher_cache_views=2"],
        "so they cannot be cached. Use --batch_norm=carry, or leave the",
    ),
    "flag of another schedule": (
        [*ONE_HOP, "--method=pkt_h_cr", "--warm_up=3"],
        "--warm_up means nothing to method 'pkt_h_cr', whose schedule is",
    ),
    "unknown option": (
        [*ONE_HOP, "--method=okd", "--task_options=heat=2"],
        "Unknown option of SoftenedKL: 'heat'. Expected one of: temperature",
    ),
    "option of another type": (
        [*ONE_HOP, "--method=okd", "--task_options=temperature=hot"],
        "Option 'temperature' is of type float. Received: 'hot'",
    ),
    "option that may be None, of another type": (
        [*ONE_HOP, "--method=similarity_kl"]
        + ["--task_options=teacher_temperature=hot"],
        "Option 'teacher_temperature' is of type float. Received: 'hot'",
    ),
    "modules that are not there": (
        [*ONE_HOP, "--method=cifd", "--task_options=modules=none.keras"],
        "none.keras",
    ),
    "option out of range": (
        [*ONE_HOP, "--method=okd", "--task_options=temperature=0"],
        "`temperature` must be above 0. Received: temperature=0.0",
    ),
    "auxiliaries without their rates": (
        [*ONE_HOP, "--auxiliary=auto,auto,auto", "--pruning_rate=0.5,0.25"],
        "3 auxiliaries and 2 pruning rates",
    ),
    "widths that differ": (
        [*ONE_HOP, "--method=fsp", "--nopruned"],
        "Use FlowOfSolution(adapters=True)",
    ),
    "missing flag": (["--teacher=cnn_a"], "The flag --student is missing"),
    "unknown flag": ([*ONE_HOP, "--speed=9"], "Unknown command line flag"),
    "stray argument": ([*ONE_HOP, "now"], "Unknown argument 'now'"),
    "bad number": ([*ONE_HOP, "--epochs=many"], "--epochs=many"),
    "bad list": ([*ONE_HOP, "--drop_epochs=x"], "--drop_epochs takes whole"),
    "missing file": (
        [*ONE_HOP, "--teacher_weights=none.npz"],
        "There is no file none.npz",
    ),
    "border wider than the images": (
        [*ONE_HOP, "--padding=1000000"],
        "--padding must be at most the images' 32 pixels",
    ),
    "images beyond the memory": (
        [*ONE_HOP, "--image_size=100000"],
        "Networks read images of 1 to 4096 pixels a side",
    ),
    "network beyond the memory": (
        [*ONE_HOP, "--auxiliary=auto", "--pruning_rate=0.99999"],
        "A network 100,000 times as wide would take",
    ),
    "no task": (
        [*ONE_HOP, "--task_weight=0"],
        "--task_weight must be above 0. Received: --task_weight=0.0",
    ),
    "seed of more bits": ([*ONE_HOP, "--seed=4294967296"], "[0, 4294967295]"),
    "number of more bits": (
        [*ONE_HOP, "--batch_size=99999999999999999999"],
        "flag --batch_size=99999999999999999999: has more than 32 bits",
    ),
    "no data set": ([*ONE_HOP, "--dataset="], "Unknown dataset: ''."),
    "folder as a data set": ([*ONE_HOP, "--dataset=~"], "Images in a folder"),
    "device as a data set": ([*ONE_HOP, "--dataset=/dev/null"], "Unknown data"),
    "no version of a set": (
        [*ONE_HOP, "--dataset=mnist:9.9.9"],
        "TFDS set 'mnist' exists, but not as 'mnist:9.9.9'",
    ),
    "flags that are a device": ([*ONE_HOP, "--flagfile=/dev/full"], "a device"),
    "work directory that is a device": (
        [*ONE_HOP, "--work_dir=/dev/full"],
        "/dev/full is a device. Results go to files and folders only",
    ),
    "absl's debugger": (
        [*ONE_HOP, "--pdb_post_mortem"],
        "Unknown command line",
    ),
    "image too small": (
        ["--teacher=cnn_a", "--student=cnn_s", "--image_size=8"],
        "cannot be padded to 8",
    ),
}


def check(process, message):
    assert process.returncode == 1, process.stdout + process.stderr
    assert "Traceback" not in process.stderr
    assert process.stderr.startswith("error: ")
    assert process.stderr.count("\n") == 1
    assert message in process.stderr
    assert "training" not in process.stdout  # refused before the first epoch


@pytest.mark.parametrize("case", CASES)
def test_bad_requests(tool, tmp_path, case):
    arguments, message = CASES[case]
    data = ["--train_split=train[:64]", "--test_split=test[:64]"]
    data = [flag for flag in data if "split" not in " ".join(arguments)]
    run = [f"--work_dir={tmp_path}", "--teacher_epochs=1", *arguments, *data]
    check(tool("distill", *run, check=False), message)


def test_unwritable_directory(tool, tmp_path):
    (tmp_path / "file").touch()
    run = [*ONE_HOP, f"--work_dir={tmp_path}/file/run"]
    process = tool("distill", *run, check=False, fresh=True)
    check(process, "cannot be written")


def test_damaged_files(tool, tmp_path):
    np.savez(tmp_path / "w.npz", x=np.zeros(9999))
    truncated = (tmp_path / "w.npz").read_bytes()[:100]
    (tmp_path / "w.npz").write_bytes(truncated)
    (tmp_path / "m.keras").write_bytes(truncated)
    weights = [f"--weights={tmp_path}/w.npz", "--model=cnn_a"]
    check(tool("evaluate", *weights, check=False), "no readable .npz")
    model = f"--model={tmp_path}/m.keras"
    check(tool("evaluate", model, check=False), "no readable .keras")


def test_evaluation_of_a_model_for_other_images(tool, tmp_path):
    models.build("cnn_s", (32, 32, 3), 7).save(tmp_path / "m.keras")
    model = f"--model={tmp_path}/m.keras"
    message = "reads images (32, 32, 3) of 7 classes, but 'embedded' has"
    check(tool("evaluate", model, check=False), message)


def test_export_of_a_run_that_is_not_finished(tool, tmp_path):
    process = tool("export", f"--work_dir={tmp_path}", check=False)
    check(process, "result.json is missing")
