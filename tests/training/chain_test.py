import numpy as np
import pytest

from indistill_tf import methods
from indistill_tf import models
from indistill_tf.distillation.schedules import Curriculum
from indistill_tf.errors import UserError
from indistill_tf.training import Chain
from indistill_tf.training import Distillation
from indistill_tf.training import ModulesRecipe
from indistill_tf.training import Network
from indistill_tf.training import Recipe
from indistill_tf.training import Run
from indistill_tf.training import report
from indistill_tf.training import run_chain

pytestmark = pytest.mark.usefixtures("eager")
METHOD = methods.get(
    "indistill", schedule=Curriculum(1, 0), supervised_weight=1.0
)
RECIPE = Recipe(epochs=4, drop_epochs=())


@pytest.fixture(scope="module")
def chain(tmp_path_factory, small_images, eagerly):
    folder = tmp_path_factory.mktemp("chain")
    chain = Chain(
        Network("resnet8", epochs=1),
        "cnn_s",
        RECIPE,
        Distillation(METHOD),
        auxiliaries=[Network("auto", epochs=1)],
        student_alone=True,
        without_warm_up=True,
        by_closed_form=True,
    )
    with eagerly():
        results = run_chain(Run(folder, small_images), chain)
    return folder, results


@pytest.mark.long
def test_each_hop_has_its_record(chain):
    folder, results = chain
    others = ("alone", "without_warm_up", "by_closed_form")
    students = [f"student_{other}" for other in others]
    roles = ["teacher", "auxiliary", *students]
    assert list(results) == [*roles, "student"]
    for role in [*roles, "."]:
        assert (folder / role / "result.json").exists()
        assert (folder / role / "model.keras").exists()
    assert results["auxiliary"]["scores"]["parameters"] == 57_706


@pytest.mark.long
def test_teachers_are_passed_on(chain):
    _, results = chain
    assert results["teacher"]["teacher_checksum"] is None
    assert (
        results["auxiliary"]["teacher_checksum"]
        == results["teacher"]["checksum"]
    )
    assert (
        results["student"]["teacher_checksum"]
        == results["auxiliary"]["checksum"]
    )


@pytest.mark.long
def test_table_and_plot_come_from_the_records(chain, tmp_path):
    folder, results = chain
    lines = report.table(results).splitlines()
    assert lines[2].startswith("teacher (resnet8)")
    assert lines[5].startswith("student, no warm-up (cnn_s, pkt)")
    assert lines[6].startswith("student, closed form (cnn_s, closed_form+pkt)")
    assert lines[7].startswith("student (cnn_s, indistill)")
    accuracy = 100 * results["student"]["scores"]["accuracy"]
    assert f"{accuracy:.2f}" in lines[7]
    assert "14,906" in lines[7]
    assert "600 training images" in lines[-1]
    report.plot_losses(folder, tmp_path / "loss.png")
    assert (tmp_path / "loss.png").read_bytes()[:4] == b"\x89PNG"


def test_teacher_weights(tmp_path, small_images, unscored):
    model = models.build("cnn_a", (32, 32, 1), 10)
    np.savez(
        tmp_path / "w.npz",
        **{
            f"{layer.name}.{variable.name}": variable
            for layer in model.layers
            for variable in layer.variables
        },
    )
    chain = Chain(
        Network("cnn_a", weights=tmp_path / "w.npz"),
        "cnn_s",
        Recipe(epochs=1),
        Distillation("okd"),
    )
    found = run_chain(Run(tmp_path / "run", small_images), chain)
    assert list(found) == ["student"]


@pytest.mark.slow
def test_takd_is_two_hops_of_okd(tmp_path, small_images):
    arguments = "resnet8", "cnn_s", Recipe(epochs=1), Distillation("takd")
    with pytest.raises(UserError, match="through an auxiliary teacher"):
        Chain(*arguments)
    chain = Chain(*arguments, auxiliaries=["auto"])
    found = run_chain(Run(tmp_path, small_images), chain)
    assert found["auxiliary"]["method"] == "okd"
    assert found["student"]["method"] == "takd"
    checksum = found["auxiliary"]["checksum"]
    assert found["student"]["teacher_checksum"] == checksum


def test_teacher_of_another_task(tmp_path, small_images):
    models.build("cnn_a", (32, 32, 3), 7).save(tmp_path / "t.keras")
    with pytest.raises(UserError, match=r"\(32, 32, 3\) of 7 classes"):
        run_chain(
            Run(tmp_path / "run", small_images),
            Chain(tmp_path / "t.keras", "cnn_s", RECIPE),
        )


def test_teacher_that_does_not_exist(tmp_path, small_images):
    with pytest.raises(UserError, match="There is no file resnet9"):
        run_chain(
            Run(tmp_path, small_images), Chain("resnet9", "cnn_s", RECIPE)
        )


@pytest.mark.long
def test_dense_guidance_comes_from_all_before(tmp_path, small_images):
    teacher = models.build("cnn_a", (32, 32, 1), 10)
    teacher.save(tmp_path / "t.keras")
    chain = Chain(
        tmp_path / "t.keras",
        "cnn_s",
        Recipe(epochs=1),
        Distillation("dgkd"),
        auxiliaries=[Network("auto", pruning_rate=rate) for rate in (0.5, 0.2)],
    )
    found = run_chain(Run(tmp_path / "run", small_images), chain)
    assert list(found) == ["auxiliary_1", "auxiliary_2", "student"]
    widths = [found[role]["scores"]["parameters"] for role in found]
    assert widths[0] == 57_706 and widths[0] > widths[1] > widths[2] == 14_906
    assert {result["method"] for result in found.values()} == {"dgkd"}
    # Each hop's teachers are others: one more network each time.
    checksums = {result["teacher_checksum"] for result in found.values()}
    assert len(checksums) == 3


@pytest.mark.long
def test_one_hop_from_a_file_with_modules(
    chain, tmp_path, small_images, unscored
):
    folder, results = chain
    modules = ModulesRecipe(trade_offs=(1.0, 0.1), epochs=1)
    with pytest.raises(UserError, match="'pkt' has no use for rate-distortion"):
        Distillation("pkt", modules=modules)
    chain = Chain(
        str(folder / "auxiliary" / "model.keras"),
        "cnn_s",
        Recipe(epochs=1),
        Distillation("cifd", modules=modules),
    )
    found = run_chain(Run(tmp_path / "run", small_images), chain)
    assert list(found) == ["student"]
    assert found["student"]["method"] == "cifd"
    expected = results["auxiliary"]["checksum"]
    assert found["student"]["teacher_checksum"] == expected
    assert (tmp_path / "run" / "modules" / "modules.keras").exists()
