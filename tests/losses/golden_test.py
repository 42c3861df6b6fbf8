"""Values and gradients of the reference implementations."""

import numpy as np
import pytest
import tensorflow as tf

from indistill_tf import losses
from indistill_tf import methods


@pytest.mark.parametrize("case", ["n64_c10", "n32_c100"])
@pytest.mark.parametrize("temperature", [1, 2, 4])
def test_softened_kl(
    golden, value_and_gradient, relative_error, case, temperature
):
    data = golden("okd")
    value, gradient = value_and_gradient(
        lambda t, s: losses.softened_kl(t, s, temperature),
        data[f"{case}.z_t"],
        data[f"{case}.z_s"],
    )
    key = f"{case}.T{temperature}"
    assert relative_error(value, float(data[f"{key}.loss_f64"])) < 1e-5
    assert relative_error(gradient, data[f"{key}.grad_s"]) < 1e-5


_PKT = ["relu_n128", "signed_n128", "relu_n80", "signed_n80"]


def golden_case(golden, file, key):
    data = golden(file)
    if key not in data:
        pytest.skip(f"{key} is not among the repository's fixtures")
    return data


@pytest.mark.parametrize("case", _PKT)
def test_probabilistic_kl(golden, value_and_gradient, relative_error, case):
    data = golden_case(golden, "pkt", f"{case}.f_s")
    value, gradient = value_and_gradient(
        losses.probabilistic_kl, data[f"{case}.f_t"], data[f"{case}.f_s"]
    )
    expected = float(data[f"{case}.kl.loss_f64"])
    assert relative_error(value, expected) < 1e-5
    assert relative_error(gradient, data[f"{case}.kl.grad_s"]) < 1e-5


@pytest.mark.parametrize("case", _PKT)
def test_probabilistic_jeffreys(
    golden, value_and_gradient, relative_error, case
):
    data = golden_case(golden, "pkt", f"{case}.f_s")
    value, gradient = value_and_gradient(
        losses.probabilistic_jeffreys, data[f"{case}.f_t"], data[f"{case}.f_s"]
    )
    expected = float(data[f"{case}.combined.loss_f64"])
    assert relative_error(value, expected) < 1e-5
    assert relative_error(gradient, data[f"{case}.combined.grad_s_f64"]) < 2e-5


@pytest.mark.parametrize("case", _PKT)
def test_probabilistic_jeffreys_in_float64(
    golden, value_and_gradient, relative_error, case
):
    data = golden_case(golden, "pkt", f"{case}.f_s")
    value, gradient = value_and_gradient(
        losses.probabilistic_jeffreys,
        data[f"{case}.f_t"].astype("float64"),
        data[f"{case}.f_s"].astype("float64"),
    )
    expected = float(data[f"{case}.combined.loss_f64"])
    assert relative_error(value, expected) < 1e-8
    assert relative_error(gradient, data[f"{case}.combined.grad_s_f64"]) < 1e-6


@pytest.mark.parametrize("layer", ["layer3", "layer2", "layer1", "layer0"])
def test_pkt_h_cr_layers(golden, value_and_gradient, relative_error, layer):
    data = golden_case(golden, "pkt_h_cr", f"{layer}.f_s")
    value, gradient = value_and_gradient(
        losses.probabilistic_jeffreys,
        data[f"{layer}.f_t"],
        data[f"{layer}.f_s"],
    )
    assert relative_error(value, data[f"{layer}.loss_f64"]) < 1e-5
    assert relative_error(gradient, data[f"{layer}.grad_s_f64"]) < 2e-5


def test_pkt_h_cr_epochs(golden, relative_error):
    data = golden("pkt_h_cr")
    values = [data[f"layer{layer}.loss_f64"] for layer in (0, 1, 2, 3)]
    schedule = methods.get("pkt_h_cr").schedule
    for epoch in data["epochs"]:
        total = np.dot(schedule.weights(int(epoch), num_taps=3), values)
        assert relative_error(total, data[f"epoch{epoch}.loss_f64"]) < 1e-8


@pytest.mark.parametrize(
    "loss, key",
    [
        (losses.probabilistic_kl, "kl.grad_s"),
        (losses.probabilistic_jeffreys, "combined.grad_s_f64"),
    ],
)
def test_dead_rows_have_finite_gradients(
    golden, value_and_gradient, relative_error, loss, key
):
    data = golden("pkt")
    value, gradient = value_and_gradient(
        loss, data["dead_rows.f_t"], data["dead_rows.f_s"]
    )
    expected = data[f"dead_rows.{key}"]
    alive = np.isfinite(expected).all(axis=1)
    assert alive.sum() == 30
    loss_key = f"dead_rows.{key.split('.')[0]}.loss_f64"
    assert relative_error(value, float(data[loss_key])) < 1e-5
    assert np.isfinite(gradient).all()
    assert relative_error(gradient[alive], expected[alive]) < 2e-5


@pytest.mark.parametrize("file", ["indistill_layer_synth", "indistill_layer"])
@pytest.mark.parametrize("layer", [0, 1, 2])
@pytest.mark.parametrize("target", ["repo", "clean"])
def test_feature_mse(
    golden, value_and_gradient, relative_error, file, layer, target
):
    data = golden(file)
    if target == "repo":
        teacher = data[f"q12.layer{layer}.repo_target"]
    else:
        kept = data[f"q12.layer{layer}.kept"]
        teacher = data[f"layer{layer}.eval_map"][..., kept]
    value, gradient = value_and_gradient(
        losses.feature_mse, teacher, data[f"layer{layer}.student_map"]
    )
    key = f"q12.layer{layer}.{target}"
    assert relative_error(value, float(data[f"{key}.loss_f64"])) < 1e-5
    assert relative_error(gradient, data[f"{key}.grad_s"]) < 1e-5


@pytest.mark.parametrize("file", ["indistill_layer_synth", "indistill_layer"])
def test_task_of_the_released_code(
    golden, value_and_gradient, relative_error, file
):
    data = golden(file)
    value, gradient = value_and_gradient(
        losses.probabilistic_jeffreys,
        data["layer3.eval_feature"],
        data["layer3.student_feature"],
    )
    assert relative_error(value, float(data["layer3.pkt.loss_f64"])) < 1e-5
    assert relative_error(gradient, data["layer3.pkt.grad_s_f64"]) < 2e-5


def values_and_gradients(loss, sources):
    with tf.GradientTape() as tape:
        tape.watch(sources)
        value = loss()
    return float(value), tape.gradient(value, sources)


_AT = {
    **{
        f"same_{kind}.stage{stage}": (f"{kind}_t{stage}", f"{kind}_s{stage}")
        for kind in "ab"
        for stage in range(3)
    },
    **{
        f"t_larger.stage{stage}": (f"a_t{stage}", f"b_s{stage}")
        for stage in range(3)
    },
    "s_larger.stage0": ("a_t2", "a_s1"),
    "s_larger.stage1": ("b_t2", "a_s2"),
}


@pytest.mark.parametrize("case", [*_AT, "edge"])
def test_attention_transfer(golden, value_and_gradient, relative_error, case):
    data = golden_case(golden, "at", f"{case}.loss_f64")
    if case == "edge":
        teacher, student = "edge.f_t", "edge.f_s"
    else:
        teacher, student = (f"maps.{name}" for name in _AT[case])
    value, gradient = value_and_gradient(
        losses.attention_transfer, data[teacher], data[student]
    )
    expected = float(data[f"{case}.loss_f64"])
    assert relative_error(value, expected) < 1e-5
    assert relative_error(gradient, data[f"{case}.grad_s"]) < 1e-5


def test_hints_without_a_regressor(golden, value_and_gradient, relative_error):
    data = golden_case(golden, "hints", "plain.f_s")
    value, gradient = value_and_gradient(
        losses.feature_mse, data["plain.f_t"], data["plain.f_s"]
    )
    assert relative_error(value, float(data["plain.loss_f64"])) < 1e-5
    assert relative_error(gradient, data["plain.grad_s"]) < 1e-5


@pytest.mark.parametrize("case", ["reg1x1", "reg_down", "reg_up", "reg_valid"])
def test_hints(golden, relative_error, case):
    data = golden_case(golden, "hints", f"{case}.f_s")
    teacher = data[f"{case}.f_t"]
    student = tf.constant(data[f"{case}.f_s"])
    loss = losses.Hints()
    loss.build(teacher.shape, student.shape)
    loss.convolution.set_weights(
        [data[f"{case}.conv_kernel"], data[f"{case}.conv_bias"]]
    )
    loss.normalization.gamma.assign(data[f"{case}.bn_gamma"])
    loss.normalization.beta.assign(data[f"{case}.bn_beta"])
    sources = {
        "grad_s": student,
        "grad_conv_kernel": loss.convolution.kernel.value,
        "grad_bn_gamma": loss.normalization.gamma.value,
        "grad_bn_beta": loss.normalization.beta.value,
    }
    value, gradients = values_and_gradients(
        lambda: loss(teacher, student), sources
    )
    assert relative_error(value, float(data[f"{case}.loss_f64"])) < 1e-5
    for key, gradient in gradients.items():
        assert relative_error(gradient, data[f"{case}.{key}"]) < 1e-5


@pytest.mark.parametrize("case", ["even", "cnn"])
@pytest.mark.parametrize("form", ["meansq", "frobenius"])
def test_flow_of_solution(golden, relative_error, case, form):
    data = golden_case(golden, "fsp", f"{case}.{form}.loss_f64")
    teacher = [data[f"{case}.f_t{index}"] for index in range(3)]
    student = [tf.constant(data[f"{case}.f_s{index}"]) for index in range(3)]

    def loss():
        return sum(
            losses.flow_of_solution(
                teacher[index : index + 2],
                student[index : index + 2],
                frobenius=form == "frobenius",
            )
            for index in range(2)
        )

    value, gradients = values_and_gradients(loss, student)
    expected = float(data[f"{case}.{form}.loss_f64"])
    assert relative_error(value, expected) < 1e-5
    for index, gradient in enumerate(gradients):
        key = f"{case}.{form}.grad_s{index}"
        assert relative_error(gradient, data[key]) < 1e-5


@pytest.mark.parametrize("case", ["even", "cnn"])
@pytest.mark.parametrize("network", ["s", "t"])
@pytest.mark.parametrize("pair", [0, 1])
def test_flow_matrix(golden, relative_error, case, network, pair):
    data = golden_case(golden, "fsp", f"{case}.gram_{network}{pair}")
    matrix = losses.flow_matrix(
        data[f"{case}.f_{network}{pair}"], data[f"{case}.f_{network}{pair + 1}"]
    )
    assert relative_error(matrix, data[f"{case}.gram_{network}{pair}"]) < 1e-5


@pytest.mark.parametrize("part", ["fm", "sr", "sum"])
@pytest.mark.parametrize("case", ["map", "vec", "vec_dense"])
def test_softmax_regression(golden, relative_error, case, part):
    stored = case.removesuffix("_dense")
    data = golden_case(golden, "srrl", f"{stored}.{part}.loss_f64")
    teacher, features = data[f"{stored}.f_t"], data[f"{stored}.f_s"]
    kernel = data[f"{stored}.conv_kernel"]
    if case == "vec_dense":
        teacher, features, kernel = (
            np.squeeze(array, (0, 1) if array is kernel else (1, 2))
            for array in (teacher, features, kernel)
        )
    student = tf.constant(features)
    loss = losses.SoftmaxRegression(
        data[f"{stored}.head_kernel"], data[f"{stored}.head_bias"]
    )
    loss.build(teacher.shape, student.shape)
    loss.projection.kernel.assign(kernel)
    loss.normalization.gamma.assign(data[f"{stored}.bn_gamma"])
    loss.normalization.beta.assign(data[f"{stored}.bn_beta"])

    def mean_of_pixels(maps):
        return tf.reduce_mean(maps, axis=list(range(1, len(maps.shape) - 1)))

    def compute():
        if part == "sum":
            return loss(teacher, student)
        connected = loss.connect(student)
        if part == "fm":
            return losses.pooled_feature_mse(teacher, connected)
        return losses.head_mse(
            loss.head(mean_of_pixels(teacher)),
            loss.head(mean_of_pixels(connected)),
        )

    sources = {
        "grad_s": student,
        "grad_conv_kernel": loss.projection.kernel.value,
        "grad_bn_gamma": loss.normalization.gamma.value,
        "grad_bn_beta": loss.normalization.beta.value,
    }
    value, gradients = values_and_gradients(compute, sources)
    key = f"{stored}.{part}"
    assert relative_error(value, float(data[f"{key}.loss_f64"])) < 1e-5
    for name, gradient in gradients.items():
        expected = data[f"{key}.{name}"].reshape(gradient.shape)
        assert relative_error(gradient, expected) < 1e-5
