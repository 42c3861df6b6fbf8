"""What is saved of a distiller: its student."""

from indistill_tf import checksums
from indistill_tf.errors import UserError
from indistill_tf.hints import Path


class SavesStudent:
    """Mixin for a distiller: `save` and `export` speak for the student.

    So does `keras.callbacks.ModelCheckpoint("best.keras")`, and
    `keras.saving.load_model` returns the student, not compiled. What a
    training needs to go on, `save_weights` and
    `keras.callbacks.BackupAndRestore` keep.
    """

    def save(
        self,
        filepath: Path,
        overwrite: bool = True,
        zipped: bool | None = None,
        **kwargs,
    ) -> None:
        """Saves the student, as `keras.Model.save` does.

        Args:
            filepath: the file, `.keras`.
            overwrite: bool, whether an existing file is replaced. Defaults to
                True.
            zipped: see `keras.Model.save`. Defaults to None.
            **kwargs: further arguments of `keras.Model.save`.
        """
        self.student.save(
            filepath, overwrite=overwrite, zipped=zipped, **kwargs
        )

    def export(self, filepath: Path, *args, **kwargs) -> None:
        """Exports the student, as `keras.Model.export` does.

        Args:
            filepath: the folder or file.
            *args: see `keras.Model.export`.
            **kwargs: see `keras.Model.export`.
        """
        self.student.export(filepath, *args, **kwargs)

    def save_weights(self, filepath: Path, *args, **kwargs) -> None:
        """Saves the state of the training, as `keras.Model.save_weights` does.

        A checksum goes with it, into `SHA256SUMS` beside the file: HDF5 itself
        does not notice what changes in it.

        Args:
            filepath: the file, `.weights.h5`.
            *args: see `keras.Model.save_weights`.
            **kwargs: see `keras.Model.save_weights`.
        """
        with checksums.writing_sum(filepath):
            super().save_weights(filepath, *args, **kwargs)

    def load_weights(self, filepath: Path, *args, **kwargs) -> None:
        """Loads weights, as `keras.Model.load_weights` does.

        Args:
            filepath: what `save_weights` wrote, of the whole distiller, or
                what `save` wrote, `.keras`, of the student alone.
            *args: see `keras.Model.load_weights`.
            **kwargs: see `keras.Model.load_weights`.

        Raises:
            UserError: if `SHA256SUMS` beside the file has another checksum.
        """
        checksums.check_file(filepath)
        if str(filepath).endswith(".keras"):
            self.student.load_weights(filepath, *args, **kwargs)
        else:
            super().load_weights(filepath, *args, **kwargs)

    def get_config(self) -> dict:
        """Refuses: a distiller is not made again from a config.

        Raises:
            UserError: always.
        """
        raise UserError(
            "A distiller has no config, as its teacher is not saved with it. "
            "Save, copy or clone the student, `distiller.student`; "
            "`distiller.save_weights` keeps the state of the training."
        )
