"""What each loss does not see: the table of invariances, cell by cell."""

import keras
import numpy as np
import pytest

from indistill_tf import losses
from indistill_tf.losses import pkt

N, WIDTH, SIZE = 12, 6, 4
RNG = np.random.default_rng(0)
SHAPES = {
    "logits": (N, WIDTH),
    "vector": (N, WIDTH),
    "map": (N, SIZE, SIZE, WIDTH),
}
TEACHER, STUDENT = (
    {kind: RNG.normal(size=shape) for kind, shape in SHAPES.items()}
    for _ in range(2)
)
SAMPLES = RNG.permutation(N)
CHANNELS = np.roll(np.arange(WIDTH), 1)
PIXELS = RNG.permutation(SIZE * SIZE)
ROTATION = np.linalg.qr(RNG.normal(size=(WIDTH, WIDTH)))[0]
SCALES = RNG.uniform(0.5, 2.0, N)


def per_sample(values, array):
    return values.reshape(-1, *[1] * (array.ndim - 1)) * array


def shuffled_pixels(maps):
    flat = maps.reshape(N, SIZE * SIZE, WIDTH)
    return flat[:, PIXELS].reshape(maps.shape)


# Of both networks, or of the student alone.
BOTH = {
    "samples": lambda x: x[SAMPLES],
    "pixels": shuffled_pixels,
}
STUDENT_ALONE = {
    "scale": lambda x: 3 * x,
    "scale a sample": lambda x: per_sample(SCALES, x),
    "rotate channels": lambda x: x @ ROTATION,
    "permute channels": lambda x: x[..., CHANNELS],
    "add a vector": lambda x: x + np.linspace(-1, 2, WIDTH),
    "add a constant": lambda x: x + per_sample(SCALES, np.ones_like(x)),
}


def student_t(teacher, student):
    kernels = map(pkt._student_t_kernel, (teacher, student))
    return pkt._jeffreys(*kernels)


def flow(teacher, student):
    # The second map sees every change too.
    pairs = [(maps, maps[..., :3] ** 2) for maps in (teacher, student)]
    return losses.flow_of_solution(*pairs)


def head(teacher, student):
    kernel = np.linspace(-1, 1, WIDTH * 3).reshape(WIDTH, 3)
    return losses.pooled_feature_mse(teacher, student) + losses.head_mse(
        teacher.mean((1, 2)) @ kernel, student.mean((1, 2)) @ kernel
    )


def unit_distances(teacher, student):
    return losses.metric_relative(teacher, student, normalize=True)


ROTATIONS = {"rotate channels", "permute channels"}
SCALINGS = {"scale", "scale a sample"}
TABLE = {
    "okd": (losses.softened_kl, "logits", {"add a constant"}),
    "at": (losses.attention_transfer, "map", SCALINGS | ROTATIONS | {"pixels"}),
    "fsp": (flow, "map", {"pixels"}),
    "mkt": (losses.metric_relative, "vector", ROTATIONS | {"add a vector"}),
    "mkt unit": (unit_distances, "vector", SCALINGS | ROTATIONS),
    "pkt cosine": (losses.probabilistic_kl, "vector", SCALINGS | ROTATIONS),
    "similarity": (losses.similarity_kl, "vector", SCALINGS | ROTATIONS),
    "pkt student-t": (student_t, "vector", ROTATIONS | {"add a vector"}),
    "srrl": (head, "map", {"pixels"}),
    "factor transfer": (losses.factor_distance, "map", SCALINGS | {"pixels"}),
    "dist inter": (losses.pearson_inter, "logits", {"add a constant"}),
    "dist intra": (losses.pearson_intra, "logits", {"add a constant"}),
    "normkd": (losses.normalized_kl, "logits", SCALINGS | {"add a constant"}),
    "indistill": (losses.feature_mse, "map", {"pixels"}),
}
# Cells that mean nothing: logits have no rotations of their channels, and a
# constant over classes is for logits alone.
MEANINGLESS = {
    "logits": {"rotate channels", "add a vector", "pixels"},
    "vector": {"add a constant", "pixels"},
    "map": {"add a constant"},
}
CELLS = [
    (name, change)
    for name, (_, kind, _) in TABLE.items()
    for change in (*BOTH, *STUDENT_ALONE)
    if change not in MEANINGLESS[kind]
]


@pytest.mark.parametrize("name, change", CELLS)
def test_cell(name, change):
    loss, kind, invariant = TABLE[name]
    teacher, student = TEACHER[kind], STUDENT[kind]
    expected = float(loss(teacher, student))
    if change in BOTH:
        value = loss(BOTH[change](teacher), BOTH[change](student))
    else:
        value = loss(teacher, STUDENT_ALONE[change](student))
    same = float(value) == pytest.approx(expected, rel=1e-5)
    assert same == (change in invariant | {"samples"})


def test_contrasting_sees_the_order_of_samples_with_their_ids_only():
    values = []
    for order in (np.arange(N), SAMPLES):
        # The same heads and banks.
        keras.utils.set_random_seed(0)
        loss = losses.ContrastiveRepresentation(2 * N, num_negatives=N)
        contrast = (np.arange(N)[:, None] + np.arange(N + 1)) % (2 * N)
        value = loss(
            TEACHER["vector"][order].astype("float32"),
            STUDENT["vector"][order].astype("float32"),
            sample_ids=np.arange(N)[order],
            contrast_ids=contrast[order],
        )
        values.append(float(value))
    assert values[0] == pytest.approx(values[1], rel=1e-5)
