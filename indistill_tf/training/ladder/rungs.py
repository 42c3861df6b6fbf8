"""The rungs of a ladder: which network, compressed how, in which file."""

import dataclasses
from collections.abc import Sequence

from indistill_tf.errors import unknown_name
from indistill_tf.training.hop import TEACHER
from indistill_tf.training.run import STUDENT

AUXILIARY = "auxiliary"
CONTROL = "control"


@dataclasses.dataclass(frozen=True)
class Rung:
    """One row of a ladder.

    Attributes:
        kind: of the LiteRT file, see `indistill_tf.deploy.litert.convert`.
        network: role of the network it begins with.
        hop: name of the hop that trains the student on, or None for the
            network as it is. Rungs may share a hop.
        compression: by which the hop compresses it, see `Hop`, or None.
    """

    kind: str
    network: str = STUDENT
    hop: str | None = None
    compression: str | None = None


def _compressed(compression, kind):
    return Rung(kind, hop=compression, compression=compression)


RUNGS = {
    "teacher": Rung("float32", TEACHER),
    "auxiliary": Rung("float32", AUXILIARY),
    "student": Rung("float32"),
    "float16": Rung("fp16"),
    "int8": Rung("int8"),
    "int4": Rung("int4"),
    "control": Rung("float32", hop=CONTROL),
    "control_int8": Rung("int8", hop=CONTROL),
    "control_int4": Rung("int4", hop=CONTROL),
    "int8_qat": _compressed("int8", "int8"),
    "sparse_2_4_int8": _compressed("sparse_2_4", "int8"),
    "sparse_50_int8": _compressed("sparse_50", "int8"),
    "sparse_75_int8": _compressed("sparse_75", "int8"),
    "clusters_16_int8": _compressed("clusters_16", "int8"),
    "int4_qat": _compressed("int4", "int4"),
}
DEFAULT = (
    *("teacher", "auxiliary", "student", "float16", "int8", "control"),
    *("sparse_2_4_int8", "int4_qat"),
)


def chosen(names: Sequence[str]) -> dict[str, Rung]:
    """Returns rungs by name, and the control beside those that train.

    Args:
        names: keys of `RUNGS`.

    Raises:
        UserError: if a name is unknown.
    """
    for name in names:
        if name not in RUNGS:
            raise unknown_name("rung", name, RUNGS)
    trained = any(RUNGS[name].hop for name in names)
    wanted = {*names, CONTROL} if trained else set(names)
    return {name: rung for name, rung in RUNGS.items() if name in wanted}
