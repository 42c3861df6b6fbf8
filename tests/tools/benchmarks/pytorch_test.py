import sys

import pytest

from indistill_tf import errors
from indistill_tf_tools import benchmarks


def test_without_pytorch_one_line_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    module = "indistill_tf_tools.benchmarks.pytorch_loop"
    monkeypatch.delitem(sys.modules, module, raising=False)
    with pytest.raises(errors.UserError, match="pip install torch pillow"):
        benchmarks.torch(repeats=1)


def test_the_loop_has_the_networks_of_the_other_side():
    pytest.importorskip("torch")
    from indistill_tf_tools.benchmarks import networks
    from indistill_tf_tools.benchmarks import pytorch_loop

    split, preprocessing = networks.image_set(16)
    images = pytorch_loop.batches(split, preprocessing, 8, 4, workers=0)
    pixels, labels = next(images)
    assert pixels.shape == (8, 3, 32, 32) and labels.shape == (8,)
    for width, parameters in ((8, 15_050), (16, 57_994)):
        network = pytorch_loop._Network(width, networks.CLASSES)
        assert sum(w.numel() for w in network.parameters()) == parameters
    for stage in range(4):
        pytorch_loop.step_function(images, stage, networks.CLASSES)(1)
