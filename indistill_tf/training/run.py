"""A run: where networks are trained, on what, and with which seed."""

import dataclasses
import pathlib

from indistill_tf.data import ImageSet
from indistill_tf.errors import UserError
from indistill_tf.hints import Path
from indistill_tf.options import option
from indistill_tf.training import precision

STUDENT = "student"


@dataclasses.dataclass(frozen=True)
class Run:
    """What all hops of a chain have in common.

    Attributes:
        folder: where the files go.
        images: `indistill_tf.data.ImageSet`.
        seed: int, of initial weights and data order.
        data_service: address of a tf.data service that prepares images that
            stay in their files, such as `"grpc://host:5000"`, or None.
        evaluate_every: int, epochs from one `val_map` in `history.csv` to the
            next, see `ValidationScores`, or None for none. The accuracy of
            the validation split is there after every epoch.
        teacher_cache_views: int, the views of each image whose targets are
            computed once and kept, see `indistill_tf.data.TeacherCache`; 0
            runs the teacher in every step.
        teacher_cache: the folder for them, which other runs may share, or None
            for `teacher_cache` in `folder`.
        checkpoint_steps: int, steps from one checkpoint within an epoch to the
            next, or None for those after each epoch alone.
        on_nan: what to do where a loss or a weight is no longer finite:
            `"stop"`, or `"restore"` the last checkpoint and go on with half
            the learning rate, three times at most.
        deterministic: bool, whether TensorFlow takes only operations that give
            the same bits each time, for the rest of the process. On processors
            they all do.
        precision: `"float32"`, or `"bfloat16"` for the convolutions of all
            networks, on processors that have it, see `computing_in`.

    Raises:
        UserError: if a number is out of range, there is no validation split to
            evaluate on, or the machine would emulate the precision.
    """

    folder: Path
    images: ImageSet
    seed: int = option(
        0, "of initial weights and data order", at_least=0, at_most=2**32 - 1
    )
    data_service: str | None = option(
        None, "grpc://host:port whose machines prepare images", rare=True
    )
    evaluate_every: int | None = option(
        None, "epochs: mAP of the validation split", at_least=1, rare=True
    )
    teacher_cache_views: int = option(
        0, "V targets an image, kept; 0: live", at_least=0
    )
    teacher_cache: str | None = option(None, "their folder; else in --work_dir")
    checkpoint_steps: int | None = option(
        None, "steps to one more checkpoint in an epoch", at_least=1, rare=True
    )
    on_nan: str = option(
        "stop",
        "or go back, with half the rate, 3 times at most",
        choices=["stop", "restore"],
        rare=True,
    )
    deterministic: bool = option(
        False, "the same bits on a GPU too, at a price", rare=True
    )
    precision: str = option(
        "float32",
        "of convolutions",
        choices=["float32", "bfloat16"],
        rare=True,
    )

    def __post_init__(self):
        object.__setattr__(self, "folder", pathlib.Path(self.folder))
        precision.check(self.precision)
        for name in ("seed", "teacher_cache_views"):
            if getattr(self, name) < 0:
                raise UserError(
                    f"`{name}` must be at least 0. Received: "
                    f"{getattr(self, name)}"
                )
        if self.seed >= 2**32:
            raise UserError(
                f"`seed` has at most 32 bits. Received: `seed={self.seed}`"
            )
        self._check_evaluation()

    def _check_evaluation(self):
        if self.evaluate_every is None:
            return
        if self.evaluate_every < 1:
            raise UserError(
                "`evaluate_every` must be at least 1, or None. Received: "
                f"{self.evaluate_every}"
            )
        if self.images.validation is None:
            raise UserError(
                f"`evaluate_every={self.evaluate_every}` needs a validation "
                "split. Name one, such as `validation_split=train[90%:]` with "
                "`train_split=train[:90%]`."
            )

    @property
    def cache_folder(self):
        """The folder of a teacher's targets."""
        return pathlib.Path(self.teacher_cache or self.folder / "teacher_cache")

    def at(self, role: str) -> "Run":
        """Returns the run of one hop, in a folder of its own.

        Args:
            role: string. The student's folder is the run's.
        """
        folder = self.folder if role == STUDENT else self.folder / role
        return dataclasses.replace(
            self, folder=folder, teacher_cache=self.cache_folder
        )
