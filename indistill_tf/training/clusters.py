"""The processes that train together, as TF_CONFIG, Slurm or Kubernetes say."""

import json
import os

import tensorflow as tf
from tensorflow.python.distribute.cluster_resolver import (
    slurm_cluster_resolver as slurm,
)

from indistill_tf.errors import UserError

# Where a process of Slurm or Kubernetes listens, if nothing else is said.
PORT = 8888
# What an Indexed Job of Kubernetes tells its processes, see
# `tools/worker_jobs.py`.
INDEX, HOSTS = "JOB_COMPLETION_INDEX", "WORKER_HOSTS"

_WAYS = (
    "Set TF_CONFIG, start it by `srun` with several tasks, or set "
    f"{HOSTS}=HOST,HOST and {INDEX}. On one machine `launch_local` does."
)


def find() -> tf.distribute.cluster_resolver.ClusterResolver:
    """Returns the cluster that this process is part of.

    Raises:
        UserError: if the environment names none, or is malformed.
    """
    try:
        if "TF_CONFIG" in os.environ:
            found = tf.distribute.cluster_resolver.TFConfigClusterResolver()
        elif "SLURM_STEP_NODELIST" in os.environ:
            found = _of_slurm()
        elif HOSTS in os.environ:
            found = _of_hosts()
        else:
            raise UserError(
                f"`strategy=multi_worker` finds no other process. {_WAYS}"
            )
        own = found.task_type, found.task_id
        if own not in tasks(found.cluster_spec()):
            raise ValueError(f"there is no {own[0]} {own[1]}")
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(
            "The environment does not say which processes train together "
            f"({error}). {_WAYS}"
        ) from error
    return found


def tasks(spec: tf.train.ClusterSpec) -> dict[tuple[str, int], str]:
    """Returns the addresses of the workers by task, the chief's first.

    Args:
        spec: `tf.train.ClusterSpec`.
    """
    return {
        (job, index): spec.task_address(job, index)
        for job in ("chief", "worker")
        if job in spec.jobs
        for index in spec.task_indices(job)
    }


def refuse_several(strategy: str) -> None:
    """Refuses a strategy that ignores the other processes of TF_CONFIG.

    Args:
        strategy: its name.

    Raises:
        UserError: if TF_CONFIG names several processes or cannot be read.
    """
    text = os.environ.get("TF_CONFIG")
    if not text:
        return
    try:
        jobs = json.loads(text).get("cluster", {}).values()
        count = sum(map(len, jobs))
    except (AttributeError, TypeError, ValueError) as error:
        raise UserError(
            f"TF_CONFIG cannot be read ({error}). Received: {text!r}"
        ) from error
    if count > 1:
        raise UserError(
            f"TF_CONFIG names {count} processes, and each would train alone. "
            f"Received: `strategy={strategy}`. Use `strategy=multi_worker`, or "
            "unset TF_CONFIG."
        )


def _of_slurm():
    # As SlurmClusterResolver does, which sorts node10 before node9 where Slurm
    # numbers its tasks the other way, and wants GPUs.
    nodes = slurm.expand_hostlist(os.environ["SLURM_STEP_NODELIST"])
    counts = slurm.expand_tasks_per_node(
        os.environ["SLURM_STEP_TASKS_PER_NODE"]
    )
    addresses = [
        f"{node}:{PORT + number}"
        for node, count in zip(nodes, counts, strict=True)
        for number in range(count)
    ]
    return _resolver(addresses, os.environ["SLURM_PROCID"])


def _of_hosts():
    hosts = [host.strip() for host in os.environ[HOSTS].split(",")]
    addresses = [x if ":" in x else f"{x}:{PORT}" for x in hosts]
    return _resolver(addresses, os.environ[INDEX])


def _resolver(addresses, index):
    return tf.distribute.cluster_resolver.SimpleClusterResolver(
        tf.train.ClusterSpec({"worker": addresses}),
        task_type="worker",
        task_id=int(index),
        rpc_layer="grpc",
    )
