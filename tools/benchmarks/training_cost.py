"""What it takes to train a student, with assistants or with modules."""

import statistics
import time

import keras
import numpy as np

from indistill_tf import cifd
from indistill_tf import methods
from indistill_tf import models
from indistill_tf.distillation.distiller import Distiller
from indistill_tf.evaluation import cost as cost_of
from indistill_tf.graph import assistants
from indistill_tf_tools.benchmarks import networks
from indistill_tf_tools.benchmarks.paired import paired

EPOCHS, IMAGES, MODULE_EPOCHS, MODULE_BATCH = 70, 50_000, 10, 256
WIDTH = 64
TRADE_OFFS = (1.0, 0.8, 0.6)
_STEPS = 20


def cost(data_dir=None, repeats=5):
    """Measures KD, TAKD, DGKD and CIFD to a trained student.

    A ResNet-20 teaches CNN-S for 70 epochs of 50,000 images of 32 x 32: alone
    (KD), through a ResNet-8 (TAKD), with it (DGKD), or with three modules
    (CIFD), trained for 10 epochs on embeddings that are computed once. Steps
    of each hop are timed in turns and multiplied; multiplications are those of
    forward passes, as the CIFD authors count them.

    Args:
        data_dir: ignored; all cases take it.
        repeats: int, rounds of the hops. Defaults to 5.

    Returns:
        Dict from the method to `tera_macs` and `hours`, both over KD's, and
        of the hours the part that its modules or its assistant took.

    References:
        - CIFD, NeurIPS 2024, the cost of assistants and modules
    """
    del data_dir
    seconds, macs = {}, {}
    for name, (run, images, operations) in _hops().items():
        seconds[name] = (run, images)
        macs[name] = operations
    rounds = [
        {name: _seconds(run) / n for name, (run, n) in seconds.items()}
        for _ in range(repeats)
    ]
    return summary(macs, rounds)


def summary(macs, rounds):
    """Adds hops up to methods.

    Args:
        macs: dict from a hop to the multiplications of one image.
        rounds: list of dicts from a hop to the seconds of one image.

    Returns:
        See `cost`.
    """
    hops = {
        "KD": {"teacher -> student": EPOCHS},
        "TAKD": {
            "teacher -> assistant": EPOCHS,
            "assistant -> student": EPOCHS,
        },
        "DGKD": {"teacher -> assistant": EPOCHS, "both -> student": EPOCHS},
        "CIFD": {
            "embedding": 1,
            "modules": MODULE_EPOCHS,
            "modules -> student": EPOCHS,
        },
    }

    def total(costs, parts):
        return IMAGES * sum(costs[hop] * times for hop, times in parts.items())

    rows = {}
    for method, parts in hops.items():
        before = dict(list(parts.items())[:-1])
        hours = [total(found, parts) / 3600 for found in rounds]
        plain = [total(found, hops["KD"]) / 3600 for found in rounds]
        operations = total(macs, parts)
        rows[method] = {
            "tera_macs": operations / 1e12,
            "macs over KD": operations / total(macs, hops["KD"]),
            "hours": statistics.median(hours),
            "hours over KD": _spread(np.divide(hours, plain)),
            "before the student": statistics.median(
                total(found, before) / found_hours / 3600
                for found, found_hours in zip(rounds, hours)
            ),
        }
    return rows


def modules(data_dir=None, repeats=5):
    """Measures three modules in one pass against three trainings.

    Embeddings are 64 wide, of 10 classes, in batches of 256.

    Args:
        data_dir: ignored; all cases take it.
        repeats: int, see `paired`. Defaults to 5.

    Returns:
        Dict from one row to what `paired` returns, of embeddings a second.
    """
    del data_dir
    together = _modules_step(TRADE_OFFS)
    alone = [_modules_step((trade_off,)) for trade_off in TRADE_OFFS]

    def plain():
        for run in alone:
            run()

    row = paired(together, plain, _STEPS * MODULE_BATCH, repeats)
    return {"3 modules in one pass / each alone": row}


def _hops():
    """Returns each hop as steps to time, their images, and its MACs."""
    keras.utils.set_random_seed(0)
    teacher, assistant = _build("resnet20"), _build("resnet8")
    student = _build("cnn_s")
    rdm = _make_modules(TRADE_OFFS)
    both = assistants.with_assistants(teacher, [assistant])
    each = {
        "teacher -> student": ([teacher, student], "okd"),
        "teacher -> assistant": ([teacher, assistant], "okd"),
        "assistant -> student": ([assistant, student], "okd"),
        "both -> student": ([both, student], "dgkd"),
        "modules -> student": ([teacher, student], "cifd"),
    }
    found = {}
    for name, ((source, learner), method) in each.items():
        options = {"modules": rdm} if method == "cifd" else {}
        distiller = Distiller(
            teacher=source,
            student=keras.models.clone_model(learner),
            method=methods.get(
                method, objective="classification", task_options=options
            ),
        )
        distiller.compile("adam", metrics=["accuracy"])
        run = networks.step_function(distiller, networks.batches())
        operations = _macs(source) + _macs(learner)
        operations += _module_macs(rdm) if options else 0
        operations += _macs(assistant) if source is both else 0
        found[name] = (lambda run=run: run(4), 4 * networks.BATCH, operations)
    images = np.zeros((4 * networks.BATCH, *networks.SHAPE), "float32")
    found["embedding"] = (
        lambda: teacher.predict(images, batch_size=networks.BATCH, verbose=0),
        len(images),
        _macs(teacher),
    )
    found["modules"] = (
        _modules_step(TRADE_OFFS),
        _STEPS * MODULE_BATCH,
        _module_macs(rdm),
    )
    for run, _, _ in found.values():
        run()
    return found


def _build(name):
    return models.build(name, networks.SHAPE, networks.CLASSES)


def _make_modules(trade_offs):
    return cifd.RateDistortionModules(
        trade_offs, WIDTH, networks.CLASSES, noise_seed=0
    )


def _modules_step(trade_offs):
    """Returns a function that trains modules on random embeddings."""
    rng = np.random.default_rng(0)
    rows = _STEPS * MODULE_BATCH
    inputs = {
        "embedding": np.abs(rng.normal(size=(rows, WIDTH))).astype("float32"),
        "logits": rng.normal(size=(rows, networks.CLASSES)).astype("float32"),
    }
    labels = rng.integers(0, networks.CLASSES, rows)
    found = _make_modules(trade_offs)
    found.compile("adam")
    batches = cifd.EmbeddingBatches(inputs, labels, MODULE_BATCH, seed=0)
    return lambda: found.fit(batches, shuffle=False, verbose=0)


def _macs(model):
    # A `Guides` layer runs whole models, which the profiler cannot count.
    teacher = keras.Model(model.inputs[0], model.outputs[0])
    return cost_of.flops(teacher) // 2


def _module_macs(rdm):
    kernels = [weight for weight in rdm.weights if weight.name == "kernel"]
    return sum(int(np.prod(kernel.shape)) for kernel in kernels)


def _seconds(run):
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def _spread(values):
    return {
        "median": float(np.median(values)),
        "lowest": float(np.min(values)),
        "highest": float(np.max(values)),
    }
