"""Strong scaling: the same batches on one worker and on two, a core each."""

import json
import os
import pathlib
import subprocess
import sys

from indistill_tf_tools import local_workers

BATCH = 128


def workers(data_dir=None, repeats=5):
    """Measures the images a second of one worker and of two.

    CNN-S learns from CNN-A by the softened logits, in batches of 128 images of
    32 x 32 over all workers, 20 steps a call. Each worker has a core to itself.

    Args:
        data_dir: ignored; all cases take it.
        repeats: int, calls that are measured. Defaults to 5.

    Returns:
        Dict from rows to dicts: images a second of all workers, milliseconds
        a step, those in which a worker adds up as many numbers as there are
        gradients, and those in which all ask each other whether a signal has
        come. `2 alone` are two workers that know nothing of each
        other, with half the batch each: what they lose against one is the
        machine's. `own statistics` leaves out the exchange of synchronised
        batch normalisation.
    """
    del data_dir
    one = _measured(1, BATCH, repeats)
    rows = {
        "1 worker": one,
        "1 worker, half": _measured(1, BATCH // 2, repeats),
        "2 alone, half": _measured(2, BATCH // 2, repeats, together=False),
        "2 workers, own statistics": _measured(2, BATCH, repeats),
        "2 workers": _measured(2, BATCH, repeats, synchronized=True),
    }
    for row in rows.values():
        row["to 1"] = row["images/s"]["median"] / one["images/s"]["median"]
    return rows


def _measured(count, batch, repeats, together=True, synchronized=False):
    """Returns the row of so many workers with a batch for all, or for each."""
    environments = [dict(os.environ)] * count
    if together and count > 1:
        environments = [
            {**os.environ, "TF_CONFIG": config}
            for config in local_workers.configurations(count)
        ]
    script = pathlib.Path(__file__).with_name("worker_steps.py")
    numbers = map(str, (batch, repeats, int(synchronized)))
    command = [sys.executable, script, *numbers]
    processes = [
        subprocess.Popen(
            [*command, str(core)],
            stdout=subprocess.PIPE,
            env=environment,
            text=True,
        )
        for core, environment in enumerate(environments)
    ]
    found = [
        json.loads(process.communicate()[0].splitlines()[-1])
        for process in processes
    ]
    row = found[0]
    if not together:
        total = (item["images/s"] for item in found)
        row["images/s"] = {
            name: sum(values) for name, *values in _by_name(*total)
        }
    return row


def _by_name(*dicts):
    return [(name, *(item[name] for item in dicts)) for name in dicts[0]]
