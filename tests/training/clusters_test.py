"""Which processes train together, read from the environment."""

import json

import pytest

from indistill_tf.errors import UserError
from indistill_tf.training import clusters


@pytest.fixture
def environment(monkeypatch):
    for name in ("TF_CONFIG", "SLURM_STEP_NODELIST", clusters.HOSTS):
        monkeypatch.delenv(name, raising=False)

    def environment(**variables):
        for name, value in variables.items():
            monkeypatch.setenv(name, value)

    return environment


def config(cluster, kind, index):
    task = {"type": kind, "index": index}
    return json.dumps({"cluster": cluster, "task": task})


def found():
    resolver = clusters.find()
    own = resolver.task_type, resolver.task_id
    return own, clusters.tasks(resolver.cluster_spec())


def test_tf_config_with_a_chief(environment):
    cluster = {"worker": ["b:1", "c:1"], "chief": ["a:1"]}
    environment(TF_CONFIG=config(cluster, "worker", 0))
    own, tasks = found()
    assert own == ("worker", 0)
    assert list(tasks.values()) == ["a:1", "b:1", "c:1"]
    assert list(tasks).index(own) == 1


def test_slurm_in_its_own_order(environment):
    environment(
        SLURM_STEP_NODELIST="node[9-10]",
        SLURM_STEP_TASKS_PER_NODE="2(x2)",
        SLURM_PROCID="2",
    )
    own, tasks = found()
    assert own == ("worker", 2)
    assert list(tasks.values()) == [
        "node9:8888",
        "node9:8889",
        "node10:8888",
        "node10:8889",
    ]


def test_processes_of_a_kubernetes_job(environment):
    environment(WORKER_HOSTS="x-0.x,x-1.x:99", JOB_COMPLETION_INDEX="1")
    own, tasks = found()
    assert own == ("worker", 1)
    assert list(tasks.values()) == ["x-0.x:8888", "x-1.x:99"]


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({}, "`strategy=multi_worker` finds no other process"),
        ({"TF_CONFIG": "{"}, "does not say which"),
        (
            {"TF_CONFIG": config({"worker": ["a:1"]}, "worker", 1)},
            "no worker",
        ),
        ({"TF_CONFIG": config({"ps": ["a:1"]}, "ps", 0)}, "there is no ps 0"),
        ({"WORKER_HOSTS": "a,b"}, "JOB_COMPLETION_INDEX"),
        ({"WORKER_HOSTS": "a", "JOB_COMPLETION_INDEX": "x"}, "does not say"),
        ({"SLURM_STEP_NODELIST": "a"}, "SLURM_STEP_TASKS_PER_NODE"),
    ],
)
def test_environments_that_are_refused(environment, variables, message):
    environment(**variables)
    with pytest.raises(UserError, match=message):
        clusters.find()


def test_strategies_that_ignore_the_others(environment):
    clusters.refuse_several("default")
    environment(TF_CONFIG=config({"worker": ["a:1"]}, "worker", 0))
    clusters.refuse_several("default")
    environment(TF_CONFIG=config({"worker": ["a:1", "b:1"]}, "worker", 0))
    with pytest.raises(UserError, match="2 processes, and each would train"):
        clusters.refuse_several("mirrored")
    environment(TF_CONFIG="[]")
    with pytest.raises(UserError, match="cannot be read"):
        clusters.refuse_several("default")
