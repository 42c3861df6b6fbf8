import numpy as np
import pytest

from indistill_tf import methods
from indistill_tf import models
from indistill_tf.distillation.schedules import Curriculum
from indistill_tf.errors import UserError
from indistill_tf.training import ModulesRecipe
from indistill_tf.training import Recipe
from indistill_tf.training import report
from indistill_tf.training import run_chain

METHOD = methods.get(
    "indistill", schedule=Curriculum(1, 0), supervised_weight=1.0
)
RECIPE = Recipe(epochs=4, drop_epochs=())


@pytest.fixture(scope="module")
def chain(tmp_path_factory, small_images):
    folder = tmp_path_factory.mktemp("chain")
    results = run_chain(
        folder,
        small_images,
        RECIPE,
        teacher="resnet8",
        auxiliary="auto",
        student="cnn_s",
        method=METHOD,
        teacher_epochs=1,
        auxiliary_epochs=1,
        student_alone=True,
    )
    return folder, results


def test_each_hop_has_its_record(chain):
    folder, results = chain
    assert list(results) == ["teacher", "auxiliary", "student_alone", "student"]
    for role in ("teacher", "auxiliary", "student_alone", "."):
        assert (folder / role / "result.json").exists()
        assert (folder / role / "student.keras").exists()
    assert results["auxiliary"]["scores"]["parameters"] == 57_706


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


def test_table_and_plot_come_from_the_records(chain, tmp_path):
    folder, results = chain
    lines = report.table(results).splitlines()
    assert lines[2].startswith("teacher (resnet8)")
    assert lines[5].startswith("student (cnn_s, indistill)")
    accuracy = 100 * results["student"]["scores"]["accuracy"]
    assert f"{accuracy:.2f}" in lines[5]
    assert "14,906" in lines[5]
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
    found = run_chain(
        tmp_path / "run",
        small_images,
        Recipe(epochs=1),
        teacher="cnn_a",
        teacher_weights=tmp_path / "w.npz",
        student="cnn_s",
        method="okd",
    )
    assert list(found) == ["student"]


@pytest.mark.slow
def test_takd_is_two_hops_of_okd(tmp_path, small_images):
    arguments = dict(teacher="resnet8", student="cnn_s", method="takd")
    with pytest.raises(UserError, match="through an auxiliary teacher"):
        run_chain(tmp_path, small_images, Recipe(epochs=1), **arguments)
    found = run_chain(
        tmp_path, small_images, Recipe(epochs=1), auxiliary="auto", **arguments
    )
    assert found["auxiliary"]["method"] == "okd"
    assert found["student"]["method"] == "takd"
    checksum = found["auxiliary"]["checksum"]
    assert found["student"]["teacher_checksum"] == checksum


def test_teacher_of_another_task(tmp_path, small_images):
    models.build("cnn_a", (32, 32, 3), 7).save(tmp_path / "t.keras")
    with pytest.raises(UserError, match=r"\(32, 32, 3\) of 7 classes"):
        run_chain(
            tmp_path / "run",
            small_images,
            RECIPE,
            teacher=tmp_path / "t.keras",
            student="cnn_s",
        )


def test_teacher_that_does_not_exist(tmp_path, small_images):
    with pytest.raises(UserError, match="There is no file resnet9"):
        run_chain(
            tmp_path, small_images, RECIPE, teacher="resnet9", student="cnn_s"
        )


def test_dense_guidance_comes_from_all_before(tmp_path, small_images):
    teacher = models.build("cnn_a", (32, 32, 1), 10)
    teacher.save(tmp_path / "t.keras")
    found = run_chain(
        tmp_path / "run",
        small_images,
        Recipe(epochs=1),
        teacher=tmp_path / "t.keras",
        student="cnn_s",
        method="dgkd",
        auxiliary=["auto", "auto"],
        pruning_rate=[0.5, 0.2],
    )
    assert list(found) == ["auxiliary_1", "auxiliary_2", "student"]
    widths = [found[role]["scores"]["parameters"] for role in found]
    assert widths[0] == 57_706 and widths[0] > widths[1] > widths[2] == 14_906
    assert {result["method"] for result in found.values()} == {"dgkd"}
    # Each hop's teachers are others: one more network each time.
    checksums = {result["teacher_checksum"] for result in found.values()}
    assert len(checksums) == 3


def test_one_hop_from_a_file_with_modules(
    chain, tmp_path, small_images, unscored
):
    folder, results = chain
    options = dict(
        teacher=str(folder / "auxiliary" / "student.keras"),
        student="cnn_s",
        modules=ModulesRecipe(trade_offs=(1.0, 0.1), epochs=1),
    )
    recipe = Recipe(epochs=1)
    with pytest.raises(UserError, match="'pkt' has no use for rate-distortion"):
        run_chain(
            tmp_path / "refused",
            small_images,
            recipe,
            method="pkt",
            **options,
        )
    found = run_chain(
        tmp_path / "run", small_images, recipe, method="cifd", **options
    )
    assert list(found) == ["student"]
    assert found["student"]["method"] == "cifd"
    expected = results["auxiliary"]["checksum"]
    assert found["student"]["teacher_checksum"] == expected
    assert (tmp_path / "run" / "modules" / "modules.keras").exists()


def test_auxiliaries_and_rates_must_match(tmp_path, small_images):
    with pytest.raises(UserError, match="3 auxiliaries and 2 pruning rates"):
        run_chain(
            tmp_path,
            small_images,
            Recipe(epochs=1),
            teacher="cnn_a",
            student="cnn_s",
            method="takd",
            auxiliary=["auto"] * 3,
            pruning_rate=[0.5, 0.25],
        )
