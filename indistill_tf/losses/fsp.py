"""FSP, the flow of the solution procedure: how two layers relate."""

from typing import Any

import keras
from keras import layers
from keras import ops

from indistill_tf.errors import UserError
from indistill_tf.hints import Tensor
from indistill_tf.losses.adapters import check_map
from indistill_tf.losses.base import DistillationLoss
from indistill_tf.losses.numerics import pool_to_smaller


def flow_matrix(first: Tensor, second: Tensor) -> Tensor:
    """Products of the channels of two maps, averaged over the pixels.

    `G[n, i, j] = mean_hw first[n, h, w, i] * second[n, h, w, j]`. The larger
    map is average-pooled to the smaller first.

    Args:
        first: tensor `[N, H, W, C]`.
        second: tensor `[N, H', W', D]`.

    Returns:
        Tensor `[N, C, D]`.

    Example:

    >>> flow_matrix(ops.ones((8, 4, 4, 3)), ops.ones((8, 2, 2, 5))).shape
    TensorShape([8, 3, 5])

    References:
        - [Yim et al., 2017](https://openaccess.thecvf.com/content_cvpr_2017/html/Yim_A_Gift_From_CVPR_2017_paper.html),
          eq. 1
    """
    first, second = pool_to_smaller(
        ops.convert_to_tensor(first), ops.convert_to_tensor(second)
    )
    height, width = ops.shape(first)[1:3]
    pixels = ops.cast(height * width, first.dtype)
    return ops.einsum("nhwi,nhwj->nij", first, second) / pixels


def flow_of_solution(
    teacher_pair: tuple[Tensor, Tensor],
    student_pair: tuple[Tensor, Tensor],
    frobenius: bool = False,
) -> Tensor:
    """Squared distance of the flow matrices of two pairs of maps.

    The matrices grow with the square of the activations, and so the loss with
    their fourth power; it is computed in float32 for half-precision maps.

    Args:
        teacher_pair: two maps of the teacher, `[N, H, W, C]` and
            `[N, H', W', D]`.
        student_pair: two maps of the student with `C` and `D` channels.
        frobenius: bool. False is the mean over samples and elements, True the
            paper's form: the sum over elements, averaged over samples.
            Defaults to False.

    Returns:
        Scalar tensor.

    Raises:
        UserError: if the channels of teacher and student differ.

    References:
        - [Yim et al., 2017](https://openaccess.thecvf.com/content_cvpr_2017/html/Yim_A_Gift_From_CVPR_2017_paper.html),
          eq. 1 and 2
    """
    _check_widths(*map(_widths, (teacher_pair, student_pair)))
    difference = flow_matrix(*teacher_pair) - flow_matrix(*student_pair)
    squared = ops.square(difference)
    if frobenius:
        return ops.mean(ops.sum(squared, axis=(1, 2)))
    return ops.mean(squared)


def _widths(pair):
    return tuple(maps.shape[-1] for maps in pair)


def _check_widths(teacher, student):
    if teacher != student:
        raise UserError(
            "FSP compares matrices of one shape: both networks' pairs of maps "
            "must have the same channels. Received: teacher "
            f"{teacher}, student {student}. Use FlowOfSolution(adapters=True), "
            "or tap a teacher pruned to the student's widths."
        )


@keras.saving.register_keras_serializable(package="indistill_tf")
class FlowOfSolution(DistillationLoss):
    """The layer form of `flow_of_solution`.

    Args:
        frobenius: bool, the form of the paper (True) or the mean over
            elements. Defaults to False.
        adapters: bool, whether a trainable 1x1 convolution, without bias,
            brings a student's map to the teacher's channels where they
            differ. The paper has none and asks for equal widths. Defaults to
            False.
        **kwargs: `name` and `dtype` of the layer.

    Call arguments:
        teacher: tuple of two maps of the teacher.
        student: tuple of two maps of the student.

    Raises:
        UserError: if the channels differ and there are no adapters.

    References:
        - [Yim et al., 2017](https://openaccess.thecvf.com/content_cvpr_2017/html/Yim_A_Gift_From_CVPR_2017_paper.html)
    """

    endpoint = "tap"
    adapters = "1x1 convolutions, as an option"

    def __init__(
        self, frobenius: bool = False, adapters: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.frobenius = frobenius
        self.adapters = adapters

    def build(self, teacher_shape: tuple, student_shape: tuple) -> None:
        for shape in teacher_shape:
            check_map("teacher", shape)
        for shape in student_shape:
            check_map("student", shape)
        widths = [
            tuple(shape[-1] for shape in shapes)
            for shapes in (teacher_shape, student_shape)
        ]
        if not self.adapters:
            _check_widths(*widths)
        self.projections = [
            self._make_adapter(width, shape)
            for width, shape in zip(widths[0], student_shape)
        ]

    def _make_adapter(self, width, shape):
        if width == shape[-1]:
            return layers.Identity(dtype=self.dtype_policy)
        adapter = layers.Conv2D(
            width, 1, use_bias=False, dtype=self.dtype_policy
        )
        adapter.build(shape)
        return adapter

    def call(
        self, teacher: tuple[Tensor, Tensor], student: tuple[Tensor, Tensor]
    ) -> Tensor:
        adapted = [
            project(maps) for project, maps in zip(self.projections, student)
        ]
        return flow_of_solution(teacher, adapted, self.frobenius)

    def get_config(self) -> dict:
        return {
            **super().get_config(),
            "frobenius": self.frobenius,
            "adapters": self.adapters,
        }
