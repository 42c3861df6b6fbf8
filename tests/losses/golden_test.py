"""Values and gradients of the reference implementations."""

import numpy as np
import pytest
import tensorflow as tf

from indistill_tf import losses


def value_and_gradient(loss, teacher, student):
    student = tf.constant(student)
    with tf.GradientTape() as tape:
        tape.watch(student)
        value = loss(tf.constant(teacher), student)
    return float(value), tape.gradient(value, student).numpy()


def relative_error(found, expected):
    return np.abs(found - expected).max() / np.abs(expected).max()


@pytest.mark.parametrize("case", ["n64_c10", "n32_c100"])
@pytest.mark.parametrize("temperature", [1, 2, 4])
def test_softened_kl(golden, case, temperature):
    data = golden("okd")
    value, gradient = value_and_gradient(
        lambda t, s: losses.softened_kl(t, s, temperature),
        data[f"{case}.z_t"],
        data[f"{case}.z_s"],
    )
    key = f"{case}.T{temperature}"
    assert value == pytest.approx(float(data[f"{key}.loss_f64"]), rel=1e-5)
    assert relative_error(gradient, data[f"{key}.grad_s"]) < 1e-5


_PKT = ["relu_n128", "signed_n128", "relu_n80", "signed_n80"]


def pkt_case(golden, case):
    data = golden("pkt")
    if f"{case}.f_s" not in data:
        pytest.skip(f"{case} is not among the repository's fixtures")
    return data


@pytest.mark.parametrize("case", _PKT)
def test_probabilistic_kl(golden, case):
    data = pkt_case(golden, case)
    value, gradient = value_and_gradient(
        losses.probabilistic_kl, data[f"{case}.f_t"], data[f"{case}.f_s"]
    )
    expected = float(data[f"{case}.kl.loss_f64"])
    assert value == pytest.approx(expected, rel=1e-5)
    assert relative_error(gradient, data[f"{case}.kl.grad_s"]) < 1e-5


@pytest.mark.parametrize("case", _PKT)
def test_probabilistic_jeffreys(golden, case):
    data = pkt_case(golden, case)
    value, gradient = value_and_gradient(
        losses.probabilistic_jeffreys, data[f"{case}.f_t"], data[f"{case}.f_s"]
    )
    expected = float(data[f"{case}.combined.loss_f64"])
    assert value == pytest.approx(expected, rel=1e-5)
    assert relative_error(gradient, data[f"{case}.combined.grad_s_f64"]) < 2e-5


@pytest.mark.parametrize("case", _PKT)
def test_probabilistic_jeffreys_in_float64(golden, case):
    data = pkt_case(golden, case)
    value, gradient = value_and_gradient(
        losses.probabilistic_jeffreys,
        data[f"{case}.f_t"].astype("float64"),
        data[f"{case}.f_s"].astype("float64"),
    )
    expected = float(data[f"{case}.combined.loss_f64"])
    assert value == pytest.approx(expected, rel=1e-8)
    assert relative_error(gradient, data[f"{case}.combined.grad_s_f64"]) < 1e-6


@pytest.mark.parametrize(
    "loss, key",
    [
        (losses.probabilistic_kl, "kl.grad_s"),
        (losses.probabilistic_jeffreys, "combined.grad_s_f64"),
    ],
)
def test_dead_rows_have_finite_gradients(golden, loss, key):
    data = golden("pkt")
    value, gradient = value_and_gradient(
        loss, data["dead_rows.f_t"], data["dead_rows.f_s"]
    )
    expected = data[f"dead_rows.{key}"]
    alive = np.isfinite(expected).all(axis=1)
    assert alive.sum() == 30
    loss_key = f"dead_rows.{key.split('.')[0]}.loss_f64"
    assert value == pytest.approx(float(data[loss_key]), rel=1e-5)
    assert np.isfinite(gradient).all()
    assert relative_error(gradient[alive], expected[alive]) < 2e-5


@pytest.mark.parametrize("file", ["indistill_layer_synth", "indistill_layer"])
@pytest.mark.parametrize("layer", [0, 1, 2])
@pytest.mark.parametrize("target", ["repo", "clean"])
def test_feature_mse(golden, file, layer, target):
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
    assert value == pytest.approx(float(data[f"{key}.loss_f64"]), rel=1e-5)
    assert relative_error(gradient, data[f"{key}.grad_s"]) < 1e-5


@pytest.mark.parametrize("file", ["indistill_layer_synth", "indistill_layer"])
def test_task_of_the_released_code(golden, file):
    data = golden(file)
    value, gradient = value_and_gradient(
        losses.probabilistic_jeffreys,
        data["layer3.eval_feature"],
        data["layer3.student_feature"],
    )
    assert value == pytest.approx(float(data["layer3.pkt.loss_f64"]), rel=1e-5)
    assert relative_error(gradient, data["layer3.pkt.grad_s_f64"]) < 2e-5
