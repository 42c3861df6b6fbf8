"""Views: augmentations that are the same in every run, so targets can be kept.

How view v crops and mirrors image n depends on n and v alone. The run's seed
chooses the order of the images, and which view of each an epoch shows.
"""

import dataclasses

import tensorflow as tf

from indistill_tf.data.augmentation import crop
from indistill_tf.data.augmentation import draw_crops
from indistill_tf.data.order import on_host
from indistill_tf.data.order import shuffled_positions
from indistill_tf.errors import UserError

# Of all runs: what is kept for one is there for the others.
_SEED = 2022


@dataclasses.dataclass(frozen=True)
class Views:
    """How many ways an image is shown, and how they come about.

    Attributes:
        count: int, V, the views of an image.
        padding: int, see `crop_and_flip`.
        flip: bool, see `crop_and_flip`.

    Raises:
        UserError: if there are fewer than one, or they cannot differ.
    """

    count: int
    padding: int = 4
    flip: bool = True

    def __post_init__(self):
        if self.count < 1:
            raise UserError(
                "A teacher cache holds one view of an image or more. Received: "
                f"{self.count}"
            )
        if self.count > 1 and not (self.padding or self.flip):
            raise UserError(
                f"Without augmentation the {self.count} views of an image "
                "would be the same. Use --teacher_cache_views=1."
            )

    def crops(self, size):
        """Returns what each view does to each image.

        Args:
            size: int, N, the number of images.

        Returns:
            Array int32 `[V, N, 3]`, see `draw_crops`.
        """
        with tf.device("CPU:0"):
            crops = [
                draw_crops(
                    tf.random.fold_in([_SEED, 0], view),
                    size,
                    self.padding,
                    self.flip,
                )
                for view in range(self.count)
            ]
            return tf.stack(crops).numpy()

    def chosen(self, order, epoch, size):
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

    def shower(self, split):
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
            if not (self.padding or self.flip):
                return batch
            drawn = tf.gather(crops, views * len(split) + positions)
            return crop(batch, drawn, self.padding)

        return show

    def training(self, split, order):
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
            return order.batched(pairs, size).map(
                lambda positions, views: (positions, views, epoch)
            )

        def load(positions, views, epoch):
            images = show(positions, views)
            return images, tf.gather(labels, positions), positions, views, epoch

        batches = order.each_epoch().flat_map(one_epoch)
        return batches.map(load, num_parallel_calls=tf.data.AUTOTUNE)
