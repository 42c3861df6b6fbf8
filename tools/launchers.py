"""Runs of a sweep on a cluster: one job, of which each run is an element."""

import hashlib
import json
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Mapping
from collections.abc import Sequence

from indistill_tf_tools.child import LOG
from indistill_tf_tools.sweep_file import Row

# What submits each kind of job, which it reads from standard input.
SUBMIT = {"slurm": ["sbatch"], "kubernetes": ["kubectl", "apply", "-f", "-"]}

KUBERNETES_OPTIONS = {
    "image": "with Python and this package",
    "claim": "the volume that is mounted in place of the current folder",
    "gpus": "of each run",
    "cpus": "of each run",
    "memory": "of each run, such as 8Gi",
}
_SLURM_INDEX, _KUBERNETES_INDEX = "SLURM_ARRAY_TASK_ID", "JOB_COMPLETION_INDEX"
_LIMITS = {"gpus": "nvidia.com/gpu", "cpus": "cpu", "memory": "memory"}


def job(
    launcher: str,
    rows: Sequence[Row],
    folder: pathlib.Path,
    at_a_time: int | None,
    options: Mapping[str, str],
    workers: int = 1,
) -> str:
    """Returns a job as its launcher reads it.

    Args:
        launcher: `"slurm"` or `"kubernetes"`.
        rows: list of `Row`, of which none needs another.
        folder: of the sweep, which all machines must see.
        at_a_time: int, of the rows, or None for no limit.
        options: dict. Of Slurm, those of `sbatch`, with `""` for no value; of
            Kubernetes, those of `KUBERNETES_OPTIONS`.
        workers: int, the processes that train each row together. Defaults to
            1.

    Raises:
        UserError: if an option is missing or unknown.
    """
    make = slurm_script if launcher == "slurm" else kubernetes_job
    return make(rows, folder, at_a_time, options, workers)


def submit(launcher: str, text: str) -> str:
    """Submits a job and returns what the cluster answers.

    Args:
        launcher: `"slurm"` or `"kubernetes"`.
        text: see `job`.

    Raises:
        UserError: if the launcher's command is missing or refuses.
    """
    from indistill_tf.errors import UserError

    command = SUBMIT[launcher]
    if shutil.which(command[0]) is None:
        raise UserError(
            f"--launcher={launcher} needs the command {command[0]!r}, which is "
            "not here. --dry_run prints what it would be given."
        )
    done = subprocess.run(command, input=text, capture_output=True, text=True)
    if done.returncode:
        raise UserError(f"{command[0]}: {done.stderr.strip()}")
    return done.stdout.strip()


def slurm_script(
    rows: Sequence[Row],
    folder: pathlib.Path,
    at_a_time: int | None,
    options: Mapping[str, str],
    workers: int = 1,
) -> str:
    """Returns the script of an array job for `sbatch`.

    Args:
        rows: see `job`.
        folder: see `job`.
        at_a_time: see `job`.
        options: see `job`.
        workers: see `job`. Defaults to 1.
    """
    limit = f"%{at_a_time}" if at_a_time else ""
    directives = {
        "job-name": folder.name,
        "array": f"0-{len(rows) - 1}{limit}",
        "output": f"{folder}/slurm_%A_%a.txt",
        **({"ntasks": workers} if workers > 1 else {}),
        **options,
    }
    lines = [
        f"#SBATCH --{name}={value}" if value else f"#SBATCH --{name}"
        for name, value in directives.items()
    ]
    python = shlex.quote(sys.executable)
    if workers > 1:
        # Where a worker fails the others end too, and nobody waits for them.
        python = f"srun --kill-on-bad-exit=1 {python}"
    script = _script(rows, folder, _SLURM_INDEX, python)
    return "\n".join(["#!/bin/sh", *lines, script])


def kubernetes_job(
    rows: Sequence[Row],
    folder: pathlib.Path,
    at_a_time: int | None,
    options: Mapping[str, str],
    workers: int = 1,
) -> str:
    """Returns an Indexed Job, YAML.

    A run that is interrupted is repeated, and goes on where it was.

    Args:
        rows: see `job`.
        folder: see `job`.
        at_a_time: see `job`.
        options: see `job`.
        workers: see `job`. Defaults to 1.

    Raises:
        UserError: if an option is missing or unknown.
    """
    _check_kubernetes(options)
    if workers == 1:
        return _indexed_job(rows, folder, at_a_time, options)
    # A job's processes have numbers, which here are those of the workers.
    return "---\n".join(
        _workers_job(row, folder, options, workers) for row in rows
    )


def _indexed_job(rows, folder, at_a_time, options):
    """Returns a Job whose processes have a row each."""
    script = _script(rows, folder, _KUBERNETES_INDEX, "python")
    return _filled(
        script,
        options,
        name=_name(folder, script),
        completions=len(rows),
        parallelism=min(at_a_time or len(rows), len(rows)),
        subdomain="",
    )


def _workers_job(row, folder, options, workers):
    """Returns the Job of a row that several processes share."""
    script = "\n".join([_chosen(row, folder), *_run(folder, "python")])
    name = _name(folder / row.name, script)
    hosts = ",".join(f"{name}-{number}.{name}" for number in range(workers))
    job = _filled(
        f"export WORKER_HOSTS={hosts}\n{script}",
        options,
        name=name,
        completions=workers,
        parallelism=workers,
        subdomain=f"      subdomain: {name}\n",
    )
    return f"{_SERVICE.format(name=name)}---\n{job}"


def _filled(script, options, **values):
    limits = {
        name: options[option]
        for option, name in _LIMITS.items()
        if option in options
    }
    return _JOB.format(
        **values,
        image=json.dumps(options["image"]),
        claim=json.dumps(options["claim"]),
        here=json.dumps(os.getcwd()),
        limits=json.dumps(limits),
        script=textwrap.indent(script, " " * 14).lstrip(),
    )


# Without it the processes of a job have no names.
_SERVICE = """\
apiVersion: v1
kind: Service
metadata:
  name: {name}
spec:
  clusterIP: None
  publishNotReadyAddresses: true
  selector:
    job-name: {name}
"""

_JOB = """\
apiVersion: batch/v1
kind: Job
metadata:
  name: {name}
spec:
  completionMode: Indexed
  completions: {completions}
  parallelism: {parallelism}
  backoffLimitPerIndex: 3
  template:
    spec:
{subdomain}      restartPolicy: Never
      containers:
        - name: run
          image: {image}
          workingDir: {here}
          command: ["/bin/sh", "-c"]
          args:
            - |
              {script}
          resources:
            limits: {limits}
          volumeMounts:
            - name: work
              mountPath: {here}
      volumes:
        - name: work
          persistentVolumeClaim:
            claimName: {claim}
"""


def _check_kubernetes(options):
    from indistill_tf.errors import UserError

    known = ", ".join(KUBERNETES_OPTIONS)
    for name in options:
        if name not in KUBERNETES_OPTIONS:
            raise UserError(
                f"--launcher_options of kubernetes are {known}. Received: "
                f"{name!r}"
            )
    for name in ("image", "claim"):
        if not options.get(name):
            raise UserError(
                f"--launcher=kubernetes needs --launcher_options={name}=NAME: "
                f"{KUBERNETES_OPTIONS[name]}."
            )


def _name(folder, script):
    """Returns a name that is the same for the same runs alone."""
    # An applied job cannot be changed, so other runs are another job.
    digest = hashlib.sha256(script.encode()).hexdigest()[:8]
    name = re.sub(r"[^a-z0-9]+", "-", folder.name.lower())
    return f"{name[:40]}-{digest}".lstrip("-")


def _script(rows, folder, index, python):
    """Returns shell code that runs the row of an index."""
    cases = [
        f"{number}) {_chosen(row, folder)} ;;"
        for number, row in enumerate(rows)
    ]
    return "\n".join(
        [f'case "${index}" in', *cases, "esac", *_run(folder, python)]
    )


def _chosen(row, folder):
    command = shlex.join(row.command_line(folder))
    return f"name={row.name}; set -- {command}"


def _run(folder, python):
    path = f'{shlex.quote(str(folder))}/"$name"'
    return [
        f"mkdir -p {path}",
        f'exec {python} -P -m indistill_tf_tools "$@" \\',
        f"    >> {path}/{LOG} 2>&1",
        "",
    ]
