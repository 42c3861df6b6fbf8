"""Losses on relations, probabilities and memory banks against references."""

import numpy as np
import pytest
import tensorflow as tf

from indistill_tf import losses

_RELATIVE = [
    ("relative_raw", "f_s", "f_t", False),
    ("relative_unit", "f_s", "f_t", True),
    ("relative_raw_signed", "f_s_signed", "f_t_signed", False),
    ("relative_unit_signed", "f_s_signed", "f_t_signed", True),
]
_ABSOLUTE = [
    ("absolute_raw", "f_s", "f_t_equal_width", False),
    ("absolute_unit", "f_s", "f_t_equal_width", True),
]
_MKT = [(losses.metric_relative, *case) for case in _RELATIVE]
_MKT += [(losses.metric_absolute, *case) for case in _ABSOLUTE]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("loss, case, student, teacher, normalize", _MKT)
def test_mkt(
    golden,
    value_and_gradient,
    relative_error,
    loss,
    case,
    student,
    teacher,
    normalize,
    dtype,
):
    data = golden("mkt")
    value, gradient = value_and_gradient(
        lambda t, s: loss(t, s, normalize),
        data[f"in.{teacher}"].astype(dtype),
        data[f"in.{student}"].astype(dtype),
    )
    tolerance = {"float32": (1e-5, 1e-5), "float64": (1e-8, 1e-6)}[dtype]
    expected = float(data[f"{case}.loss_f64"])
    assert relative_error(value, expected) < tolerance[0]
    expected = data[f"{case}.grad_s_f64"]
    assert relative_error(gradient, expected) < tolerance[1]


@pytest.mark.parametrize("case", ["n64_c10", "n32_c100", "confident"])
@pytest.mark.parametrize("temperature", [1, 4])
@pytest.mark.parametrize("term", ["inter", "intra"])
def test_dist(
    golden, value_and_gradient, relative_error, case, temperature, term
):
    data = golden("dist")
    loss = {"inter": losses.pearson_inter, "intra": losses.pearson_intra}[term]
    value, gradient = value_and_gradient(
        lambda t, s: loss(t, s, temperature),
        data[f"{case}.z_t"],
        data[f"{case}.z_s"],
    )
    key = f"{case}.tau{temperature}"
    value_tolerance, gradient_tolerance = {"rel": 1e-5, "abs": 0}, 1e-5
    if case == "confident":
        value_tolerance, gradient_tolerance = {"rel": 2e-5, "abs": 0}, 2e-5
        if (term, temperature) == ("inter", 1):
            # One minus a correlation of 0.9999.
            value_tolerance, gradient_tolerance = {"abs": 1e-6}, 1e-3
    expected = float(data[f"{key}.{term}_f64"])
    assert value == pytest.approx(expected, **value_tolerance)
    expected = data[f"{key}.grad_s_{term}"]
    assert relative_error(gradient, expected) < gradient_tolerance


@pytest.mark.parametrize("case", ["n64_c10", "n32_c100", "confident"])
@pytest.mark.parametrize("temperature", [1, 4])
@pytest.mark.parametrize("term", ["inter", "intra"])
def test_dist_in_float64(
    golden, value_and_gradient, relative_error, case, temperature, term
):
    data = golden("dist")
    loss = {"inter": losses.pearson_inter, "intra": losses.pearson_intra}[term]
    value, _ = value_and_gradient(
        lambda t, s: loss(t, s, temperature),
        data[f"{case}.z_t"].astype("float64"),
        data[f"{case}.z_s"].astype("float64"),
    )
    expected = float(data[f"{case}.tau{temperature}.{term}_f64"])
    assert relative_error(value, expected) < 1e-8


@pytest.mark.parametrize("case", ["n64_c10", "n32_c100"])
@pytest.mark.parametrize("temperature", [1, 2])
@pytest.mark.parametrize(
    "dtype, tolerance", [("float32", 1e-5), ("float64", 1e-8)]
)
def test_normkd(
    golden,
    value_and_gradient,
    relative_error,
    case,
    temperature,
    dtype,
    tolerance,
):
    data = golden("normkd")
    value, gradient = value_and_gradient(
        lambda t, s: losses.normalized_kl(t, s, temperature),
        data[f"{case}.z_t"].astype(dtype),
        data[f"{case}.z_s"].astype(dtype),
    )
    key = f"{case}.T{temperature}"
    expected = float(data[f"{key}.loss_f64"])
    assert relative_error(value, expected) < tolerance
    assert relative_error(gradient, data[f"{key}.grad_s"]) < 1e-5


@pytest.fixture
def contrastive(golden):
    """The layer in the state from which the reference started."""
    data = golden("crd")
    _, num_data, num_negatives, width = data["hyper"].tolist()
    layer = losses.ContrastiveRepresentation(
        num_data,
        labels=data["labels"],
        num_negatives=num_negatives,
        width=width,
        temperature=float(data["temperature"]),
        momentum=float(data["momentum"]),
    )
    layer.build(data["step1.f_t"].shape, data["step1.f_s"].shape)
    for part, side in (("student", "s"), ("teacher", "t")):
        head = getattr(layer, f"{part}_head")
        head.kernel.assign(data[f"embed_{side}.kernel"])
        head.bias.assign(data[f"embed_{side}.bias"])
        getattr(layer, f"{part}_bank").assign(data[f"bank.{side}_initial"])
    return layer


def test_crd(golden, contrastive, relative_error):
    data = golden("crd")
    for step in ("step1", "step2"):
        teacher = tf.constant(data[f"{step}.f_t"])
        student = tf.constant(data[f"{step}.f_s"])
        sources = {
            "s": student,
            "t": teacher,
            "embed_s_kernel": contrastive.student_head.kernel.value,
            "embed_s_bias": contrastive.student_head.bias.value,
            "embed_t_kernel": contrastive.teacher_head.kernel.value,
            "embed_t_bias": contrastive.teacher_head.bias.value,
        }
        with tf.GradientTape() as tape:
            tape.watch([teacher, student])
            value = contrastive(
                teacher,
                student,
                sample_ids=data[f"{step}.sample_index"],
                contrast_ids=data[f"{step}.contrast_index"],
            )
        expected = float(data[f"{step}.loss_f64"])
        assert relative_error(float(value), expected) < 1e-5
        for name, gradient in tape.gradient(value, sources).items():
            expected = data[f"{step}.grad_{name}"]
            assert relative_error(gradient, expected) < 1e-5, name
        normalizers = [
            contrastive.student_normalizer.numpy(),
            contrastive.teacher_normalizer.numpy(),
        ]
        np.testing.assert_allclose(normalizers, data[f"{step}.Z"], rtol=1e-5)
        for side, bank in (
            ("s", contrastive.student_bank),
            ("t", contrastive.teacher_bank),
        ):
            expected = data[f"bank.{side}_after_{step}"]
            assert relative_error(bank, expected) < 1e-5


@pytest.mark.parametrize(
    "step, state", [("step1", "initial"), ("step2", "after_step1")]
)
@pytest.mark.parametrize("index", [0, 1])
def test_crd_scores_of_one_side(golden, relative_error, step, state, index):
    data = golden("crd")
    anchor, bank = [("s", "t"), ("t", "s")][index]
    name = ["student", "teacher"][index]
    kernel, bias = data[f"embed_{anchor}.kernel"], data[f"embed_{anchor}.bias"]
    embedded = data[f"{step}.f_{anchor}"] @ kernel + bias
    embedded /= np.linalg.norm(embedded, axis=1, keepdims=True)
    rows = data[f"bank.{bank}_{state}"][data[f"{step}.contrast_index"]]
    temperature = float(data["temperature"])
    scores = losses.contrast_scores(embedded[:, None], rows, temperature)
    scores = scores[:, 0] / data["step1.Z"][index]
    assert relative_error(scores, data[f"{step}.score_{anchor}"]) < 1e-5
    num_data = int(data["hyper"][1])
    value = losses.contrastive_nce(scores[:, 0], scores[:, 1:], num_data)
    expected = float(data[f"{step}.loss_{name}_anchor"])
    assert relative_error(float(value), expected) < 1e-5
