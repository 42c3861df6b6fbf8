"""The tools on images that stay in their files."""

import json

import pytest

RUN = [
    "--model=cnn_s",
    "--dataset=imagenet2012",
    "--image_size=32",
    "--epochs=1",
    "--drop_epochs=9",
    "--batch_size=16",
]


@pytest.fixture(scope="module")
def tiny_set(tool, tmp_path_factory):
    folder = tmp_path_factory.mktemp("sets")
    process = tool(
        "make_tiny",
        "--dataset=imagenet2012",
        f"--data_dir={folder}",
        "--train=32",
        "--test=16",
    )
    assert "A tiny stand-in for imagenet2012" in process.stdout
    return folder


@pytest.mark.long
def test_training_and_export(tool, tiny_set, tmp_path):
    run = [*RUN, f"--data_dir={tiny_set}", f"--work_dir={tmp_path}"]
    assert "SavedModel" in tool("train", *run).stdout
    result = json.loads((tmp_path / "result.json").read_text())
    assert result["images"]["train"] == 32
    assert result["images"]["augmentation"] == "random_resized_crop"
    assert result["images"]["preprocessing"]["resize"] == "crop"
    found = tool("export", f"--work_dir={tmp_path}", "--check").stdout
    assert "largest difference" in found


@pytest.mark.long
def test_damage_that_shows_in_training(tool, tiny_set, tmp_path):
    (shard,) = tiny_set.glob("*/*/*train.tfrecord-00001-of-*")
    whole = shard.read_bytes()
    damaged = bytearray(whole)
    damaged[len(whole) // 2] ^= 255
    run = [*RUN, f"--data_dir={tiny_set}", f"--work_dir={tmp_path}"]
    try:
        shard.write_bytes(damaged)
        process = tool("train", *run, check=False)
    finally:
        shard.write_bytes(whole)
    assert process.returncode == 1
    (line,) = process.stderr.splitlines()
    assert line.startswith(f"error: {shard} is damaged: its image ")
    assert line.endswith("Copy it again, or prepare the set again.")


@pytest.mark.parametrize(
    "name, arguments, message",
    [
        ("make_tiny", ["--dataset=cifar"], "Unknown dataset: 'cifar'"),
        ("benchmark", ["--cases=png"], "Unknown case: 'png'. Expected one of"),
        ("train", [*RUN, "--data_service=x:1"], "looks like grpc://host:5000"),
    ],
)
def test_refusals(tool, tiny_set, tmp_path, name, arguments, message):
    arguments = [*arguments, f"--data_dir={tiny_set}"]
    if name == "train":
        arguments.append(f"--work_dir={tmp_path}")
    process = tool(name, *arguments, check=False)
    assert process.returncode == 1
    (line,) = process.stderr.splitlines()
    assert message in line
