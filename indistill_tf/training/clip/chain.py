"""From a teacher pair over modules to a student pair."""

import dataclasses
import functools
import pathlib

from indistill_tf.training.clip.modules import train_pair_modules
from indistill_tf.training.clip.modules import with_embeddings
from indistill_tf.training.clip.pair import Teaching
from indistill_tf.training.clip.pair import make_pair
from indistill_tf.training.clip.pair import run_pair


def run_pairs(
    folder,
    task,
    recipe,
    teacher,
    student,
    teacher_weights=None,
    teacher_epochs=None,
    embedding_size=None,
    trade_offs=(),
    module_epochs=7,
    contrastive_weight=0.005,
    dropout=0.25,
    reduction="mean",
    information_bottleneck=0.0,
    student_alone=False,
    seed=0,
):
    """Trains a student pair from a teacher pair and its modules.

    The student's record goes into the work directory itself, the others' into
    `teacher/`, `modules/` and `student_alone/`. What is finished is not
    trained again, and an interrupted training goes on after its last whole
    epoch, to the weights of an undisturbed run.

    Args:
        folder: the work directory.
        task: `PairTask`.
        recipe: `PairRecipe` of the students, and but for its epochs of the
            teacher.
        teacher: pair of names or `.keras` files, see `PairTask.towers`.
            Towers by name are trained, contrastively, unless
            `teacher_weights` is given.
        student: pair of names. Its towers end in a linear layer to the
            teacher's width.
        teacher_weights: file of both towers' weights. Defaults to None.
        teacher_epochs: int. Defaults to the recipe's.
        embedding_size: int, the width that a teacher by name is given.
            Defaults to None: the one that both of its networks have.
        trade_offs: floats, R of each module beside the teacher. Defaults to
            none.
        module_epochs: int. Defaults to 7.
        contrastive_weight: float, beside the teacher. Defaults to 0.005.
        dropout: float, how often teacher and modules are cut. Defaults to
            0.25.
        reduction: see `EmbeddingMatching`. Defaults to `"mean"`.
        information_bottleneck: see `run_pair`, of the taught student. Defaults
            to 0.
        student_alone: bool, whether to train the student also without a
            teacher, for comparison. Defaults to False.
        seed: int. Defaults to 0.

    Returns:
        Dict from role (`teacher`, `student_alone`, `student`) to result dict.

    Raises:
        UserError: if a name or file does not fit.

    References:
        - CIFD, NeurIPS 2024, sec. 3 and eq. 10 to 13
    """
    folder, results = pathlib.Path(folder), {}
    read = any(str(name).endswith(".keras") for name in teacher)
    build_teacher = functools.partial(
        task.towers, *teacher, embedding_size, teacher_weights
    )
    towers = build_teacher()
    build = functools.partial(
        task.towers, *student, embedding_size=towers[0].output_shape[-1]
    )
    # What does not fit is found before hours of training.
    make_pair(towers, task, recipe)
    make_pair(build(), task, recipe, None, information_bottleneck)
    if not read and teacher_weights is None:
        epochs = teacher_epochs or recipe.epochs
        towers, results["teacher"] = run_pair(
            folder / "teacher",
            build_teacher,
            task,
            dataclasses.replace(recipe, epochs=epochs),
            seed,
            role="teacher",
        )
    if student_alone:
        _, results["student_alone"] = run_pair(
            folder / "student_alone",
            build,
            task,
            recipe,
            seed,
            role="student alone",
        )
    pairs = with_embeddings(folder, task, towers)
    modules = None
    if trade_offs:
        modules, _ = train_pair_modules(
            folder / "modules",
            pairs,
            trade_offs,
            module_epochs,
            recipe.batch_size,
            seed=seed,
        )
    teaching = Teaching(pairs, modules, contrastive_weight, dropout, reduction)
    _, results["student"] = run_pair(
        folder,
        build,
        task,
        recipe,
        seed,
        teaching,
        information_bottleneck,
    )
    return results
