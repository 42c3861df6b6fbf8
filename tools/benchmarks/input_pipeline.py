"""Images a second of the pipeline, against what training steps consume."""

import tensorflow as tf

from indistill_tf import data
from indistill_tf_tools.benchmarks import networks
from indistill_tf_tools.benchmarks.paired import paired


def pipeline(data_dir=None, repeats=5, images=50_000):
    """Measures shuffling, crops, flips and normalisation against stage 1.

    Stage 1 of the curriculum has the fastest steps: CNN-S from CNN-A, batches
    of 128 images of 32 x 32. The pipeline gets one core.

    Args:
        data_dir: ignored; all cases take it.
        repeats: int, see `paired`. Defaults to 5.
        images: int, of the training set. Defaults to 50,000, as in CIFAR-10.

    Returns:
        Dict from one row to what `paired` returns, of images a second: ours
        is the pipeline, plain the step.
    """
    del data_dir
    split, preprocessing = networks.image_set(images)
    options = tf.data.Options()
    options.threading.private_threadpool_size = 1
    batches = data.training_batches(
        split, preprocessing, data.Order(networks.BATCH, 0), data.Crop()
    ).with_options(options)
    iterator = iter(batches)
    step = networks.step_function(networks.make_distiller(), networks.batches())
    count = images // networks.BATCH

    def read():
        for _ in range(count):
            next(iterator)

    return {
        "pipeline / stage 1": paired(
            read, lambda: step(count), count * networks.BATCH, repeats
        )
    }
