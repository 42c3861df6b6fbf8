import pytest

from indistill_tf_tools import benchmarks


@pytest.mark.slow
def test_what_had_warmed_up_hardly_moves():
    rows = benchmarks.stage_change(steps=60)
    divided, met = rows["what Adam divides by"], rows["gradients of the task"]
    never, fresh = (
        rows[f"restart {restart}, step 20"] for restart in ("never", "stage")
    )
    for layer in ("conv1", "conv2", "conv3"):
        assert divided[layer] > 30 * met[layer]
        assert never[layer] < fresh[layer] / 3
    # Nothing had trained it.
    assert divided["fc1"] == 0
    first = rows["restart never, step 2"]["fc1"]
    assert first > 1.5 * rows["restart stage, step 2"]["fc1"]
