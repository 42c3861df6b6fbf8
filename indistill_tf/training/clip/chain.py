"""From a teacher pair over modules to a student pair."""

import dataclasses
import functools
import pathlib

from indistill_tf.hints import Path
from indistill_tf.options import option
from indistill_tf.training.clip.distillation import PairDistillation
from indistill_tf.training.clip.distillation import PairTeacher
from indistill_tf.training.clip.modules import train_pair_modules
from indistill_tf.training.clip.modules import with_embeddings
from indistill_tf.training.clip.pair import PairHop
from indistill_tf.training.clip.pair import Towers
from indistill_tf.training.clip.pair import make_pair
from indistill_tf.training.clip.pair import run_pair
from indistill_tf.training.clip.recipe import PairRecipe
from indistill_tf.training.clip.task import PairTask
from indistill_tf.training.run import STUDENT


@dataclasses.dataclass(frozen=True)
class PairChain:
    """A teacher pair, and the student pair that it teaches.

    Attributes:
        teacher: `Towers`, trained contrastively unless files hold them.
        student: `Towers` by name; they end in a linear layer to the teacher's
            width.
        recipe: `PairRecipe` of the students, and but for its epochs of the
            teacher.
        distillation: `PairDistillation`.
        student_alone: bool, whether to train the student also without a
            teacher, for comparison.
        checkpoint_steps: int, steps from one checkpoint within an epoch to the
            next, or None for those after each epoch alone.
    """

    teacher: Towers
    student: Towers
    recipe: PairRecipe = PairRecipe()
    distillation: PairDistillation = PairDistillation()
    student_alone: bool = option(False, "train it contrastively too")
    checkpoint_steps: int | None = option(
        None, "steps to one more checkpoint in an epoch", at_least=1, rare=True
    )

    @property
    def teacher_hop(self):
        """The teacher's `PairHop`."""
        epochs = self.teacher.epochs or self.recipe.epochs
        recipe = dataclasses.replace(self.recipe, epochs=epochs)
        return PairHop(self.teacher, recipe, role="teacher")


def run_pairs(
    folder: Path, task: PairTask, chain: PairChain, seed: int = 0
) -> dict[str, dict]:
    """Trains a student pair from a teacher pair and its modules.

    The student's record goes into the work directory itself, the others' into
    `teacher/`, `modules/` and `student_alone/`. What is finished is not
    trained again, and an interrupted training goes on at its last checkpoint,
    to the weights of an undisturbed run.

    Args:
        folder: the work directory.
        task: `PairTask`.
        chain: `PairChain`.
        seed: int. Defaults to 0.

    Returns:
        Dict from role (`teacher`, `student_alone`, `student`) to result dict.

    Raises:
        UserError: if a name or file does not fit.

    References:
        - CIFD, NeurIPS 2024, sec. 3 and eq. 10 to 13
    """
    folder, results = pathlib.Path(folder), {}
    train = functools.partial(
        run_pair, task=task, seed=seed, checkpoint_steps=chain.checkpoint_steps
    )
    towers = chain.teacher.build(task)
    student = dataclasses.replace(
        chain.student, embedding_size=towers[0].output_shape[-1]
    )
    alone = PairHop(student, chain.recipe, role="student_alone")
    taught = PairHop(student, chain.recipe, chain.distillation, STUDENT)
    # What does not fit is found before hours of training.
    make_pair(towers, task, chain.teacher_hop)
    make_pair(student.build(task), task, taught)
    if not chain.teacher.is_trained:
        towers, results["teacher"] = train(
            folder / "teacher", hop=chain.teacher_hop
        )
    if chain.student_alone:
        _, results["student_alone"] = train(folder / "student_alone", hop=alone)
    teacher = _teacher(folder, task, chain, towers, seed)
    _, results["student"] = train(folder, hop=taught, teacher=teacher)
    return results


def _teacher(folder, task, chain, towers, seed):
    """Returns what teaches the student: embeddings, and modules on them."""
    pairs = with_embeddings(folder, task, towers)
    if not chain.distillation.trade_offs:
        return PairTeacher(pairs)
    modules = train_pair_modules(
        folder / "modules",
        pairs,
        chain.distillation.trade_offs,
        chain.distillation.module_epochs,
        chain.recipe.batch_size,
        seed=seed,
    )
    return PairTeacher(pairs, modules)
