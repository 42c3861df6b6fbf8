"""Finding the sets of TensorFlow Datasets, and preparing them."""

import concurrent.futures
import contextlib
import http.client
import os
import re
import ssl
import textwrap
import urllib.error
import urllib.parse
import urllib.request
from typing import Any

from indistill_tf.errors import UserError
from indistill_tf.errors import first_line
from indistill_tf.errors import unknown_name
from indistill_tf.hints import Path

# Where TFDS keeps what has no address of its own.
_STORAGE = "https://storage.googleapis.com"
_HUGGING_FACE = "huggingface:"
# All addresses of a set are tried at once, each for so many seconds.
_SECONDS, _AT_ONCE = 5, 32
_LISTED = 200


def find(name: str, data_dir: Path | None) -> Any:
    """Returns the builder of a TFDS set, prepared or not.

    Args:
        name: the set's name, as `tfds.builder` takes it.
        data_dir: where prepared sets lie; None for TFDS's own place.

    Returns:
        `tfds.core.DatasetBuilder`.

    Raises:
        UserError: if there is no such set, or `data_dir` is a file.
    """
    import tensorflow_datasets as tfds

    if data_dir and os.path.isfile(os.path.expanduser(data_dir)):
        raise UserError(
            f"`data_dir` is a folder of prepared sets. Received: {data_dir}, "
            "which is a file."
        )
    if name.startswith(_HUGGING_FACE):
        _check_reachable(["https://huggingface.co"], name, data_dir)
    try:
        return tfds.builder(name, data_dir=data_dir)
    # Each part of a name that does not fit has its own exception.
    except Exception as error:
        raise _unknown(name) from error


def prepare(builder: Any, name: str) -> None:
    """Downloads and prepares a TFDS set where that is not done.

    Args:
        builder: `tfds.core.DatasetBuilder`.
        name: the set's name, for messages.

    Raises:
        UserError: if it cannot be prepared.
    """
    if builder.data_path.exists():
        return
    silent = []
    if not builder.MANUAL_DOWNLOAD_INSTRUCTIONS:
        hosts = list(dict.fromkeys(map(_host, builder.url_infos or ())))
        silent = _check_reachable(hosts, name, builder.data_path.parent)
    try:
        with _not_asking(silent):
            builder.download_and_prepare()
    except Exception as error:
        raise _unprepared(
            name, builder.data_path.parent, first_line(error)
        ) from error


def _check_reachable(hosts, name, folder):
    """Returns the addresses that do not answer, some of several."""
    hosts = hosts or [_STORAGE]
    with concurrent.futures.ThreadPoolExecutor(_AT_ONCE) as threads:
        answers = list(threads.map(_answers, hosts))
    if not any(answers):
        raise _unprepared(name, folder, f"no answer from {', '.join(hosts)}")
    return [host for host, answer in zip(hosts, answers) if not answer]


@contextlib.contextmanager
def _not_asking(silent):
    """Refuses at once what TFDS asks of addresses that do not answer.

    It would try each for minutes. Which of a set's addresses it asks, it knows
    alone: some are those of older versions.
    """
    import requests

    get = requests.Session.get

    def asked(session, url, **options):
        if _host(url) in silent:
            raise requests.ConnectionError(f"no answer from {_host(url)}")
        return get(session, url, **options)

    requests.Session.get = asked
    try:
        yield
    finally:
        requests.Session.get = get


def _host(url):
    parts = urllib.parse.urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def _answers(host):
    """Returns whether anything, an error included, comes from an address."""
    request = urllib.request.Request(host, method="HEAD")
    try:
        urllib.request.urlopen(request, timeout=_SECONDS).close()
    except urllib.error.HTTPError:
        return True
    except urllib.error.URLError as error:
        # TFDS brings certificates of its own.
        return isinstance(error.reason, ssl.SSLError)
    except (OSError, http.client.HTTPException):
        return True
    return True


def _unprepared(name, folder, reason):
    return UserError(
        f"TFDS set {name!r} is not prepared in {folder} and cannot be "
        f"downloaded ({reason.rstrip('.')}). Prepare it where there is a "
        "network, and name its folder in `data_dir`."
    )


def _unknown(name):
    """Returns the `UserError` of a name that TFDS cannot build a set of."""
    import tensorflow_datasets as tfds

    try:
        known = tfds.builder_cls(re.split("[/:]", name)[0])
    except Exception:
        if name and os.path.isdir(os.path.expanduser(name)):
            return UserError(
                f"The dataset {name!r} is a folder on this machine. Images in "
                f"a folder are the dataset 'folder' with `data_dir={name}`."
            )
        return unknown_name(
            "dataset",
            name,
            ("embedded", "folder", "or any TFDS name, such as cifar10"),
        )
    configurations = ", ".join(known.builder_configs) or "none"
    versions = [known.VERSION, *known.SUPPORTED_VERSIONS]
    return UserError(
        f"TFDS set {known.name!r} exists, but not as {name!r}. Its "
        f"configurations: {textwrap.shorten(configurations, _LISTED)}; its "
        f"versions: {', '.join(map(str, versions))}. Write NAME, "
        "NAME/CONFIGURATION or NAME:VERSION."
    )
