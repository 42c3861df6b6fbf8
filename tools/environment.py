"""Environment variables that libraries read when they are imported."""

import os

_ALWAYS = {
    "TF_CPP_MIN_LOG_LEVEL": "3",
    # By itself TensorFlow uses oneDNN's faster convolutions only on processors
    # with AVX-512.
    "TF_ENABLE_ONEDNN_OPTS": "1",
    # Threads of NumPy's matrix products then sleep at once, where they would
    # keep a core waiting for more (for 2^26 ticks, not 2^4).
    "OPENBLAS_THREAD_TIMEOUT": "4",
}
# AMD's Zen 4 stores the lanes of a vector that a mask selects by microcode:
# there NumPy sorts six times faster with AVX2 than with AVX-512.
_ZEN_4 = {"NPY_DISABLE_CPU_FEATURES": "X86_V4"}


def prepare():
    """Sets what is not set; to be called before NumPy is imported."""
    for name, value in settings(_processor()).items():
        os.environ.setdefault(name, value)


def settings(processor: str) -> dict[str, str]:
    """Returns the variables that make the libraries fast.

    Args:
        processor: the text of Linux' /proc/cpuinfo; empty elsewhere.
    """
    words = processor.split()
    zen = "AuthenticAMD" in words and "family : 25" in " ".join(words)
    return {**_ALWAYS, **(_ZEN_4 if zen and "avx512f" in words else {})}


def _processor():
    try:
        with open("/proc/cpuinfo") as file:
            return file.read()
    except OSError:
        return ""
