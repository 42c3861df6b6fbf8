"""Build of indistill_tf."""

import pathlib

from setuptools import find_packages
from setuptools import setup
from setuptools.command.build_py import build_py

README = pathlib.Path(__file__).parent / "README.md"

# Benchmarks, stand-ins for data sets and the maker of the embedded images are
# for those who change the library, in a checkout.
CHECKOUT_ONLY = {
    *("benchmark", "chaos", "make_embedded", "make_tiny", "official_splits"),
    "stand_ins",
}


class BuildTools(build_py):
    """Leaves out what only a checkout has a use for."""

    def find_package_modules(self, package, package_dir):
        """Returns triples of a package, the name and the file of a module."""
        found = super().find_package_modules(package, package_dir)
        return [each for each in found if each[1] not in CHECKOUT_ONLY]


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
        "indistill_tf_tools.flags",
        "indistill_tf_tools.flags.base",
        "indistill_tf_tools.flags.papers",
    ],
    # Apart from the library: `--help` answers without importing TensorFlow.
    package_dir={
        "indistill_tf_tools": "tools",
        "indistill_tf_tools.flags": "flags",
    },
    package_data={
        "indistill_tf": ["py.typed"],
        "indistill_tf.data": ["embedded/*"],
        "indistill_tf_tools.flags": ["*.flags", "*.sweep"],
        "indistill_tf_tools.flags.base": ["*.flags"],
        "indistill_tf_tools.flags.papers": ["*.csv"],
    },
    cmdclass={"build_py": BuildTools},
    entry_points={
        "console_scripts": ["indistill_tf = indistill_tf_tools.__main__:main"]
    },
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
        "benchmark": [
            "faiss-cpu>=1.12",
            "pytorch-metric-learning>=2.9",
            "scikit-learn>=1.6",
        ],
        "clip": ["tokenizers>=0.21"],
        # LiteRT's and ONNX's runtimes, and what writes their files.
        "deploy": [
            "ai-edge-litert>=2.3",
            "litert-quantizer>=0.11",
            "onnx>=1.23",
            "onnxruntime>=1.32",
            "tf2onnx>=1.17",
        ],
        # docs/requirements.lock holds the versions that build the site.
        "docs": [
            "mkdocs-material>=9.8",
            "mkdocstrings[python]>=1",
            "ruff>=0.17",
        ],
        "gpu": ["tensorflow[and-cuda]>=2.21"],
        # Private modules of this version are used, see BUILD.md.
        "quantization": [
            "tensorflow-model-optimization==0.8.1",
            "tf-keras>=2.21",
        ],
        "test": [
            "pytest>=9",
            "pytest-xdist>=3.8",
            "pyyaml>=6",
            "ruff>=0.17",
            "safetensors>=0.5",
            "tokenizers>=0.21",
        ],
        "weights": ["safetensors>=0.5"],
    },
)
