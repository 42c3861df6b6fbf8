"""Methods over seeds: deviations, papers, references."""

import pytest

from indistill_tf.errors import UserError
from indistill_tf.training import comparison


def result(accuracy, images="mine"):
    retrieval = {"cosine": {"standard": {"map": 0.25, "p@10": 0.75}}}
    return {
        "scores": {"accuracy": accuracy / 100, "retrieval": retrieval},
        "images": {"name": images, "train": 20, "test": 10},
    }


def runs(**accuracies):
    return {
        f"runs/{name}_seed{seed}": result(accuracy)
        for name, values in accuracies.items()
        for seed, accuracy in enumerate(values)
    }


def cells(text, score):
    """Returns the rows of a score's table, as lists."""
    (table,) = [x for x in text.split("\n\n") if x.startswith(f"| {score} |")]
    rows = [line.strip("|").split("|") for line in table.splitlines()]
    return [[cell.strip() for cell in row] for row in [rows[0], *rows[2:]]]


def test_seeds_become_one_row():
    text = comparison.comparison(
        {**runs(kd=(50, 52, 57)), "runs/alone": result(50)}
    )
    # Mean 53, deviation sqrt((9 + 1 + 16) / 2) = 3.61.
    assert cells(text, "accuracy") == [
        ["accuracy", "n", "here"],
        ["kd", "3", "53.00 ± 3.61"],
        ["alone", "1", "50.00"],
    ]
    assert cells(text, "mAP")[1] == ["kd", "3", "25.00 ± 0.00"]
    assert cells(text, "P@10")[1] == ["kd", "3", "75.00 ± 0.00"]
    assert text.splitlines()[-1] == (
        "mine: 10 test images, retrieval among 20 training images, cosine, "
        "standard protocol. Mean ± standard deviation over n seeds (of a "
        "sample)."
    )


def test_a_papers_numbers(tmp_path):
    path = tmp_path / "papers.csv"
    path.write_text(
        "# A paper.\nmethod,accuracy,mAP\nnew,,26\nkd,52.5,\nat,1,\n"
    )
    papers = comparison.read_papers(path)
    assert papers == {
        "new": {"mAP": 26.0},
        "kd": {"accuracy": 52.5},
        "at": {"accuracy": 1.0},
    }
    results = runs(own=(40,), kd=(50, 52, 57), new=(60,))
    text = comparison.comparison(results, papers=papers)
    # In the paper's order, and its scores alone.
    assert cells(text, "accuracy") == [
        ["accuracy", "n", "here", "paper", "difference to paper"],
        ["new", "1", "60.00", "", ""],
        ["kd", "3", "53.00 ± 3.61", "52.50", "+0.50"],
        ["own", "1", "40.00", "", ""],
    ]
    assert cells(text, "mAP")[1] == ["new", "1", "25.00", "26.00", "-1.00"]
    assert "P@10" not in text


def test_differences_to_a_reference():
    results = runs(
        base=(50, 51, 52, 53, 54),
        # Deviation 1.58 as the base's: 3.16 are needed.
        clear=(53.2, 54.2, 55.2, 56.2, 57.2),
        near=(54, 52, 55, 57, 57),
        few=(40, 41, 42),
        single=(10,),
    )
    text = comparison.comparison(results, reference="base")
    titles, base, clear, near, few, single = cells(text, "accuracy")
    assert titles == ["accuracy", "n", "here", "difference to base", "p"]
    assert base[3:] == ["", ""]
    assert clear[3:] == ["+3.20 *", "0.0000"]
    # Differences 4, 1, 3, 4, 3: mean 3, deviation sqrt(6 / 4), t = 5.4772,
    # p of 4 degrees = 1 - sin(angle) (1 + cos(angle)^2 / 2) = 0.0054.
    assert near[3:] == ["+3.00", "0.0054"]
    assert few[3:] == ["-11.00 *", ""]
    assert single[3:] == ["-42.00", ""]
    assert "*: a difference above both deviations together." in text


def test_columns_that_some_methods_lack():
    results = runs(alone=(50, 52), taught=(53,), other=(54,))
    for name, flow in (("taught", 0.0205), ("other", 0.02181)):
        scores = results[f"runs/{name}_seed0"]["scores"]
        scores["information_flow"] = {"sum": flow}
    text = comparison.comparison(
        results, reference="taught", columns=["L_MI", "accuracy"]
    )
    assert cells(text, "L_MI") == [
        ["L_MI", "n", "here", "difference to taught", "p"],
        ["taught", "1", "0.0205", "", ""],
        ["other", "1", "0.0218", "+0.0013", ""],
    ]
    assert cells(text, "accuracy")[1][0] == "alone"
    assert "mAP" not in text
    # The reference itself may lack a score.
    text = comparison.comparison(results, reference="alone")
    assert cells(text, "L_MI")[1] == ["taught", "1", "0.0205", "", ""]


def test_comparisons_that_are_refused():
    both = runs(kd=(50, 52))
    with pytest.raises(UserError, match="pkt"):
        comparison.comparison(both, reference="pkt")
    with pytest.raises(UserError, match="P@100"):
        comparison.comparison(both, papers={"kd": {"P@100": 1.0}})
    with pytest.raises(UserError, match="Two runs have the name 'kd_seed1'"):
        comparison.comparison({**both, "other/kd_seed1": result(1)})
    with pytest.raises(UserError, match="other images cannot be compared"):
        comparison.comparison({**both, "runs/x": result(1, "yours")})


@pytest.mark.parametrize(
    "text", ["", "method,mAP\nkd,many\n", "method,mAP\nkd,1,2\n"]
)
def test_papers_file_that_cannot_be_read(tmp_path, text):
    path = tmp_path / "papers.csv"
    path.write_text(text)
    with pytest.raises(UserError, match="expected a line of titles"):
        comparison.read_papers(path)
