"""Two ways of doing one thing, measured in turns."""

import statistics
import time


def paired(
    ours,
    plain,
    amount,
    repeats=5,
    clock=time.perf_counter,
    processor=time.process_time,
):
    """Measures two functions in turns, so that both meet the same machine.

    Each runs once beforehand, unmeasured. The ratio is taken within each pair
    of neighbouring runs, so what slows both down for a while cancels out.

    Args:
        ours: function without arguments.
        plain: function without arguments that does the same plainly.
        amount: number of things that one call works off.
        repeats: int, pairs of runs. Defaults to 5.
        clock: function returning seconds. Defaults to `time.perf_counter`.
        processor: function returning seconds of all cores' work. Defaults to
            `time.process_time`.

    Returns:
        Dict, JSON-ready: `ours` and `plain`, each with the `median`, `lowest`
        and `highest` of things a second; `ratio` with the same of ours over
        plain; `work_ratio` the same of the things a second of a core's work,
        which other programs on the machine disturb less; `amount` and
        `repeats`.
    """

    def rates(function):
        start, work = clock(), processor()
        function()
        return amount / (clock() - start), amount / (processor() - work)

    ours(), plain()
    runs = [(rates(ours), rates(plain)) for _ in range(repeats)]
    ratios = [(ours[0] / plain[0], ours[1] / plain[1]) for ours, plain in runs]
    return {
        "ours": summary([ours[0] for ours, _ in runs]),
        "plain": summary([plain[0] for _, plain in runs]),
        "ratio": summary([speed for speed, _ in ratios]),
        "work_ratio": summary([work for _, work in ratios]),
        "amount": amount,
        "repeats": repeats,
    }


def scheduled(rows, epochs):
    """Returns the rates of a schedule, whose stages were measured one by one.

    Args:
        rows: list of what `paired` returns, one for each stage.
        epochs: list of ints, of each stage.

    Returns:
        Dict like that of `paired`, without `work_ratio` and the counts. The
        lowest values are those of all stages' lowest at once, the highest of
        all highest: the spread is rather too wide.
    """

    def rate(name):
        return {
            key: sum(epochs)
            / sum(n / row[name][key] for row, n in zip(rows, epochs))
            for key in ("median", "lowest", "highest")
        }

    ours, plain = rate("ours"), rate("plain")
    ratio = {
        "median": ours["median"] / plain["median"],
        "lowest": ours["lowest"] / plain["highest"],
        "highest": ours["highest"] / plain["lowest"],
    }
    return {"ours": ours, "plain": plain, "ratio": ratio}


def summary(values):
    """Returns a dict of the median, the lowest and the highest of floats."""
    return {
        "median": statistics.median(values),
        "lowest": min(values),
        "highest": max(values),
    }
