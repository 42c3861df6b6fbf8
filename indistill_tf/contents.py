"""What a file holds by its first bytes, whatever its name says."""

import pathlib

from indistill_tf.hints import Path

_BEGINNINGS = {
    b"\xff\xd8\xff": "a JPEG image",
    b"\x89PNG": "a PNG image",
    b"GIF8": "a GIF image",
    b"BM": "a BMP image",
    b"II*\0": "a TIFF image",
    b"MM\0*": "a TIFF image",
    b"\xff\x0a": "a JPEG XL image",
    b"\0\0\0\x0cJXL": "a JPEG XL image",
    b"\0\0\0\x0cjP": "a JPEG 2000 image",
    b"\0\0\x01\0": "a Windows icon",
    b"\0\x05\x16\x07": "macOS' notes on another file",
    b"8BPS": "a Photoshop image",
    b"%PDF": "a PDF document",
    b"\x89HDF": "HDF5",
    b"PK\x03\x04": "a zip archive",
    b"\x1f\x8b": "a gzip archive",
    b"\x80\x02": "a Python pickle",
    b"version https://git-lfs": "a pointer of Git LFS",
    b"<!doctype html": "a web page",
    b"<html": "a web page",
    b"<svg": "an SVG drawing",
    b"<?xml": "XML",
    b"{": "JSON",
}
# Formats whose names stand a few bytes behind the beginning.
_BRANDS = {
    b"WEBP": "a WebP image",
    b"ftyphe": "a HEIC image",
    b"ftypmif1": "a HEIC image",
    b"ftypavif": "an AVIF image",
    b"ftyp": "a video",
}
_LENGTH = 64


def described(path: Path) -> str:
    """Returns what a file holds, to be read after "it holds".

    Args:
        path: of the file.

    Returns:
        Such as `"a web page"`, `"nothing"` of an empty file, or `"bytes of no
        known format"`.

    Raises:
        OSError: if the file cannot be opened.
    """
    with pathlib.Path(path).open("rb") as file:
        head = file.read(_LENGTH)
    if not head:
        return "nothing"
    for brand, kind in _BRANDS.items():
        if brand in head[4:16]:
            return kind
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    for beginning, kind in _BEGINNINGS.items():
        if head.startswith(beginning) or text.startswith(beginning):
            return kind
    return "bytes of no known format"
