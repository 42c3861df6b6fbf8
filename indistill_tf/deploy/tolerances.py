"""How far an exported file may be from its network.

They are there to find what is broken: a format that does as well as formats of
its kind do lies well within them.
"""

import dataclasses

_DIFFERENCES = {"float32": 1e-4, "float16": 5e-3, "bfloat16": 5e-2}


@dataclasses.dataclass(frozen=True)
class Tolerance:
    """What a format must keep of its network.

    Attributes:
        agreement: the least part of the images that get the same first class,
            among those of which the network is sure: whose first class is at
            least `SURE` more probable than the second.
        cosine: the least mean cosine of embeddings.
        accuracy: the largest loss, 0..1.
        mean_average_precision: the largest loss, 0..1.
    """

    agreement: float
    cosine: float
    accuracy: float
    mean_average_precision: float

    def of_images(self, count: int) -> "Tolerance":
        """Returns what is asked for when so many images are answered.

        The numbers of the table are for `IMAGES`. Of fewer, those that count
        images scatter more, as the root of their number.

        Args:
            count: int.
        """
        wider = max(1.0, (IMAGES / count) ** 0.5)
        return Tolerance(
            1 - wider * (1 - self.agreement),
            self.cosine,
            wider * self.accuracy,
            wider * self.mean_average_precision,
        )


IMAGES = 1000
SURE = 0.1

_SAME = Tolerance(0.999, 0.9999, 0.002, 0.002)
_8_BITS = Tolerance(0.97, 0.98, 0.02, 0.02)

TOLERANCES = {
    "saved_model": _SAME,
    "keras": _SAME,
    "onnx": _SAME,
    "litert": _SAME,
    "litert_fp16": Tolerance(0.998, 0.999, 0.003, 0.003),
    "litert_dynamic": _8_BITS,
    "litert_int8": _8_BITS,
    "litert_int4": Tolerance(0.6, 0.8, 0.1, 0.1),
}


def difference(precision: str) -> float:
    """Returns the largest difference of the same numbers computed twice.

    Args:
        precision: dtype that a network computes in, such as `"float32"`.
    """
    return _DIFFERENCES[precision]
