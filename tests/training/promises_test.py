import json

import numpy as np
import pytest

from indistill_tf.errors import UserError
from indistill_tf.training import promises


@pytest.fixture
def record(tmp_path):
    (tmp_path / "model.keras").write_bytes(bytes(range(100)))
    (tmp_path / "saved_model" / "variables").mkdir(parents=True)
    (tmp_path / "saved_model" / "variables" / "data").write_bytes(b"weights")
    (tmp_path / "saved_model" / "labels.txt").write_text("cat\n")
    path = tmp_path / "result.json"
    promises.write(path, {"score": 0.1}, ["model.keras", "none"])
    promises.write(path, promises.read(path), ["saved_model"])
    return path


def test_what_is_listed(record):
    result = json.loads(record.read_text())
    assert list(result) == ["score", "files", "record_sha256"]
    assert list(result["files"]) == [
        "model.keras",
        "saved_model/labels.txt",
        "saved_model/variables/data",
    ]
    # SHA-256 of "cat" and a line's end, as `sha256sum` prints it.
    assert result["files"]["saved_model/labels.txt"].startswith("175cc6f3")
    assert promises.is_finished(record.parent, "saved_model")


def test_any_bit_of_a_file(record):
    folder, random = record.parent, np.random.default_rng(0)
    for name in promises.read(record)["files"]:
        content = bytearray((folder / name).read_bytes())
        content[random.integers(len(content))] ^= 1 << random.integers(8)
        (folder / name).write_bytes(content)
        owner = name.split("/")[0]
        assert not promises.is_kept(folder, promises.read(record), owner)
        assert not promises.is_finished(folder, "saved_model")
    with pytest.raises(UserError, match="model.keras in .* cannot be made"):
        result = promises.read(record)
        promises.check(folder, "result.json", result, ["model.keras"])


def test_a_file_that_is_gone(record):
    (record.parent / "saved_model" / "labels.txt").unlink()
    found = promises.damaged(
        record.parent, promises.read(record), ["saved_model"]
    )
    assert found == ["saved_model/labels.txt"]


def test_any_bit_of_the_record(record):
    whole, random, harmless = record.read_bytes(), np.random.default_rng(0), 0
    expected = promises.read(record)
    for _ in range(200):
        content = bytearray(whole)
        content[random.integers(len(whole))] ^= 1 << random.integers(8)
        record.write_bytes(content)
        try:
            found = promises.read(record)
        except UserError as error:
            assert "\n" not in str(error)
        else:
            # Between values a line's end may have become another blank.
            assert found == expected
            harmless += 1
    assert harmless < 20


def test_a_record_of_an_earlier_version(tmp_path):
    path = tmp_path / "result.json"
    path.write_text('{"score": 0.1}')
    assert promises.read(path) == {"score": 0.1}
    assert not promises.is_kept(tmp_path, promises.read(path), "saved_model")
    (tmp_path / "saved_model").mkdir()
    assert promises.is_kept(tmp_path, promises.read(path), "saved_model")
