"""Jobs of a cluster, as text: Slurm's directives, Kubernetes' Job."""

import pathlib
import re
import shlex
import subprocess

import pytest
import yaml

from indistill_tf.errors import UserError
from indistill_tf_tools import launchers
from indistill_tf_tools.sweep_file import Row

ROWS = [
    Row("okd_seed0", "distill", ("--method=okd", "--seed=0")),
    Row("alone", "train", ("--train_split=train[:50%]", "--x=it's $HOME")),
    Row("labels/okd", "distill", ("--method=okd",)),
]
OPTIONS = {"image": "registry/image:1", "claim": "work"}

# Of the Job of batch/v1: the fields that are used, with their types.
JOB = {
    "apiVersion": str,
    "kind": str,
    "metadata": {"name": str},
    "spec": {
        "completionMode": str,
        "completions": int,
        "parallelism": int,
        "backoffLimitPerIndex": int,
        "template": {
            "spec": {
                "restartPolicy": str,
                "containers": [
                    {
                        "name": str,
                        "image": str,
                        "workingDir": str,
                        "command": [str],
                        "args": [str],
                        "resources": {"limits": dict},
                        "volumeMounts": [{"name": str, "mountPath": str}],
                    }
                ],
                "volumes": [
                    {
                        "name": str,
                        "persistentVolumeClaim": {"claimName": str},
                    }
                ],
            }
        },
    },
}


def check(value, schema):
    if isinstance(schema, dict):
        assert value.keys() == schema.keys()
        for name, kind in schema.items():
            check(value[name], kind)
    elif isinstance(schema, list):
        assert value
        for item in value:
            check(item, schema[0])
    else:
        assert type(value) is schema


def ran(script, variable, index, tmp_path):
    """Runs a script with a Python that says what it was given."""
    python = tmp_path / "python"
    python.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    python.chmod(0o755)
    environment = {variable: str(index), "PATH": f"{tmp_path}:/usr/bin:/bin"}
    subprocess.run(["/bin/sh", "-c", script], env=environment, check=True)


@pytest.mark.parametrize("index", range(3))
def test_slurm(tmp_path, monkeypatch, index):
    monkeypatch.setattr(launchers.sys, "executable", "python")
    folder = tmp_path / "my runs"
    options = {"partition": "gpu", "requeue": ""}
    text = launchers.job("slurm", ROWS, folder, 2, options)
    lines = text.splitlines()
    assert lines[:6] == [
        "#!/bin/sh",
        "#SBATCH --job-name=my runs",
        "#SBATCH --array=0-2%2",
        f"#SBATCH --output={folder}/slurm_%A_%a.txt",
        "#SBATCH --partition=gpu",
        "#SBATCH --requeue",
    ]
    # `sbatch` reads directives up to the first command.
    assert not any(line.startswith("#SBATCH") for line in lines[6:])
    ran(text, "SLURM_ARRAY_TASK_ID", index, tmp_path)
    row = ROWS[index]
    said = (folder / row.name / "log.txt").read_text().splitlines()
    expected = ["-P", "-m", "indistill_tf_tools", *row.command_line(folder)]
    assert said == expected


def test_slurm_without_a_limit(tmp_path):
    text = launchers.job("slurm", ROWS, tmp_path, None, {})
    assert "#SBATCH --array=0-2\n" in text


@pytest.mark.parametrize("index", range(3))
def test_kubernetes(tmp_path, index):
    folder = tmp_path / "My_runs"
    options = {**OPTIONS, "gpus": "1", "memory": "8Gi"}
    job = yaml.safe_load(launchers.job("kubernetes", ROWS, folder, 2, options))
    check(job, JOB)
    assert (job["apiVersion"], job["kind"]) == ("batch/v1", "Job")
    assert job["metadata"]["name"].startswith("my-runs-")
    spec = job["spec"]
    assert spec["completionMode"] == "Indexed"
    assert (spec["completions"], spec["parallelism"]) == (3, 2)
    pod = spec["template"]["spec"]
    # What `backoffLimitPerIndex` asks for.
    assert pod["restartPolicy"] == "Never"
    (container,) = pod["containers"]
    assert container["image"] == "registry/image:1"
    limits = {"nvidia.com/gpu": "1", "memory": "8Gi"}
    assert container["resources"]["limits"] == limits
    (volume,), (mount,) = pod["volumes"], container["volumeMounts"]
    assert volume["persistentVolumeClaim"] == {"claimName": "work"}
    assert volume["name"] == mount["name"]
    assert mount["mountPath"] == container["workingDir"]
    assert mount["mountPath"] == str(pathlib.Path.cwd())
    assert container["command"] == ["/bin/sh", "-c"]
    (script,) = container["args"]
    ran(script, "JOB_COMPLETION_INDEX", index, tmp_path)
    row = ROWS[index]
    said = (folder / row.name / "log.txt").read_text().splitlines()
    assert said[3:] == row.command_line(folder)


def test_kubernetes_runs_all_at_a_time(tmp_path):
    job = yaml.safe_load(
        launchers.job("kubernetes", ROWS, tmp_path, None, OPTIONS)
    )
    assert job["spec"]["parallelism"] == 3


def test_a_job_of_other_runs_has_another_name(tmp_path):
    def name(rows):
        text = launchers.job("kubernetes", rows, tmp_path, None, OPTIONS)
        return yaml.safe_load(text)["metadata"]["name"]

    assert name(ROWS) == name(ROWS)
    assert name(ROWS) != name(ROWS[1:])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"image": "x"}, "needs --launcher_options=claim=NAME"),
        ({"claim": "x"}, "needs --launcher_options=image=NAME"),
        ({**OPTIONS, "queue": "x"}, "Received: 'queue'"),
    ],
)
def test_kubernetes_options_that_are_refused(tmp_path, options, message):
    with pytest.raises(UserError, match=message):
        launchers.job("kubernetes", ROWS, tmp_path, None, options)


@pytest.mark.parametrize("launcher", launchers.SUBMIT)
def test_nothing_to_submit_with(launcher, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    command = launchers.SUBMIT[launcher][0]
    with pytest.raises(UserError, match=f"needs the command '{command}', wh"):
        launchers.submit(launcher, "")


def test_submitted(monkeypatch, tmp_path):
    (tmp_path / "sbatch").write_text("#!/bin/sh\n/bin/cat; echo job 7\n")
    (tmp_path / "kubectl").write_text("#!/bin/sh\necho no $1 >&2; exit 1\n")
    for name in ("sbatch", "kubectl"):
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert launchers.submit("slurm", "text\n") == "text\njob 7"
    with pytest.raises(UserError, match="kubectl: no apply"):
        launchers.submit("kubernetes", "")
    assert shlex.join(launchers.SUBMIT["kubernetes"]) == "kubectl apply -f -"


def test_slurm_starts_workers_by_srun(tmp_path):
    text = launchers.job("slurm", ROWS[:1], tmp_path, None, {}, workers=4)
    assert "#SBATCH --ntasks=4\n" in text
    assert "\nexec srun --kill-on-bad-exit=1 " in text
    assert "srun" not in launchers.job("slurm", ROWS[:1], tmp_path, None, {})


def test_kubernetes_workers_find_each_other(tmp_path):
    text = launchers.job(
        "kubernetes", ROWS[:2], tmp_path, None, OPTIONS, workers=2
    )
    parts = list(yaml.safe_load_all(text))
    assert [part["kind"] for part in parts] == ["Service", "Job"] * 2
    service, job = parts[:2]
    name = job["metadata"]["name"]
    assert service["spec"]["clusterIP"] == "None"
    assert service["spec"]["selector"] == {"job-name": name}
    spec = job["spec"]
    assert (spec["completions"], spec["parallelism"]) == (2, 2)
    pod = spec["template"]["spec"]
    assert pod["subdomain"] == service["metadata"]["name"] == name
    (script,) = pod["containers"][0]["args"]
    hosts = f"{name}-0.{name},{name}-1.{name}"
    assert script.startswith(f"export WORKER_HOSTS={hosts}\n")
    ran(script, "JOB_COMPLETION_INDEX", 1, tmp_path)
    said = (tmp_path / "okd_seed0" / "log.txt").read_text().splitlines()
    assert said[3:] == ROWS[0].command_line(tmp_path)


def test_the_files_in_the_docs(monkeypatch):
    page = (pathlib.Path(__file__).parents[2] / "docs/scale.md").read_text()
    monkeypatch.setattr(launchers.sys, "executable", "/project/bin/python")
    monkeypatch.setattr(launchers.os, "getcwd", lambda: "/project")
    flags = (
        "--strategy=multi_worker --flagfile=imagenet_resnet50_resnet18.flags "
        "--method=okd --gradient_accumulation=1 --batch_size=128 "
        "--data_dir=data"
    )
    row = Row("okd", "distill", tuple(flags.split()))
    options = re.findall(r"--launcher_options=(\S+)", page)
    for launcher, texts in zip(launchers.SUBMIT, options, strict=True):
        pairs = dict(text.partition("=")[::2] for text in texts.split(","))
        job = launchers.job(
            launcher, [row], pathlib.Path("runs"), None, pairs, workers=4
        )
        assert f"\n{job}```\n" in page
