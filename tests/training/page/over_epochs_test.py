import json
import xml.etree.ElementTree

import pytest

from indistill_tf.errors import UserError
from indistill_tf.training import page


def networks(tmp_path, **scores):
    """The records of networks: for each seed, mAP every second epoch."""
    folders = {}
    for name, seeds in scores.items():
        folders[name] = []
        for seed, values in enumerate(seeds):
            folder = tmp_path / f"{name}_seed{seed}"
            folder.mkdir()
            (folder / "result.json").write_text(json.dumps({"seed": seed}))
            rows = ["epoch,loss,val_map"]
            for number, value in enumerate(values):
                rows += [f"{2 * number},0.5,", f"{2 * number + 1},0.5,{value}"]
            (folder / "history.csv").write_text("\n".join([*rows, ""]))
            folders[name].append(folder)
    return page.read(folders)


def test_the_first_epoch_with_a_score(tmp_path):
    found = networks(
        tmp_path,
        # The second falls below again, the third never gets there.
        pkt=([0.3, 0.5, 0.6], [0.5, 0.4, 0.6], [0.3, 0.4, 0.49]),
        never=([0.1],),
    )
    assert page.reached(found, 50)[1:] == [
        # Epochs 4 and 2.
        ["pkt", "3", "2", "3.0 ± 1.4"],
        ["never", "1", "0", ""],
    ]


def test_curves_are_a_picture_of_their_own(tmp_path):
    svg = page.curves(networks(tmp_path, pkt=([0.3, 0.5], [0.2, 0.6])))
    root = xml.etree.ElementTree.fromstring(svg)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert "mAP, %" in svg and "pkt" in svg


def test_runs_without_validation_are_named(tmp_path):
    found = networks(tmp_path, pkt=([0.3],), blind=([],))
    for function in (page.curves, lambda found: page.reached(found, 50)):
        with pytest.raises(UserError, match="^blind logged no mAP .*every=5"):
            function(found)
