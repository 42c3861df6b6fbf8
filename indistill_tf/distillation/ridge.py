"""Ridge regression in closed form, of samples that need not fit in memory."""

import dataclasses

import numpy as np

# Of the inputs' mean variance: little beside what varies, and all beside what
# does not.
RIDGE = 1e-8


@dataclasses.dataclass(frozen=True)
class Fit:
    """A linear map `x @ weights + offset`, fitted.

    Attributes:
        weights: array `[D, C]`.
        offset: array `[C]`.
        mean: array `[C]`, of `x @ weights` over the samples.
        variance: array `[C]`, the same.
        unexplained: float, the part of the targets' variance, over all
            channels, that the map leaves.
    """

    weights: np.ndarray
    offset: np.ndarray
    mean: np.ndarray
    variance: np.ndarray
    unexplained: float


class Moments:
    """Sums over samples, from which a regression follows.

    Example:

    >>> moments = Moments()
    >>> moments.add(np.array([[0.0], [2.0]]), np.array([[1.0], [5.0]]))
    >>> fit = moments.fit(ridge=0.0)
    >>> fit.weights.item(), fit.offset.item()
    (2.0, 1.0)
    """

    def __init__(self):
        self._count, self._sum, self._products = 0, 0.0, 0.0

    def add(self, inputs: np.ndarray, targets: np.ndarray) -> None:
        """Adds samples.

        Args:
            inputs: array `[N, D]`.
            targets: array `[N, C]`.
        """
        samples = np.concatenate([inputs, targets], axis=1, dtype=np.float64)
        self._count += len(samples)
        self._sum = self._sum + samples.sum(axis=0)
        self._products = self._products + samples.T @ samples
        self._width = inputs.shape[1]

    def fit(
        self,
        ridge: float = RIDGE,
        offset: bool = True,
        channelwise: bool = False,
    ) -> Fit:
        """Returns the regression of the targets on the inputs.

        It minimises the mean of the squared differences plus `penalty *
        weights**2`, whose penalty is `ridge` times the mean variance of an
        input.

        Args:
            ridge: float, 0 or more. Defaults to `RIDGE`.
            offset: bool, whether the map has one, which bears no penalty.
                Without, mean squares stand for variances above. Defaults to
                True.
            channelwise: bool, whether each target follows from the input of
                its own channel alone; then D = C. Defaults to False.
        """
        mean = self._sum / self._count
        centre = mean if offset else np.zeros_like(mean)
        covariance = self._products / self._count - np.outer(centre, centre)
        x, z = slice(None, self._width), slice(self._width, None)
        inputs, crossed = covariance[x, x], covariance[x, z]
        if channelwise:
            inputs, crossed = (
                np.diag(np.diag(part)) for part in (inputs, crossed)
            )
        weights = _solved(inputs, crossed, ridge)
        explained = (weights * (2 * crossed - inputs @ weights)).sum()
        total = np.trace(covariance[z, z])
        moved = mean[x] @ weights
        spread = self._products[x, x] / self._count - np.outer(mean[x], mean[x])
        return Fit(
            weights=weights,
            offset=(mean[z] - moved) * offset,
            mean=moved,
            variance=np.maximum((weights * (spread @ weights)).sum(axis=0), 0),
            unexplained=float(max(1 - explained / total, 0)) if total else 0.0,
        )


def _solved(inputs, crossed, ridge):
    penalty = ridge * np.trace(inputs) / len(inputs)
    if not penalty and not np.any(inputs):
        # No input varies.
        return np.zeros_like(crossed)
    return np.linalg.solve(inputs + penalty * np.eye(len(inputs)), crossed)
