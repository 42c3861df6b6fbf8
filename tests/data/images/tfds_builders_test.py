"""Names that cannot be had: one line each, within seconds."""

import ssl
import urllib.error
import urllib.request

import pytest
import requests

from indistill_tf import data
from indistill_tf.data.images import tfds_builders
from indistill_tf.errors import UserError


@pytest.fixture
def asked(monkeypatch):
    """The addresses that are tried, where no network is."""
    import tensorflow_datasets as tfds

    asked = []

    def no_network(request, timeout):
        assert timeout <= 10
        asked.append(request.full_url)
        raise urllib.error.URLError(OSError(-2, "Name or service not known"))

    def never(self, **kwargs):
        pytest.fail("TFDS would try for minutes")

    monkeypatch.setattr(urllib.request, "urlopen", no_network)
    download = "download_and_prepare"
    monkeypatch.setattr(tfds.core.DatasetBuilder, download, never)
    return asked


UNKNOWN = "Unknown dataset: {name!r}. Expected one of: embedded, folder, or any"
OTHERWISE = "TFDS set 'mnist' exists, but not as {name!r}. Its configurations: "
FOLDER = "The dataset {name!r} is a folder on this machine. Images in a folder"
UNPREPARED = "TFDS set {name!r} is not prepared in "
NAMES = {
    "": UNKNOWN,
    "a.b": UNKNOWN,
    "/dev/null": UNKNOWN,
    "mnist ": UNKNOWN,
    "kaggle:no_such_set": UNKNOWN,
    "~": FOLDER,
    ".": FOLDER,
    "mnist/x": OTHERWISE,
    "mnist/a=1": OTHERWISE,
    "mnist/x/y": OTHERWISE,
    "mnist:9.9.9": OTHERWISE,
    "huggingface:mnist": UNPREPARED,
    "MNIST": UNPREPARED,
    "imdb_reviews": "TFDS set {name!r} has no Image, so it is no image-cl",
}


@pytest.mark.parametrize("name", NAMES)
def test_names(asked, tmp_path, name):
    with pytest.raises(UserError) as caught:
        data.load(name, tmp_path)
    message = str(caught.value)
    assert message.startswith(NAMES[name].format(name=name))
    assert "\n" not in message
    assert bool(asked) == (NAMES[name] == UNPREPARED)


def test_versions_and_configurations_are_listed(asked, tmp_path):
    with pytest.raises(UserError, match="bymerge, .*; its versions: 3.1.0"):
        data.load("emnist/capitals", tmp_path)


def test_captions_are_no_exception(asked, tmp_path):
    with pytest.raises(UserError, match="'mnist' needs an image and a text"):
        data.load_captions("mnist", tmp_path, image_size=32)


def test_each_address_of_a_set_is_tried(asked, tmp_path):
    with pytest.raises(UserError, match="no answer from https://data.cal"):
        data.load("caltech101", tmp_path, image_size=32)
    assert asked == ["https://data.caltech.edu", "https://drive.google.com"]


@pytest.mark.parametrize(
    "silent, reason",
    [
        # The set's own, which TFDS would try for minutes.
        ("https://data.caltech.edu", "no answer from https://data.caltech.edu"),
        # That of an older version, which nobody needs.
        ("https://drive.google.com", "got to https://data.caltech.edu"),
    ],
)
def test_one_address_of_two_is_silent(monkeypatch, tmp_path, silent, reason):
    def get(session, url, **options):
        raise requests.ConnectionError(f"got to {url}")

    monkeypatch.setattr(tfds_builders, "_answers", lambda host: host != silent)
    monkeypatch.setattr(requests.Session, "get", get)
    with pytest.raises(UserError, match=rf"cannot be downloaded \({reason}"):
        data.load("caltech101", tmp_path, image_size=32)
    assert requests.Session.get is get


def test_what_does_not_fit_is_not_asked_for(asked, tmp_path):
    with pytest.raises(UserError, match="differ in size"):
        data.load("food101", tmp_path)
    assert not asked


def test_sets_that_are_downloaded_by_hand(tmp_path):
    with pytest.raises(UserError, match="downloaded .Manual directory"):
        data.load("resisc45", tmp_path)


@pytest.mark.parametrize(
    "error",
    [
        urllib.error.HTTPError("", 404, "Not Found", {}, None),
        urllib.error.URLError(ssl.SSLError("certificate")),
        TimeoutError("read"),
    ],
)
def test_an_error_is_an_answer(monkeypatch, error):
    def refuse(request, timeout):
        raise error

    monkeypatch.setattr(urllib.request, "urlopen", refuse)
    assert tfds_builders._answers("https://example.org")


def test_a_data_dir_that_is_a_file(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="Received: .*file, which is a file"):
        data.load("cifar10", tmp_path / "file")
