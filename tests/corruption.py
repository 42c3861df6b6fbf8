"""Damages files that are written here, and counts what is noticed.

python -m tests.corruption --count=100 --seed=1

One bit is changed, a block of zeros written, or the end cut off, at random
places. Reading is then refused in one line (clear), gives what it gave before
(harmless), gives something else (silent), or fails otherwise (traceback).
"""

import argparse
import collections
import pathlib
import random
import tempfile
from collections.abc import Callable

from indistill_tf_tools import environment

OUTCOMES = ("clear", "harmless", "silent", "traceback")
_BLOCK = 64


def counts(count: int, seed: int) -> dict[str, dict[str, int]]:
    """Returns what became of damaged files.

    Args:
        count: int, damages of each kind of file.
        seed: int.

    Returns:
        Dict from a kind of file to a dict from outcome to its number.
    """
    found = {}
    for name, make in _KINDS.items():
        with tempfile.TemporaryDirectory() as folder:
            path, read = make(pathlib.Path(folder))
            found[name] = _counts(path, read, count, random.Random(seed))
    return found


def _counts(path, read, count, draw):
    whole, expected = path.read_bytes(), read()
    found = collections.Counter(dict.fromkeys(OUTCOMES, 0))
    for _ in range(count):
        path.write_bytes(_damaged(whole, draw))
        found[_outcome(read, expected)] += 1
    path.write_bytes(whole)
    return dict(found)


def _damaged(whole, draw):
    content, place = bytearray(whole), draw.randrange(len(whole))
    kind = draw.choice(["bit", "bit", "bit", "zeros", "cut"])
    if kind == "bit":
        content[place] ^= 1 << draw.randrange(8)
    elif kind == "zeros":
        end = min(place + _BLOCK, len(whole))
        content[place:end] = bytes(end - place)
    else:
        del content[place:]
    return bytes(content)


def _outcome(read, expected):
    from indistill_tf.errors import UserError

    try:
        value = read()
    except UserError as error:
        return "traceback" if "\n" in str(error) else "clear"
    except Exception:
        return "traceback"
    return "harmless" if value == expected else "silent"


def _network():
    from indistill_tf import models

    return models.build("cnn_s", (32, 32, 1), 10)


def _checkpoint(name: str) -> Callable:
    """Returns the maker of a checkpoint, a file of which is damaged."""

    def make(folder):
        from indistill_tf.errors import UserError
        from indistill_tf.training import checkpoint
        from indistill_tf.training import snapshots

        model, saver = _network(), checkpoint.Checkpoint(folder)
        model.compile("adam", "sparse_categorical_crossentropy")
        model.optimizer.build(model.trainable_variables)
        saver.rows = [{"epoch": 0, "seconds": 1.5, "loss": 2.25}]
        for epoch in (1, 2):
            saver.save(model, snapshots.Position(epoch))

        def read():
            there = snapshots.whole(folder)
            if len(there) < 2:
                raise UserError("It is named, and the one before it used.")
            return list(there)

        return folder / "checkpoint" / "epoch_2" / name, read

    return make


def _weights(name: str) -> Callable:
    """Returns the maker of a file that `--weights` reads."""

    def make(folder):
        from indistill_tf import checksums
        from indistill_tf import models

        model, other, path = _network(), _network(), folder / name
        if name.endswith((".npz", ".safetensors")):
            models.save_weights(model, path)
        elif name.endswith(".h5"):
            model.save_weights(path)
            # As beside a checkpoint's.
            checksums.write_sums(folder)
        else:
            model.save(path)

        def read():
            models.load_weights(other, path)
            return checksums.checksum(other.get_weights())

        return path, read

    return make


def _modules(folder):
    from indistill_tf import checksums
    from indistill_tf import cifd

    path = folder / "modules.keras"
    cifd.RateDistortionModules([1.0], 4, 3, "cifar_pair").save(path)
    return path, lambda: checksums.checksum(
        cifd.frozen_modules(str(path)).get_weights()
    )


def _finished(name: str) -> Callable:
    """Returns the maker of a finished run, a file of which is damaged."""

    def make(folder):
        from indistill_tf.errors import UserError
        from indistill_tf.training import history
        from indistill_tf.training import promises

        history.write_history(folder, [{"epoch": 0, "loss": 2.25}])
        (folder / "saved_model" / "variables").mkdir(parents=True)
        data = random.Random(0).randbytes(9999)
        (folder / "saved_model" / "variables" / "data").write_bytes(data)
        names = ["history.csv", "saved_model"]
        promises.write(folder / promises.RECORD, {"score": 0.1}, names)

        def read():
            result = promises.read(folder / promises.RECORD)
            if promises.damaged(folder, result, names):
                raise UserError("It is made again, or named.")
            return result

        return folder / name, read

    return make


_KINDS = {
    "checkpoint, weights": _checkpoint("model.weights.h5"),
    "checkpoint, history": _checkpoint("history.csv"),
    "checkpoint, state": _checkpoint("state.json"),
    "checkpoint, checksums": _checkpoint("SHA256SUMS"),
    "weights, .weights.h5": _weights("w.weights.h5"),
    "weights, .safetensors": _weights("w.safetensors"),
    "weights, .npz": _weights("w.npz"),
    "weights, .keras": _weights("w.keras"),
    "modules.keras": _modules,
    "finished, result.json": _finished("result.json"),
    "finished, history.csv": _finished("history.csv"),
    "finished, saved_model": _finished("saved_model/variables/data"),
}


if __name__ == "__main__":
    environment.prepare()
    parser = argparse.ArgumentParser()
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    for kind, of_kind in counts(options.count, options.seed).items():
        shown = ", ".join(f"{of_kind[name]} {name}" for name in OUTCOMES)
        print(f"{kind}: {shown}", flush=True)
