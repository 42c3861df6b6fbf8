import pytest

from indistill_tf.cifd.architectures import ARCHITECTURES
from indistill_tf.cifd.architectures import Architecture
from indistill_tf.cifd.architectures import architecture
from indistill_tf.cifd.rdm import RateDistortionModules
from indistill_tf.errors import UserError


def multiplications(name, width, num_classes):
    modules = RateDistortionModules([1.0], width, num_classes, name)
    layers = [
        modules.hidden,
        modules.code,
        modules.decoder,
        modules.output_layer,
        modules.classifier,
    ]
    kernels = [layer.kernel.shape for layer in layers if layer is not None]
    return sum(before * after for _, before, after in kernels)


def test_resnet34_has_the_papers_number_of_multiplications():
    # 3 * 512**2 + 512 * 1000; the paper says 1.31 million.
    assert multiplications("imagenet_resnet34", 512, 1000) == 1_298_432


def test_resnet50_has_an_output_of_the_teachers_width():
    # 2048 * 1024 + 2 * 1024**2 + 1024 * 2048 + 2048 * 1000
    assert multiplications("imagenet_resnet50", 2048, 1000) == 8_339_456


def test_plain_network_as_in_the_paper():
    # 512 * 512 + 512 * 306 + 306 * 100 + 100 * 100
    assert multiplications("cifar_plain", 512, 100) == 459_416
    assert not ARCHITECTURES["cifar_plain"].reconstruction


def test_widths_may_follow_the_teacher():
    assert ARCHITECTURES["cifar_pair"].widths(128) == (128, 128, 128)
    assert ARCHITECTURES["clip"].widths(768) == (2304, 768, 2304)
    assert Architecture(7, 0.5, 2.0).widths(10) == (7, 5, 20)
    with pytest.raises(UserError, match="at least 1"):
        Architecture(code=0.01).widths(10)


def test_names():
    assert architecture("cifar_pair") is ARCHITECTURES["cifar_pair"]
    assert architecture(Architecture(3)) == Architecture(3)
    with pytest.raises(UserError, match="cifar_plain, cifar_pair"):
        architecture("cifar")
