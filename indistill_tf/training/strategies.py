"""Strategies of `tf.distribute` by name; what becomes of a lost worker."""

import contextlib
import signal
from collections.abc import Iterator

import tensorflow as tf
from tensorflow.python.eager import context

from indistill_tf.errors import UserError
from indistill_tf.errors import unknown_name
from indistill_tf.training import clusters

NAMES = ("default", "mirrored", "multi_worker", "tpu")

_PROBE_SECONDS = 5
# Machines of a cluster begin at different times.
_START_SECONDS = 1800
_DEVICE = "/job:{}/replica:0/task:{}"


@contextlib.contextmanager
def running(name: str = "default", worker_timeout: int = 60) -> Iterator[None]:
    """Makes a strategy the current one, before TensorFlow computes anything.

    Args:
        name: `"default"` for one device, `"mirrored"` for all GPUs of this
            machine, `"multi_worker"` for all devices of the processes that
            `clusters.find` names, or `"tpu"`. Defaults to `"default"`.
        worker_timeout: int, seconds after which a worker that does not answer
            is lost. One that ends is noticed at once. For its start each has
            half an hour. Defaults to 60.

    Raises:
        UserError: if there is no such strategy, cluster or device, a cluster
            is there that the strategy ignores, or a worker is lost.
    """
    if name not in NAMES:
        raise unknown_name("strategy", name, NAMES)
    if name == "multi_worker":
        block = _multi_worker(worker_timeout)
    else:
        clusters.refuse_several(name)
        block = _of_this_machine(name)
    with block:
        yield


@contextlib.contextmanager
def _of_this_machine(name):
    if name == "default":
        strategy = tf.distribute.get_strategy()
    elif name == "mirrored":
        strategy = tf.distribute.MirroredStrategy()
    else:
        strategy = _tpu()
    with strategy.scope():
        yield


def _tpu():
    try:
        resolver = tf.distribute.cluster_resolver.TPUClusterResolver()
        tf.config.experimental_connect_to_cluster(resolver)
        tf.tpu.experimental.initialize_tpu_system(resolver)
        return tf.distribute.TPUStrategy(resolver)
    except (ValueError, tf.errors.OpError) as error:
        raise UserError(
            f"There is no TPU here ({str(error).splitlines()[0]}). Use "
            "`strategy=mirrored` for GPUs, or `strategy=default`."
        ) from error


@contextlib.contextmanager
def _multi_worker(timeout):
    resolver = clusters.find()
    own = resolver.task_type, resolver.task_id
    tasks = clusters.tasks(resolver.cluster_spec())
    _notice_within(timeout, tasks)
    with _naming_the_lost(own, tasks):
        with _own_sigterm():
            strategy = tf.distribute.MultiWorkerMirroredStrategy(
                cluster_resolver=resolver
            )
        with strategy.scope():
            yield


@contextlib.contextmanager
def _naming_the_lost(own, tasks):
    """Says which workers are lost where an operation fails for that."""
    try:
        yield
    except Exception as error:
        # Whoever reads a file while another ends takes it for damaged.
        if not _is_of_tensorflow(error):
            raise
        lost = [
            f"{number} ({address})"
            for number, (task, address) in enumerate(tasks.items())
            if task != own and not _answers(task)
        ]
        if not lost:
            raise
        raise UserError(
            f"Lost worker {', '.join(lost)} of {len(tasks)}; this one stops. "
            "The same command on every worker goes on where the last "
            "checkpoint is."
        ) from error


def _is_of_tensorflow(error):
    """Returns whether an error came of an operation that failed."""
    while error is not None and not isinstance(error, tf.errors.OpError):
        error = error.__cause__ or error.__context__
    return error is not None


@contextlib.contextmanager
def _own_sigterm():
    """Keeps what SIGTERM does, which TensorFlow's workers would ignore."""
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


def _notice_within(timeout, tasks):
    """Lets TensorFlow end what waits for a worker that does not answer."""
    jobs = [job for job, _ in tasks]
    context.context().configure_coordination_service(
        "standalone",
        service_leader=_DEVICE.format(*next(iter(tasks))),
        cluster_register_timeout_in_ms=1000 * _START_SECONDS,
        heartbeat_timeout_in_ms=1000 * timeout,
        shutdown_barrier_timeout_in_ms=1000 * timeout,
    )
    service = context.context().coordination_service
    for job in dict.fromkeys(jobs):
        service.coordinated_job_list.add(name=job, num_tasks=jobs.count(job))


def _answers(task):
    try:
        context.context().check_collective_ops_peer_health(
            _DEVICE.format(*task), timeout_in_ms=1000 * _PROBE_SECONDS
        )
    except tf.errors.OpError:
        return False
    return True
