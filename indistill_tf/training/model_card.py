"""The model card of an exported student: Markdown, from records alone.

Its first lines are the fields by which Hugging Face files a model.
"""

import json
import pathlib

from indistill_tf import tables
from indistill_tf.hints import Path
from indistill_tf.training import loading_code
from indistill_tf.training import promises
from indistill_tf.training import report

_USE = """\
It takes images like those that it was trained on for one of the classes \
below, and gives each an embedding by which images like it are found. It was \
measured on the test images of one data set; of other images nothing is known. \
It answers whatever it is shown, also what is of none of its classes. Its \
probabilities were not calibrated. It must not decide alone where a mistake \
harms people."""


def text(folder: Path, exported: dict) -> str:
    """Returns a model card.

    Args:
        folder: the work directory of a finished run.
        exported: the record of its exports, see `export_run`.

    Returns:
        Markdown.

    Raises:
        UserError: if the run's record is missing or damaged.
    """
    folder = pathlib.Path(folder)
    result = promises.read(folder / promises.RECORD)
    result = {"model": exported["model"], **result}
    sections = {
        "Intended use and limits": _use(result),
        "Data": _data(result["images"]),
        "Training": _training(result, folder / "teacher" / "result.json"),
        "Scores": _scores(result),
        "Files": _files(exported["exports"]),
        "Loading": loading_code.text(exported["exports"], result["images"]),
    }
    parts = [
        _front_matter(result),
        f"# {result['model']}, {_taught(result)}",
        *(f"## {title}\n\n{body}" for title, body in sections.items() if body),
    ]
    return "\n\n".join(parts) + "\n"


def _taught(result):
    method = result.get("method")
    return f"distilled by {method}" if method else "trained from labels"


def _front_matter(result):
    name = result["images"]["name"]
    fields = {
        "library_name": "keras",
        "pipeline_tag": "image-classification",
        "tags": ["knowledge-distillation", result["model"]],
        "datasets": [name],
    }
    if "scores" in result:
        scores = {
            "task": {"type": "image-classification"},
            "dataset": {"name": name, "type": name},
            "metrics": [
                {"type": metric, "value": round(value, 2)}
                for metric, value in report.scores(result).items()
            ],
        }
        fields["model-index"] = [{"name": result["model"], "results": [scores]}]
    # JSON is YAML, and quotes what needs it.
    lines = [f"{key}: {json.dumps(value)}" for key, value in fields.items()]
    return "\n".join(["---", *lines, "---"])


def _use(result):
    classes = len(result["images"]["class_names"])
    accuracy = result.get("scores", {}).get("accuracy", 1)
    if accuracy >= 2 / classes or classes < 3:
        return _USE
    return (
        f"{_USE}\n\nIts classes are worth little: an accuracy of "
        f"{100 * accuracy:.2f} % is about what chance gives. It was trained "
        "for its embedding; use that alone."
    )


def _data(images):
    prepared = images["preprocessing"]
    height, width = prepared["image_size"]
    mean, std = (
        ", ".join(f"{value:.4f}" for value in prepared[name])
        for name in ("mean", "std")
    )
    return (
        f"{images['name']}: {images['train']:,} images to train on, "
        f"{images['test']:,} to test on. They are brought to {height} x "
        f"{width} pixels ({prepared['resize']}) and normalised, scaled to "
        f"0..1, by the mean {mean} and the deviation {std}.\n\n"
        f"Classes: {', '.join(images['class_names'])}."
    )


def _training(result, teacher):
    lines = [f"- Method: {result.get('method') or 'labels alone'}"]
    if result.get("teacher_checksum"):
        lines.append(f"- Teacher: {_teacher(result, teacher)}")
    recipe = result.get("recipe", {})
    lines += [
        f"- {title}: {recipe[name]}"
        for name, title in (
            ("epochs", "Epochs"),
            ("batch_size", "Batch"),
            ("optimizer_name", "Optimizer"),
            ("learning_rate", "Learning rate"),
        )
        if name in recipe
    ]
    lines += [
        f"- {title}: {result[name]}"
        for name, title in (("seed", "Seed"), ("checksum", "Weights' SHA-256"))
        if name in result
    ]
    return "\n".join(lines)


def _teacher(result, record):
    known = f"SHA-256 of its weights {result['teacher_checksum']}"
    if not record.exists():
        return known
    teacher = promises.read(record)
    accuracy = 100 * teacher["scores"]["accuracy"]
    return f"{teacher['model']}, accuracy {accuracy:.2f} %; {known}"


def _scores(result):
    if "scores" not in result:
        return ""
    scores = report.scores(result)
    rows = [
        list(scores),
        [f"{value:.2f}" for value in scores.values()],
    ]
    said = report.caption({"student": result}, "cosine", "standard")
    return (
        f"{tables.markdown(rows)}\n\nIn percent. {said} One run; its spread "
        "over seeds is not in its record."
    )


def _files(exports):
    rows = [("format", "bytes", "gzipped", "accuracy", "mAP", "agreement")]
    for name, export in exports.items():
        check = export.get("check", {})
        measured = (check.get(x) for x in ("accuracy", "map", "agreement"))
        rows.append(
            (
                name,
                f"{export['bytes']:,}",
                f"{export['gzip_bytes']:,}",
                *("" if x is None else f"{100 * x:.2f}" for x in measured),
            )
        )
    sums = "\n".join(
        f"{checksum}  {name}"
        for export in exports.values()
        for name, checksum in export["sha256"].items()
    )
    return (
        f"{tables.markdown(rows)}\n\n{_checked(exports)}"
        "SHA-256 of the files, as `sha256sum --check` reads it:\n\n"
        f"```text\n{sums}\n```"
    )


def _checked(exports):
    checks = [x["check"] for x in exports.values() if "check" in x]
    if not checks:
        return ""
    *_, last = checks
    return (
        "Accuracy, mAP (cosine, standard protocol) and agreement of the first "
        f"class with the network are in percent, of {last['images']:,} test "
        f"images and {last['database']:,} training images, each file read by "
        "its own runtime.\n\n"
    )
