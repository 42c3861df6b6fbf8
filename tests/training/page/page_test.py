"""The page: what it shows, what it says of what is missing, what it loads."""

import html.parser
import json

import numpy as np
import pytest

from indistill_tf.evaluation import Details
from indistill_tf.training import page
from indistill_tf.training import report
from indistill_tf.training.page import details
from indistill_tf.training.page import markup
from indistill_tf.training.page import plots

MEASURED = "cosine", "standard", None
CLASSES = ["cat", "<dog>"]
# How a name may look that would be markup, or mathematics in a plot.
NAME = "<b>$k_$&d</b>"


class Links(html.parser.HTMLParser):
    """Collects what a page refers to, its styles, and its elements."""

    def __init__(self, text):
        super().__init__()
        self.links, self.styles, self.tags = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        for name, value in attributes:
            if name.split(":")[-1] in ("href", "src", "srcset", "action"):
                self.links.append(value)
            if name == "style":
                self.styles.append(value)

    def handle_data(self, data):
        if self.tags[-1:] == ["style"]:
            self.styles.append(data)


def network_record(folder, seed=0, accuracy=0.5, epochs=3, with_details=True):
    """Writes the record of a run with two classes and four test images."""
    folder.mkdir(parents=True)
    result = {
        "model": "cnn_s",
        "method": "pkt",
        "checksum": f"student{seed}",
        "teacher_checksum": "teacher",
        "seed": seed,
        "epochs": epochs,
        "scores": {
            "accuracy": accuracy,
            "retrieval": {"cosine": {"standard": {"map": 0.25, "p@10": 0.75}}},
            "parameters": 14_906,
            "file_bytes": 2048,
            "latency_ms": 1.5,
            "information_flow": {"sum": 0.02},
        },
        "images": {
            "name": "mine",
            "train": 20,
            "test": 4,
            "class_names": CLASSES,
        },
    }
    (folder / "result.json").write_text(json.dumps(result))
    (folder / "flags.txt").write_text("--work_dir=<script>alert(1)</script>\n")
    rows = [f"{epoch},0.5,{epoch + seed},0.6" for epoch in range(epochs)]
    titles = "epoch,loss/task,val_information_flow,val_map"
    (folder / "history.csv").write_text("\n".join([titles, *rows, ""]))
    if with_details:
        some_details([0, 1, 0, 1]).save(folder / "evaluation.npz")


def some_details(predictions):
    labels = np.array([0, 0, 0, 1], "uint8")
    return Details(
        labels=labels,
        predictions=np.array(predictions, "uint8"),
        points=np.arange(8).reshape(4, 2).astype("float16"),
        point_labels=labels,
        query_images=np.full((2, 4, 4, 1), 9, "uint8"),
        query_labels=np.array([0, 1], "uint8"),
        neighbour_images=np.zeros((2, 3, 4, 4, 1), "uint8"),
        neighbour_labels=np.array([[0, 0, 1], [1, 0, 0]], "uint8"),
        teacher_points=np.ones((4, 2), "float16"),
    )


@pytest.fixture
def document():
    """Returns the page of named folders."""

    def document(folders, reference=None):
        networks = page.read(folders)
        results = {network.name: network.first.result for network in networks}
        return page.document(
            networks,
            [report.rows(results, *MEASURED)],
            report.caption(results, *MEASURED[:2]),
            MEASURED,
            reference,
        )

    return document


def test_loads_nothing_and_escapes_names(tmp_path, document):
    network_record(tmp_path / "a")
    network_record(tmp_path / "b", seed=1)
    text = document({NAME: [tmp_path / "a"], "other": [tmp_path / "b"]})
    found = Links(text)
    assert len(found.links) > 20
    assert [x for x in found.links if not x.startswith(("data:", "#"))] == []
    for style in found.styles:
        assert not any(x in style for x in ("http", "@import", "url("))
    assert "http" not in text
    for tag in ("script", "b", "dog", "iframe", "object"):
        assert tag not in found.tags
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
    assert "&lt;dog&gt;" in text
    # In headings and, as it stands, in plots.
    assert text.count("&lt;b&gt;$k_$&amp;d&lt;/b&gt;") > 5
    assert "No evaluation.npz" not in text
    assert "teacher of &lt;b&gt;" in text
    anchors = "scores", "flow", "neighbours", "classes", "compression"
    for anchor in (*anchors, "records"):
        assert f'<section id="{anchor}">' in text
        assert f"#{anchor}" in found.links


def test_the_same_records_give_the_same_page(tmp_path, document):
    network_record(tmp_path / "a")
    folders = {"a": [tmp_path / "a"]}
    assert document(folders) == document(folders)


def test_what_is_missing_is_said(tmp_path, document):
    network_record(tmp_path / "bare", with_details=False)
    (tmp_path / "bare" / "history.csv").unlink()
    text = document({"bare": [tmp_path / "bare"]})
    for part in (
        "No history.csv: bare.",
        "No mAP of the validation split",
        "No L_MI of the validation split",
        f"--details={tmp_path}/bare/evaluation.npz",
    ):
        assert part in text
    # Of the three sections that are made of it.
    assert text.count("No evaluation.npz: bare.") == 3
    network_record(tmp_path / "whole")
    folders = {name: [tmp_path / name] for name in ("bare", "whole")}
    text = document(folders)
    assert "Embeddings of whole" in text
    assert "Embeddings of bare" not in text
    assert text.count("No evaluation.npz: bare.") == 3
    assert "No other network has an evaluation.npz" in text


def test_ladder(tmp_path, document, ladder_record):
    for name in ("a", "b"):
        network_record(tmp_path / name)
    folders = {NAME: [tmp_path / "a"], "b": [tmp_path / "b"]}
    text = document(folders)
    assert (
        "No compress/ladder.json. The tool `compress` writes it, with "
        f"--work_dir={tmp_path}/b." in text
    )
    (tmp_path / "a" / "compress").mkdir()
    record = ladder_record(3, student=0.5, control=0.625)
    written = tmp_path / "a" / "compress" / "ladder.json"
    written.write_text(json.dumps(record))
    text = document(folders)
    assert "No compress/ladder.json" not in text
    assert "<h3>Ladder of &lt;b&gt;$k_$&amp;d&lt;/b&gt;</h3>" in text
    assert "Ladder of b" not in text
    assert "<td>control</td><td>yes</td><td>62.50</td><td>25.00</td>" in text
    assert "seed 3. Epochs more" in text
    assert "on a &lt;processor&gt;." in text
    for score in ("accuracy", "mAP"):
        for cost in ("gzipped bytes", "latency of one image, ms"):
            assert f'aria-label="{score} against {cost}"' in text


def test_seeds_are_a_mean(tmp_path):
    folders = [tmp_path / "kd_seed0", tmp_path / "kd_seed2"]
    network_record(folders[0], seed=0, epochs=3)
    network_record(folders[1], seed=2, epochs=2)
    (network,) = page.read({"kd": folders})
    epochs, values = network.over_epochs("val_information_flow")
    # The epochs that both have.
    np.testing.assert_array_equal(epochs, [1, 2])
    np.testing.assert_array_equal(values, [[0, 1], [2, 3]])
    assert network.over_epochs("none")[0].size == 0
    assert network.scores("mAP", MEASURED) == [25.0, 25.0]
    assert network.scores("P@100", MEASURED) == []


def test_gain_of_each_class(tmp_path, document):
    network_record(tmp_path / "a")
    network_record(tmp_path / "b", seed=1)
    # Of three cats two are recognised by the first, all by the second.
    some_details([0, 0, 0, 0]).save(tmp_path / "b" / "evaluation.npz")
    folders = {"a": [tmp_path / "a"], "b": [tmp_path / "b"]}
    text = document(folders)
    assert "Gain of each class over a" in text
    assert "+33.3" in text
    assert "-100.0" in text
    text = document(folders, reference="b")
    assert "-33.3" in text
    assert "+100.0" in text


def test_confusion_matrix():
    counts = details._counts(some_details([0, 1, 0, 1]), 2)
    np.testing.assert_array_equal(counts, [[2, 1], [0, 1]])


def test_axes_point_the_same_way():
    first = np.array([[1, 2], [-1, 0]])
    points = np.array([[-2, 1], [1, 0]], "float16")
    found = details.mirrored(points, first)
    np.testing.assert_array_equal(found, [[2, 1], [-1, 0]])
    np.testing.assert_array_equal(details.mirrored(points, first[:1]), points)


def test_baseline_of_a_chain_is_the_reference(tmp_path, document):
    for name in ("a", "b"):
        network_record(tmp_path / name)
    folders = {
        "teacher": [tmp_path / "a"],
        "student, baseline": [tmp_path / "b"],
    }
    assert "Gain of each class over student, baseline" in document(folders)


def test_neighbours_are_marked(tmp_path, document):
    network_record(tmp_path / "a")
    text = document({"a": [tmp_path / "a"]})
    # Of two queries with three neighbours each, and the words about them.
    assert "a: 2 of 3" in text
    assert "a: 1 of 3" in text
    assert text.count("✓") == 3 + 1
    assert text.count("✗") == 3 + 1
    assert 'alt="nearest: cat, cat, &lt;dog&gt;"' in text


def test_many_classes():
    names = [f"class {number}" for number in range(100)]
    counts = np.eye(100, dtype=int)
    # Names and numbers would be too small to be read.
    assert "class 7" not in plots.confusion(counts, names, "alt")
    text = plots.gains(np.arange(100) - 50.0, names, "alt")
    shown = [name for name in names if f">{name}<" in text]
    assert shown == names[:10] + names[90:]
    assert len(set(markup.class_colours(100))) == 100
    assert markup.class_colours(2) == ["#3b8fd0", "#e8833a"]


def test_table_and_folded_text_are_escaped():
    text = markup.table([["a", "<"], ["&", "b"]])
    assert "<th>a</th><th>&lt;</th>" in text
    assert "<td>&amp;</td><td>b</td>" in text
    assert "&lt;x&gt;" in markup.folded("s", "<x>")
