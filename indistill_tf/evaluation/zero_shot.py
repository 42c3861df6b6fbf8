"""What a pair of towers is good for without labels: classes and retrieval."""

from collections.abc import Callable
from collections.abc import Sequence

import numpy as np

from indistill_tf import unit_length
from indistill_tf.errors import UserError
from indistill_tf.hints import Tensor

TEMPLATES = ("a photo of a {}", "a picture of a {}", "a {}")
# Similarities that are held at a time.
_AT_A_TIME = 2**26


def class_embeddings(
    embed_texts: Callable[[list[str]], Tensor],
    class_names: Sequence[str],
    templates: Sequence[str] = TEMPLATES,
) -> np.ndarray:
    """Returns one embedding a class, of what could be said of it.

    The unit-length embeddings of a class in all templates are averaged, and
    the mean is brought to unit length.

    Args:
        embed_texts: function from a list of M strings to an array `[M, D]`.
        class_names: K strings.
        templates: strings with `{}` where the name goes. Defaults to
            `TEMPLATES`.

    Returns:
        Array `[K, D]` of unit length.

    Raises:
        UserError: if a template has no place for the name.

    References:
        - [Radford et al., 2021](https://arxiv.org/abs/2103.00020), sec. 3.1.4
    """
    for template in templates:
        if "{}" not in template:
            raise UserError(
                "A template needs {} where the class name goes. Received: "
                f"{template!r}"
            )
    texts = [
        template.format(name) for name in class_names for template in templates
    ]
    embeddings = _unit(embed_texts(texts))
    embeddings = embeddings.reshape(len(class_names), len(templates), -1)
    return _unit(embeddings.mean(axis=1))


def zero_shot_accuracy(
    images: Tensor, classes: Tensor, labels: Tensor
) -> float:
    """Returns how many images are nearest to their own class, as a fraction.

    Args:
        images: array `[N, D]` of embeddings.
        classes: array `[K, D]`, see `class_embeddings`.
        labels: ints `[N]`.
    """
    nearest = (_unit(images) @ _unit(classes).T).argmax(axis=1)
    return float(np.mean(nearest == np.asarray(labels)))


def image_text_retrieval(
    images: Tensor,
    texts: Tensor,
    captions: Sequence[str],
    image_of: Sequence[int],
    ranks: Sequence[int] = (1, 5, 10),
) -> dict[str, float]:
    """Returns recall at k of texts for images and of images for texts.

    Every different caption is one item and one query, however many images it
    describes, and what it describes are all of these. A query is answered at k
    if something that belongs to it is among the first k; what is as near as
    that and does not belong counts as nearer.

    Args:
        images: array `[N, D]` of embeddings.
        texts: array `[M, D]`, where equal captions have equal embeddings.
        captions: M strings.
        image_of: ints `[M]`, the image that each caption was written for.
        ranks: ints, the k. Defaults to (1, 5, 10).

    Returns:
        Dict of floats in 0..1: `"image_to_text_r@1"`, `"text_to_image_r@1"`
        and so on.
    """
    captions = np.asarray(captions)
    _, first, which = np.unique(
        captions, return_index=True, return_inverse=True
    )
    images, texts = _unit(images), _unit(texts)[first]
    belongs = np.zeros((len(images), len(texts)), bool)
    belongs[np.asarray(image_of), which] = True
    recalls = {}
    for name, queries, items, relevant in (
        ("image_to_text", images, texts, belongs),
        ("text_to_image", texts, images, belongs.T),
    ):
        nearer = _nearer(queries, items, relevant)
        for rank in ranks:
            recalls[f"{name}_r@{rank}"] = float(np.mean(nearer < rank))
    return recalls


def _nearer(queries, items, relevant):
    """Returns how many items precede the first that belongs to a query."""
    block = max(1, _AT_A_TIME // len(items))
    nearer = np.empty(len(queries), int)
    for start in range(0, len(queries), block):
        rows = slice(start, start + block)
        similarity = queries[rows] @ items.T
        own = relevant[rows]
        best = np.where(own, similarity, -np.inf).max(axis=1, keepdims=True)
        nearer[rows] = (~own & (similarity >= best)).sum(axis=1)
    return nearer


def _unit(embeddings):
    return unit_length.of_array(np.asarray(embeddings, "float32"))
