"""Why a `.keras` file cannot be loaded, and what to do."""

import importlib.util
import json
import pathlib
import re
import zipfile

import keras

from indistill_tf import contents
from indistill_tf.errors import UserError
from indistill_tf.errors import first_line

_CONFIG, _METADATA = "config.json", "metadata.json"
_ANEW = "Copy it again, or repeat the run that wrote it."
# Layers that keep code of Python or of another package.
_WITH_CODE = ("FlaxLayer", "JaxLayer", "Lambda", "TFSMLayer")
_WITH_CODE += ("TorchModuleWrapper",)
# Modules of Keras in which a file may name a function without its module.
_FUNCTIONS = ("activations", "initializers", "losses", "metrics", "ops")


def check_folder(path: pathlib.Path) -> None:
    """Checks that a path is no folder, which people take for a model's file.

    Args:
        path: `pathlib.Path`.

    Raises:
        UserError: if it is; the message says what kind of folder.
    """
    if not path.is_dir():
        return
    if (path / "saved_model.pb").exists():
        raise UserError(
            f"{path} is a SavedModel, which runs but has no layers to read. "
            "Name the .keras file of the same network, from model.save."
        )
    inside = sorted(file.name for file in path.glob("*.keras"))
    advice = f"It holds: {', '.join(inside)}. " if inside else ""
    raise UserError(f"{path} is a folder. {advice}Name a .keras file.")


def unknown_ending(path: pathlib.Path) -> UserError:
    """Returns the `UserError` of a model's file of another kind.

    Args:
        path: `pathlib.Path`.
    """
    if path.suffix in (".h5", ".hdf5") and not path.stem.endswith(".weights"):
        advice = (
            "Load it in Python with keras.saving.load_model and save it as "
            ".keras."
        )
    else:
        advice = (
            "Weights (.weights.h5, .npz, .safetensors) need the network's name "
            "as well."
        )
    return UserError(
        f"A trained model is a .keras file. Received: {path}. {advice}"
    )


def refusal(path: pathlib.Path, error: Exception) -> UserError:
    """Returns the `UserError` of a file that Keras could not load.

    Args:
        path: `pathlib.Path` of the `.keras` file.
        error: what Keras raised.
    """
    if not zipfile.is_zipfile(path):
        return _no_archive(path)
    try:
        config, version = _read(path)
    # A damaged archive fails in many places, each with its own exception.
    except Exception as damage:
        return _damaged(path, first_line(damage))
    if config is None:
        return UserError(
            f"{path} is a zip archive without {_CONFIG}, so model.save did not "
            "write it. Name the .keras file of a model."
        )
    return (
        _code_inside(path, config, error)
        or _unregistered(path, config)
        or _other_version(path, version, error)
        or UserError(
            f"{path} is whole, but no model comes of it ({_reason(error)}). "
            "Rebuild the network in Python, load its weights there, and save "
            "it again."
        )
    )


def _no_archive(path):
    holds = contents.described(path)
    if holds == "HDF5":
        return UserError(
            f"{path} holds HDF5, the format of Keras 2, not of .keras. Name it "
            ".h5, load it in Python with keras.saving.load_model and save it "
            "as .keras."
        )
    if holds == "a zip archive":
        holds = "the beginning of a zip archive, whose end is missing"
    return _damaged(path, f"it holds {holds}")


def _damaged(path, reason):
    return UserError(f"{path} is no readable .keras file ({reason}). {_ANEW}")


def _read(path):
    """Returns a file's configuration, or None, and the version of Keras."""
    with zipfile.ZipFile(path) as file:
        spoiled = file.testzip()
        if spoiled:
            raise ValueError(f"{spoiled} in it is damaged")
        names = file.namelist()
        if _CONFIG not in names:
            return None, None
        config = json.loads(file.read(_CONFIG))
        if not any(name.startswith("model.weights") for name in names):
            raise ValueError("its weights are missing")
        if _METADATA not in names:
            return config, None
        return config, json.loads(file.read(_METADATA)).get("keras_version")


def _parts(config):
    """Yields every serialised object of a configuration, outermost first."""
    if isinstance(config, dict):
        if "class_name" in config:
            yield config
        config = list(config.values())
    if isinstance(config, list):
        for part in config:
            yield from _parts(part)


def _code_inside(path, config, error):
    """Returns the error of a file with code that is not run, or None."""
    if "safe_mode" not in str(error):
        return None
    layers = [
        f"{part['class_name']} {part['config'].get('name', '')!r}"
        for part in _parts(config)
        if part["class_name"] in _WITH_CODE and not _has_named_function(part)
    ]
    holders = f", of {', '.join(layers)}," if layers else ""
    return UserError(
        f"{path} holds code{holders} which is not run from a file. Replace it "
        "by layers of Keras or a registered class and save the model again; "
        "or, if you trust the file, call "
        "keras.config.enable_unsafe_deserialization() before you load it."
    )


def _has_named_function(part):
    function = part["config"].get("function")
    return isinstance(function, dict) and function["class_name"] == "function"


def _unregistered(path, config):
    """Returns the error of a file that names unknown classes, or None."""
    unknown = dict.fromkeys(filter(None, map(_unknown_name, _parts(config))))
    if not unknown:
        return None
    return UserError(
        f"{path} needs what Keras does not know here: {', '.join(unknown)}. In "
        "Python, import the module that registers it "
        "(@keras.saving.register_keras_serializable()) before you load the "
        "file; or rebuild the model of Keras' own layers and save it again."
    )


def _unknown_name(part):
    """Returns a serialised object's name where Keras does not find it."""
    module, name = part.get("module"), part["class_name"]
    if name == "function":
        return _unknown_function(part.get("config"))
    registered = part.get("registered_name")
    if registered and keras.saving.get_registered_object(registered):
        return None
    package = (module or "").split(".")[0]
    if package == "keras":
        return None
    if package.startswith("keras_"):
        installed = importlib.util.find_spec(package)
        return None if installed else f"{name!r} of the package {package}"
    if module is None and not registered:
        # Tensors and slices, which Keras writes without a module.
        return None
    return repr(name) + (f" of {module}" if module else "")


def _unknown_function(name):
    if not isinstance(name, str) or keras.saving.get_registered_object(name):
        return None
    if any(hasattr(getattr(keras, module), name) for module in _FUNCTIONS):
        return None
    return f"the function {name!r}"


def _other_version(path, version, error):
    """Returns the error of a file of another Keras, or None."""
    if not version or _numbers(version) == _numbers(keras.__version__):
        return None
    advice = "Install the newer one"
    if _numbers(version) < _numbers(keras.__version__):
        advice = "Rebuild the network in Python and load its weights there"
    return UserError(
        f"{path} was written by Keras {version} and cannot be loaded by "
        f"{keras.__version__} ({_reason(error)}). {advice}."
    )


def _numbers(version):
    return tuple(int(part) for part in re.findall(r"\d+", version)[:2])


def _reason(error):
    """Returns the innermost of what Keras has to say."""
    inner = re.findall(r"Exception encountered: (.+)", str(error))
    return (inner[-1] if inner else first_line(error)).rstrip(".:")
