"""Speed of parts of this package, each beside a plain way of doing the same."""

from indistill_tf.benchmark.jpeg import jpeg
from indistill_tf.benchmark.paired import paired
from indistill_tf.benchmark.retrieval import retrieval

# A case is a function `(data_dir, repeats)` that returns what `paired` does.
CASES = {"jpeg": jpeg, "retrieval": retrieval}

__all__ = ["CASES", "jpeg", "paired", "retrieval"]
