import keras
import numpy as np
import pytest

import indistill_tf
from indistill_tf import Distiller
from indistill_tf import endpoints
from indistill_tf import models
from indistill_tf.errors import UserError
from indistill_tf.losses import softened_kl


@pytest.fixture
def networks(build):
    return build("cnn_a"), [build("cnn_s"), build("resnet8")]


def test_all_logits_and_what_the_teacher_has(networks, batch, tmp_path):
    teacher, assistants = networks
    guides = indistill_tf.with_assistants(teacher, assistants)
    names = ("guides", "logits", "embedding", "tap_1")
    guided = endpoints.named_view(guides, names)(batch[0])
    expected = [model(batch[0]) for model in (teacher, *assistants)]
    np.testing.assert_allclose(
        guided["guides"], np.stack(expected, axis=1), atol=1e-5
    )
    alone = endpoints.named_view(teacher, names[1:])(batch[0])
    for name in names[1:]:
        np.testing.assert_array_equal(guided[name], alone[name])
    guides.save(tmp_path / "guides.keras")
    again = keras.saving.load_model(tmp_path / "guides.keras")
    np.testing.assert_array_equal(again(batch[0])[1], guides(batch[0])[1])


def test_without_assistants_it_is_the_teacher(networks):
    teacher, _ = networks
    assert indistill_tf.with_assistants(teacher, []) is teacher
    guides = endpoints.endpoint(teacher, "guides")
    assert guides is endpoints.endpoint(teacher, "logits")


def test_all_of_them_teach(networks, build, batch):
    teacher, assistants = networks
    student = build("cnn_s")
    distiller = Distiller(
        teacher=indistill_tf.with_assistants(teacher, assistants),
        student=student,
        method=indistill_tf.methods.get("dgkd", task_options={"dropout": 0.0}),
    )
    distiller.compile("sgd")
    all_of_them = [model(batch[0]) for model in (teacher, *assistants)]
    # The step's batch normalisation takes the batch's statistics instead.
    answer = student(batch[0], training=True)
    expected = np.mean(
        [softened_kl(logits, answer, 4.0) for logits in all_of_them]
    )
    logs = distiller.train_on_batch(*batch, return_dict=True)
    assert logs["loss/task"] == pytest.approx(expected, rel=1e-3)
    others = [*assistants, teacher]
    assert not any(
        weight is other
        for weight in distiller.trainable_weights
        for model in others
        for other in model.weights
    )


def test_assistants_of_other_classes(build):
    with pytest.raises(UserError, match=r"\(7,\), the teacher .* \(10,\)"):
        indistill_tf.with_assistants(
            build("cnn_a"), [models.build("cnn_s", (32, 32, 1), 7)]
        )
