"""The work directory: locked, written atomically, enough to audit a run."""

import contextlib
import importlib.metadata
import json
import os
import pathlib
import platform
import resource
import statistics
import subprocess
import sys

from indistill_tf import checksums
from indistill_tf.errors import UserError
from indistill_tf.files import refusing_lock
from indistill_tf.files import replacing

_PACKAGES = (
    "indistill_tf",
    "keras",
    "numpy",
    "tensorflow",
    "tensorflow-datasets",
    "tokenizers",
)


@contextlib.contextmanager
def locked(path):
    """Creates a work directory and keeps other processes out of it.

    The lock goes with the process, also when it is killed.

    Args:
        path: the directory.

    Yields:
        The directory as a `pathlib.Path`.

    Raises:
        UserError: if another process holds it or it cannot be written.
    """
    path = pathlib.Path(path)
    refusal = UserError(
        f"Another process works in {path}. Wait for it, or name another work "
        "directory."
    )
    with contextlib.ExitStack() as stack:
        try:
            path.mkdir(parents=True, exist_ok=True)
            stack.enter_context(refusing_lock(path / ".lock", refusal))
        except OSError as error:
            raise UserError(
                f"The work directory {path} cannot be written "
                f"({error.strerror}). Name another one."
            ) from error
        yield path


def write_json(path, value):
    """Writes JSON atomically.

    Args:
        path: the file.
        value: JSON-ready value.

    Returns:
        The value as it will be read back.
    """
    text = json.dumps(value, indent=2)
    with replacing(path) as temporary:
        temporary.write_text(text + "\n")
    return json.loads(text)


def read_json(path):
    """Reads JSON.

    Args:
        path: the file.

    Raises:
        UserError: if the file is missing or damaged.
    """
    try:
        return json.loads(pathlib.Path(path).read_text())
    except (OSError, ValueError) as error:
        raise UserError(
            f"{path} is missing or no JSON ({error}). Remove its folder and "
            "repeat the command."
        ) from error


def checksum(model):
    """Returns the SHA-256 of a model's weights.

    Args:
        model: built `keras.Model`.
    """
    return checksums.checksum(variable.numpy() for variable in model.variables)


def environment():
    """Returns what a result depends on: versions, commit, device, Python."""
    import tensorflow as tf

    versions = {}
    for package in _PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[package] = importlib.metadata.version(package)
    gpus = [
        tf.config.experimental.get_device_details(gpu).get("device_name", "GPU")
        for gpu in tf.config.list_physical_devices("GPU")
    ]
    return {
        "versions": versions,
        "python": platform.python_version(),
        "git_commit": _git_commit(),
        "device": gpus or f"{_processor()}, {os.cpu_count()} cores",
    }


def costs(rows, epochs, steps):
    """Returns what a training took, JSON-ready: the median epoch's time.

    Args:
        rows: list of dicts with `seconds`, one an epoch.
        epochs: int.
        steps: int, batches in an epoch.
    """
    seconds = statistics.median(row["seconds"] for row in rows)
    return {
        "epochs": epochs,
        "steps_per_epoch": steps,
        "seconds_per_epoch": seconds,
        "seconds_per_step": seconds / steps,
        "peak_memory_bytes": peak_memory(),
    }


def peak_memory():
    """Returns the most bytes that this process has held so far."""
    # Linux lets `getrusage` begin with what the parent process held.
    with contextlib.suppress(OSError):
        for line in pathlib.Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return 1024 * int(line.split()[1])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # Kilobytes on Linux, bytes on macOS.
    return peak if sys.platform == "darwin" else 1024 * peak


def _processor():
    with contextlib.suppress(OSError):
        for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def _git_commit():
    """Returns the commit of this code, or None if it is an installed copy."""
    file = pathlib.Path(__file__)
    try:
        for command in (
            # Fails where another project's repository holds the environment.
            ["git", "ls-files", "--error-unmatch", file.name],
            ["git", "describe", "--always", "--dirty", "--abbrev=40"],
        ):
            process = subprocess.run(
                command,
                cwd=file.parent,
                capture_output=True,
                text=True,
                check=True,
            )
    except (OSError, subprocess.CalledProcessError):
        return None
    return process.stdout.strip()
