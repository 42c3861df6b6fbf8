"""Views: augmentations that are the same in every run, so targets can be kept.

How view v crops and mirrors image n depends on n and v alone. The run's seed
chooses the order of the images, and which view of each an epoch shows.
"""

import dataclasses
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from indistill_tf.data.augmentation import Augmentation
from indistill_tf.data.augmentation import Crop
from indistill_tf.data.augmentation import check_kind
from indistill_tf.data.images.split import Split
from indistill_tf.data.order import Order
from indistill_tf.data.order import on_host
from indistill_tf.data.order import shuffled_positions
from indistill_tf.errors import UserError
from indistill_tf.hints import Tensor

# Of all runs: what is kept for one is there for the others.
_SEED = 2022


@dataclasses.dataclass(frozen=True)
class Views:
    """How many ways an image is shown, and how they come about.

    Attributes:
        count: int, V, the views of an image.
        crop: `Crop`, which views are drawn from. Defaults to that of four
            pixels and with mirroring.

    Raises:
        UserError: if there are fewer than one, they cannot differ, or the
            augmentation is of images in files.
    """

    count: int
    crop: Crop = Crop()

    def __post_init__(self):
        check_kind(self.crop, Crop, "in memory")
        if self.count < 1:
            raise UserError(
                "A teacher cache holds one view of an image or more. Received: "
                f"{self.count}"
            )
        if self.count > 1 and not self.crop.changes:
            raise UserError(
                f"Without augmentation the {self.count} views of an image "
                "would be the same. Use `teacher_cache_views=1`."
            )

    def check(self, augmentation: Augmentation) -> None:
        """Checks that training augments as these views do.

        Args:
            augmentation: what training is given.

        Raises:
            UserError: if it is another.
        """
        if augmentation != self.crop:
            raise UserError(
                f"The teacher's targets are of images augmented by "
                f"{self.crop}, not by {augmentation}. Give both the same."
            )

    def crops(self, size: int) -> np.ndarray:
        """Returns what each view does to each image.

        Args:
            size: int, N, the number of images.

        Returns:
            Array int32 `[V, N, 3]`, see `Crop.draw`.
        """
        with tf.device("CPU:0"):
            crops = [
                self.crop.draw(tf.random.fold_in([_SEED, 0], view), size)
                for view in range(self.count)
            ]
            return tf.stack(crops).numpy()

    def chosen(self, order: Order, epoch: Tensor, size: int) -> tf.Tensor:
        """Returns the view of each image that an epoch shows.

        The run's seed decides where an image begins; from there its views take
        turns.

        Args:
            order: `Order`.
            epoch: int tensor.
            size: int, N, the number of images.

        Returns:
            Tensor int32 `[N]`.
        """
        first = tf.random.stateless_uniform(
            (size,), [order.seed, 1], 0, self.count, dtype=tf.int32
        )
        turn = tf.cast(epoch % self.count, tf.int32)
        return (first + turn) % self.count

    def shower(self, split: Split) -> Callable[[Tensor, Tensor], tf.Tensor]:
        """Returns a function that shows views of a split's images.

        Args:
            split: `Split`.

        Returns:
            Function from positions `[N]` and views `[N]` to images
            `[N, H, W, C]` of the split's dtype.
        """
        images = on_host(split.images)
        crops = on_host(self.crops(len(split)).reshape(-1, 3))

        def show(positions, views):
            batch = tf.gather(images, positions)
            if not self.crop.changes:
                return batch
            drawn = tf.gather(crops, views * len(split) + positions)
            return self.crop.apply(batch, drawn)

        return show

    def training(self, split: Split, order: Order) -> tf.data.Dataset:
        """Returns shuffled batches of views, epoch after epoch.

        The images come in the order that they have without views.

        Args:
            split: `Split`.
            order: `Order`.

        Returns:
            `tf.data.Dataset` of `(images [N, H, W, C], labels, positions,
            views, epoch)`.
        """
        size = len(split)
        labels = on_host(split.labels)
        show = self.shower(split)

        def one_epoch(epoch):
            positions = shuffled_positions(size, order.epoch_seed(epoch))
            views = tf.gather(self.chosen(order, epoch, size), positions)
            pairs = tf.data.Dataset.from_tensor_slices((positions, views))
            batches = pairs.batch(order.batch_size, order.drop_remainder)
            return order.shares(batches).map(
                lambda positions, views: (positions, views, epoch)
            )

        def load(positions, views, epoch):
            images = show(positions, views)
            return images, tf.gather(labels, positions), positions, views, epoch

        batches = order.each_epoch().flat_map(one_epoch)
        return batches.map(load, num_parallel_calls=tf.data.AUTOTUNE)
