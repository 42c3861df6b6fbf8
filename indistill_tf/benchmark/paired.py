"""Two ways of doing one thing, measured in turns."""

import statistics
import time


def paired(ours, plain, amount, repeats=5, clock=time.perf_counter):
    """Measures two functions in turns, so that both meet the same machine.

    Each runs once beforehand, unmeasured. The ratio is taken within each pair
    of neighbouring runs, so what slows both down for a while cancels out.

    Args:
        ours: function without arguments.
        plain: function without arguments that does the same plainly.
        amount: number of things that one call works off.
        repeats: int, pairs of runs. Defaults to 5.
        clock: function returning seconds. Defaults to `time.perf_counter`.

    Returns:
        Dict, JSON-ready: `ours` and `plain`, each with the `median`, `lowest`
        and `highest` of things a second; `ratio` with the same of ours over
        plain; `amount` and `repeats`.
    """

    def rate(function):
        start = clock()
        function()
        return amount / (clock() - start)

    ours(), plain()
    pairs = [(rate(ours), rate(plain)) for _ in range(repeats)]
    return {
        "ours": _summary([ours for ours, _ in pairs]),
        "plain": _summary([plain for _, plain in pairs]),
        "ratio": _summary([ours / plain for ours, plain in pairs]),
        "amount": amount,
        "repeats": repeats,
    }


def _summary(values):
    return {
        "median": statistics.median(values),
        "lowest": min(values),
        "highest": max(values),
    }
