"""Build of indistill_tf."""

import pathlib

from setuptools import find_packages
from setuptools import setup

README = pathlib.Path(__file__).parent / "README.md"

setup(
    name="indistill_tf",
    version="0.1.0",
    description="Knowledge distillation for Keras 3: InDistill and its peers",
    long_description=README.read_text(),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    # The second is that of the images that come with the package.
    license_files=["LICENSE", "indistill_tf/data/embedded/LICENSE"],
    packages=[
        *find_packages(include=["indistill_tf", "indistill_tf.*"]),
        "indistill_tf_tools",
    ],
    # Apart from the library: `--help` answers without importing TensorFlow.
    package_dir={"indistill_tf_tools": "tools"},
    package_data={"indistill_tf.data": ["embedded/*"]},
    python_requires=">=3.11",
    install_requires=[
        "absl-py>=1.4",
        "importlib-resources>=6",  # tensorflow-datasets 4.9.10 forgets it
        "keras>=3.15",
        "matplotlib>=3.9",
        "numpy>=2.1",
        "tensorboard>=2.20",  # keras.callbacks.TensorBoard
        "tensorflow>=2.21",
        "tensorflow-datasets>=4.9.10",
    ],
    extras_require={
        "benchmark": ["scikit-learn>=1.6"],
        "clip": ["tokenizers>=0.21"],
        # docs/requirements.lock holds the versions that build the site.
        "docs": [
            "mkdocs-material>=9.8",
            "mkdocstrings[python]>=1",
            "ruff>=0.17",
        ],
        "gpu": ["tensorflow[and-cuda]>=2.21"],
        # Nothing uses these yet.
        "quantization": [
            "tensorflow-model-optimization>=0.8.1",
            "tf-keras>=2.21",
        ],
        "test": [
            "pytest>=9",
            "pytest-xdist>=3.8",
            "ruff>=0.17",
            "safetensors>=0.5",
            "tokenizers>=0.21",
        ],
        "weights": ["safetensors>=0.5"],
    },
)
