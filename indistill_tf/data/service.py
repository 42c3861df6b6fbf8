"""Images prepared on other machines, by the tf.data service."""

import re
import socket

import tensorflow as tf

from indistill_tf.errors import UserError

_WAIT = 5.0


def distributed(dataset: tf.data.Dataset, address: str) -> tf.data.Dataset:
    """Hands a dataset to a tf.data service.

    The files or images of all epochs are one list; each of the service's
    workers asks for the next entry, so every image still comes once in each
    epoch's part of the list. What the workers send back is put together in the
    order in which it arrives. An epoch of training is therefore a stretch of
    that stream: at its borders images of two epochs mix, and a run repeated or
    resumed sees the same images in another order, but augmented alike. All
    machines must see the image files under the same paths.

    One process should train with a service: several would each get all images.

    A dispatcher that has no workers makes the training wait for one.

    Args:
        dataset: `tf.data.Dataset` whose beginning can be split.
        address: string such as `"grpc://host:5000"`, the dispatcher's, see
            `check`.

    Returns:
        `tf.data.Dataset` of the same elements.
    """
    return dataset.apply(
        tf.data.experimental.service.distribute(
            tf.data.experimental.service.ShardingPolicy.DYNAMIC, address
        )
    )


def check(address: str) -> None:
    """Checks that a dispatcher answers.

    Args:
        address: string such as `"grpc://host:5000"`.

    Raises:
        UserError: if the address is malformed or nothing answers.
    """
    match = re.fullmatch(r"grpc://([^/\s]+):(\d{1,5})", str(address))
    if not match:
        raise UserError(
            "A data service's address looks like grpc://host:5000. Received: "
            f"{address!r}"
        )
    place = match[1].strip("[]"), int(match[2])
    try:
        socket.create_connection(place, timeout=_WAIT).close()
    except (OSError, OverflowError) as error:
        raise UserError(
            f"No data service answers at {address} ({error}). Start its "
            "dispatcher and workers there first, or leave `data_service` out."
        ) from error
