from indistill_tf import tables

ROWS = [["", "score"], ["teacher", "9"], ["student", "10.25"]]


def test_aligned():
    assert tables.aligned(ROWS).splitlines() == [
        "         score",
        "--------------",
        "teacher      9",
        "student  10.25",
    ]


def test_rows_one_by_one():
    shape = {"left": (0, 2), "least": (5, 4), "rule": False}
    assert tables.aligned([["a", "1", "one"]], **shape) == "a         1  one"
    assert tables.aligned([["b", "22", ""]], **shape) == "b        22  "


def test_no_spaces_behind_the_last_column():
    lines = tables.aligned(ROWS, left=(0, 1), rule=False).splitlines()
    assert lines[1:] == ["teacher  9", "student  10.25"]


def test_markdown():
    assert tables.markdown(ROWS).splitlines() == [
        "|  | score |",
        "|---|---|",
        "| teacher | 9 |",
        "| student | 10.25 |",
    ]
