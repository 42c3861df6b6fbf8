"""Which images a folder holds, class by class, and what is left out."""

import collections
import dataclasses
import os
import pathlib
import unicodedata

from indistill_tf.errors import UserError

# What `decoding.decode` reads.
ENDINGS = (".bmp", ".gif", ".jfif", ".jpeg", ".jpg", ".png")
# Images too, which nobody leaves out on purpose.
_OTHER_IMAGES = (
    *(".avif", ".dng", ".heic", ".heif", ".jp2", ".jxl", ".pgm", ".ppm"),
    *(".psd", ".svg", ".tif", ".tiff", ".webp"),
)
_OUTSIDE = "image outside the class folders"
# Folders that an archive of macOS and a Synology disk add.
_OF_SYSTEMS = ("__MACOSX", "@eaDir")


@dataclasses.dataclass(frozen=True)
class ClassFolders:
    """The images of one folder that has a sub-folder for each class.

    Attributes:
        folder: `pathlib.Path`.
        paths: dict from a class, in the order of the names, to the list of its
            images' paths.
        left_out: dict from a kind of file or folder that is not read to the
            number of those.
    """

    folder: pathlib.Path
    paths: dict[str, list[pathlib.Path]]
    left_out: dict[str, int]

    def __str__(self):
        count = sum(map(len, self.paths.values()))
        return f"{self.folder}: {count} images of {len(self.paths)} classes"

    def describe_left_out(self) -> str:
        """Returns what was left out, such as `"2 .tif, 1 hidden"`."""
        return ", ".join(
            f"{count} {kind}" for kind, count in sorted(self.left_out.items())
        )


def visible_folders(folder: pathlib.Path) -> list[pathlib.Path]:
    """Returns the sub-folders that a user made, sorted by name.

    Args:
        folder: `pathlib.Path`.
    """
    return sorted(
        path
        for path in folder.iterdir()
        if path.is_dir() and not _is_hidden(path.name)
    )


def holds_images(folder: pathlib.Path) -> bool:
    """Returns whether images lie in a folder itself, not in sub-folders.

    Args:
        folder: `pathlib.Path`.
    """
    return any(_kind(path) in ENDINGS for path in folder.iterdir())


def read(folder: pathlib.Path) -> ClassFolders:
    """Finds the images of a folder with a sub-folder for each class.

    Files lie in their class's folder at any depth. Hidden files, hidden and
    empty folders, and files of other kinds are left out and counted. A name
    is composed, so that one of macOS (`u` and two dots) is that of Linux.

    Args:
        folder: `pathlib.Path`.

    Returns:
        `ClassFolders`.

    Raises:
        UserError: if a class has images, but none that can be read.
    """
    paths, left_out = collections.defaultdict(list), collections.Counter()
    for entry in sorted(folder.iterdir()):
        if not entry.is_dir():
            kind = _kind(entry)
            left_out[_OUTSIDE if kind in ENDINGS else kind] += 1
        elif _is_hidden(entry.name):
            left_out["hidden folder"] += 1
        else:
            name = _class_name(entry)
            found = _images(entry, left_out)
            if found:
                paths[name] += found
            else:
                left_out[f"folder without images ({name})"] += 1
    return ClassFolders(folder, dict(sorted(paths.items())), dict(left_out))


def _class_name(folder):
    # What is no text in UTF-8, as of old archives, is shown as such.
    name = os.fsencode(folder.name).decode("utf-8", "replace")
    return unicodedata.normalize("NFC", name)


def _images(folder, left_out):
    found, others = [], collections.Counter()
    for root, names in _walk(folder, others):
        for path in (pathlib.Path(root, name) for name in names):
            kind = _kind(path)
            if kind in ENDINGS:
                found.append(path)
            else:
                others[kind] += 1
    pictures = [kind for kind in others if kind in _OTHER_IMAGES]
    if pictures and not found:
        raise UserError(
            f"{folder} holds no image of a format that is read, but "
            f"{others[pictures[0]]} {pictures[0]}. Convert them to one of: "
            f"{', '.join(ENDINGS)}."
        )
    left_out.update(others)
    return found


def _walk(folder, left_out):
    """Returns each folder below with its files' names, both sorted.

    Links to folders are followed, but for those back to where they lie.
    """
    found, seen = [], set(map(str, pathlib.Path(folder).resolve().parents))
    for root, folders, names in os.walk(folder, followlinks=True):
        place = os.path.realpath(root)
        hidden = [name for name in folders if _is_hidden(name)]
        if hidden:
            left_out["hidden folder"] += len(hidden)
        folders[:] = [name for name in folders if name not in hidden]
        if place in seen:
            folders.clear()
            continue
        seen.add(place)
        found.append((root, sorted(names)))
    return sorted(found)


def _kind(path):
    if _is_hidden(path.name):
        return "hidden"
    return path.suffix.lower() or "without an ending"


def _is_hidden(name):
    return name.startswith(".") or name in _OF_SYSTEMS
