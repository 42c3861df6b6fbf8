"""An epoch with the teacher's targets read from a cache."""

import tempfile

from indistill_tf import data
from indistill_tf_tools.benchmarks import networks
from indistill_tf_tools.benchmarks.paired import paired


def cache(data_dir=None, repeats=5, images=1280):
    """Measures an epoch with cached targets against one with the teacher.

    ResNet-18 teaches CNN-S its softened logits, in batches of 128 images of
    32 x 32, augmented. One view of each image is cached; building the cache,
    which takes as long as the teacher's part of one epoch, is not counted.

    Args:
        data_dir: ignored; all cases take it.
        repeats: int, see `paired`. Defaults to 5.
        images: int, of the training set. Defaults to 1,280.

    Returns:
        Dict from one row to what `paired` returns, of images a second: ours
        is with the cache.
    """
    del data_dir
    split, preprocessing = networks.image_set(images)
    distiller = networks.make_distiller("resnet18", method="okd", task=None)
    count = images // networks.BATCH
    with tempfile.TemporaryDirectory() as folder:
        kept = data.TeacherCache(
            folder,
            split,
            preprocessing,
            data.Views(1),
            data.Targets(distiller.target_names, distiller.teacher_view),
        )
        runs = []
        for found in (kept, None):
            batches = data.training_batches(
                split,
                preprocessing,
                data.Order(networks.BATCH, seed=0),
                data.Crop(),
                cache=found,
            )
            run = networks.step_function(distiller, batches)
            # The step is compiled for each form of the data.
            runs.append(lambda run=run: run(count))
        return {
            "cached / live ResNet-18": paired(
                *runs, count * networks.BATCH, repeats
            )
        }
