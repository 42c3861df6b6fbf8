"""What a report shows: pictures in two dimensions, neighbours, the file."""

import numpy as np
import pytest

from indistill_tf import evaluation
from indistill_tf.errors import UserError
from indistill_tf.evaluation import Details
from indistill_tf.evaluation import details


def test_two_principal_components():
    # Unit vectors at angles of 0, 90, 180 and 270 degrees, two of them longer;
    # the spread is larger along x: two more lie there.
    embeddings = [[2, 0], [0, 1], [-3, 0], [0, -1], [1, 0], [-1, 0]]
    points = details.in_two_dimensions(np.array(embeddings, "float32"))
    expected = [[1, 0], [0, 1], [-1, 0], [0, -1], [1, 0], [-1, 0]]
    np.testing.assert_allclose(points, expected, atol=1e-3)
    assert points.dtype == "float16"


@pytest.mark.parametrize("shape", [(1, 4), (5, 1)])
def test_one_image_or_one_component(shape):
    points = details.in_two_dimensions(np.ones(shape, "float32"))
    np.testing.assert_array_equal(points, np.zeros((shape[0], 2)))


def test_nearest_by_cosine(monkeypatch):
    monkeypatch.setattr(details, "_PART", 2)
    database = np.array([[0, 1], [9, 9], [-1, 0], [2, 0], [4, 3]], "float32")
    queries = np.array([[1, 0.1], [-1, 0.9]], "float32")
    found = details.nearest(queries, database, 3)
    # Cosines 0.10, 0.78, -1, 1, 0.86 and 0.67, 0, 0.74, -0.74, -0.19.
    np.testing.assert_array_equal(found, [[3, 4, 1], [2, 0, 1]])


def test_queries_in_turn_of_each_class():
    labels = np.array([2, 0, 0, 2, 1, 0])
    found = details.query_positions(labels, 5)
    np.testing.assert_array_equal(found, [1, 4, 0, 2, 3])
    assert len(details.query_positions(labels, 10)) == 6


def test_file_of_a_network(build, small_images, tmp_path):
    path = tmp_path / "evaluation.npz"
    model, teacher = build("cnn_s"), build("cnn_a")
    scores = evaluation.score(model, small_images, teacher, details_path=path)
    found = Details.read(path)
    assert path.stat().st_size < 200e3
    labels = small_images.test.labels
    np.testing.assert_array_equal(found.labels, labels)
    right = np.mean(found.predictions == labels)
    assert right == pytest.approx(scores["accuracy"])
    np.testing.assert_array_equal(found.query_labels, range(10))
    first = small_images.test.images[np.argmax(labels == 3)]
    np.testing.assert_array_equal(found.query_images[3], first)
    assert found.neighbour_images.shape == (10, 10, 32, 32, 1)
    test, train = (
        evaluation.outputs(model, split, small_images.preprocessing)
        for split in (small_images.test, small_images.train)
    )
    query = test["embedding"][np.argmax(labels == 3)]
    database = train["embedding"].astype("float64")
    cosines = database @ query / np.linalg.norm(database, axis=1)
    best = cosines.argmax()
    assert found.neighbour_labels[3, 0] == small_images.train.labels[best]
    np.testing.assert_array_equal(
        found.neighbour_images[3, 0], small_images.train.images[best]
    )
    targets = evaluation.outputs(
        teacher, small_images.test, small_images.preprocessing
    )
    np.testing.assert_array_equal(
        found.teacher_points, details.in_two_dimensions(targets["embedding"])
    )


def test_file_that_cannot_be_read(tmp_path):
    path = tmp_path / "evaluation.npz"
    np.savez(path, labels=np.zeros(3))
    with pytest.raises(UserError, match="does not hold what a report shows"):
        Details.read(path)
    path.write_bytes(b"PK damaged")
    with pytest.raises(UserError, match="`evaluate` writes it again"):
        Details.read(path)


def test_large_pictures_are_made_smaller(build, small_images):
    class Large:
        def images_at(self, positions):
            return np.full((len(positions), 96, 48, 3), 7, "uint8")

    pictures = details._pictures(Large(), np.arange(2))
    np.testing.assert_array_equal(pictures, np.full((2, 32, 16, 3), 7))
