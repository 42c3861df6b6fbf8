"""All scores of one model on one image set."""

import dataclasses
from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf

from indistill_tf import distribution
from indistill_tf.data import EncodedSplit
from indistill_tf.data import ImageSet
from indistill_tf.data import Preprocessing
from indistill_tf.data import Split
from indistill_tf.data import evaluation_shares
from indistill_tf.data import naming_damage
from indistill_tf.errors import UserError
from indistill_tf.evaluation import cost
from indistill_tf.evaluation.details import details
from indistill_tf.evaluation.information_flow import information_flow
from indistill_tf.evaluation.retrieval import METRICS
from indistill_tf.evaluation.retrieval import PROTOCOLS
from indistill_tf.evaluation.retrieval import retrieval
from indistill_tf.finite import check_outputs
from indistill_tf.finite import check_weights
from indistill_tf.graph import endpoints
from indistill_tf.graph import heads
from indistill_tf.hints import Path


def outputs(
    model: keras.Model,
    split: Split | EncodedSplit,
    preprocessing: Preprocessing,
) -> dict[str, np.ndarray]:
    """Returns a model's embeddings and logits of a split.

    Args:
        model: functional `keras.Model`, from images to logits or what a
            softmax or sigmoids make of them.
        split: `Split` or `EncodedSplit` of `indistill_tf.data`, of N images.
        preprocessing: `indistill_tf.data.Preprocessing`.

    Returns:
        Dict of arrays `embedding` `[N, D]` and `logits` `[N, C]`.

    Raises:
        UserError: if one of their numbers, or a weight, is not finite.
    """
    check_weights(model)
    both = endpoints.named_view(model, ("embedding", "logits"))
    with naming_damage(split):
        shares = evaluation_shares(split, preprocessing)
        predicted = distribution.predict(both, shares)
    for name, values in predicted.items():
        check_outputs(values, f"The {name} of model {model.name!r} are")
    return {name: x.astype("float32") for name, x in predicted.items()}


def predicted_classes(logits: np.ndarray) -> np.ndarray:
    """Returns the class that a model takes each image for.

    Args:
        logits: array `[N, C]`, or `[N, 1]` of a model with one sigmoid, whose
            second class it is where the logit is positive.

    Returns:
        Ints `[N]`.
    """
    if logits.shape[1] == 1:
        return (logits[:, 0] > 0).astype(int)
    return logits.argmax(axis=1)


def accuracy(
    model: keras.Model,
    split: Split | EncodedSplit,
    preprocessing: Preprocessing,
) -> float:
    """Returns how many images of a split a model puts into their class.

    Args:
        model: functional `keras.Model`, from images to logits or
            probabilities.
        split: `Split` or `EncodedSplit` of `indistill_tf.data`.
        preprocessing: `indistill_tf.data.Preprocessing`.

    Returns:
        Float from 0 to 1.

    Raises:
        UserError: if an output or a weight is not finite.
    """
    with naming_damage(split):
        shares = evaluation_shares(split, preprocessing)
        return _accuracy(model, shares, split.labels)


def accuracy_on(model: keras.Model, batches: tf.data.Dataset) -> float:
    """Returns how many images of batches a model puts into their class.

    Args:
        model: functional `keras.Model`, from images to logits or
            probabilities.
        batches: finite `tf.data.Dataset` of `(images, labels)`.

    Returns:
        Float from 0 to 1.

    Raises:
        UserError: if an output or a weight is not finite.
    """
    labels = np.concatenate([labels for _, labels in batches])

    def share(worker, workers):
        del workers
        return batches if worker == 0 else batches.take(0)

    return _accuracy(model, share, labels)


def score(
    model: keras.Model,
    images: ImageSet,
    teacher: keras.Model | None = None,
    ranks: Sequence[int] = (1, 10, 100),
    query_batch: int = 128,
    details_path: Path | None = None,
) -> dict:
    """Measures a model on the test split, and its cost.

    Retrieval ranks the training images, without augmentation, for each test
    image by the penultimate embedding.

    Args:
        model: functional `keras.Model`, from images to logits.
        images: `indistill_tf.data.ImageSet`.
        teacher: model to compare with, or None.
        ranks: ints, the k of precision at k; those above the size of the
            training split are left out. Defaults to (1, 10, 100).
        query_batch: int, see `retrieval`. Defaults to 128.
        details_path: a `.npz` file to write `Details` to, which the report's
            page shows. Defaults to None: none.

    Returns:
        Dict of JSON-ready scores: `accuracy`, `retrieval` by metric and
        protocol, the costs, and against a teacher `agreement` and
        `information_flow`. Of several workers only the chief returns it.

    Raises:
        UserError: if an output or a weight of a model is not finite.
    """
    found = [
        outputs(model, split, images.preprocessing)
        for split in (images.test, images.train)
    ]
    if teacher is not None:
        found.append(outputs(teacher, images.test, images.preprocessing))
    # What is left takes one processor.
    return distribution.on_chief(
        lambda: _scores(model, images, ranks, query_batch, details_path, *found)
    )


def _scores(
    model, images, ranks, query_batch, details_path, test, train, targets=None
):
    predictions = predicted_classes(test["logits"])
    ranks = [rank for rank in ranks if rank <= len(images.train)]
    query_batch = min(query_batch, len(images.train))
    result = {
        "accuracy": float(np.mean(predictions == images.test.labels)),
        "retrieval": {
            metric: _retrieval_scores(
                retrieval(
                    test["embedding"],
                    images.test.labels,
                    train["embedding"],
                    images.train.labels,
                    metric=metric,
                    protocol=PROTOCOLS,
                    ranks=ranks,
                    query_batch=query_batch,
                )
            )
            for metric in METRICS
        },
        "parameters": cost.parameters(model),
        "flops": cost.flops(model),
        "file_bytes": cost.file_size(model),
        **cost.timed(model),
    }
    if targets is not None:
        result["agreement"] = float(
            np.mean(predictions == predicted_classes(targets["logits"]))
        )
        result["information_flow"] = dataclasses.asdict(
            information_flow(targets["embedding"], test["embedding"])
        )
    if details_path is not None:
        details(
            images,
            predictions,
            test["embedding"],
            train["embedding"],
            targets and targets["embedding"],
        ).save(details_path)
    return result


def _accuracy(model, shares, labels):
    check_weights(model)
    view = keras.Model(model.inputs[0], _output_and_logits(model))
    predicted = distribution.predict(view, shares)
    for values in predicted.values():
        check_outputs(values, f"The outputs of model {model.name!r} are")
    return float(np.mean(predicted_classes(predicted["logits"]) == labels))


def _output_and_logits(model):
    output = heads.output_of(model)
    try:
        logits = heads.decide(model).logits
    except UserError:
        # The largest is the largest, whatever the output is. A method that
        # must know it will ask.
        logits = output
    return {"output": output, "logits": logits}


def _retrieval_scores(found):
    return {
        protocol: {
            "map": scores.mean_average_precision,
            **{f"p@{k}": value for k, value in scores.precision_at.items()},
        }
        for protocol, scores in found.items()
    }
