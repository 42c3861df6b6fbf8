"""The HTML of a page: plain functions from strings to strings.

What may hold any text, such as a name, is escaped here; arguments whose name
ends in `markup` are HTML already.
"""

import base64
import colorsys
from collections.abc import Iterable
from collections.abc import Sequence
from html import escape

import numpy as np
import tensorflow as tf

# Of networks in turn, and of few classes; seen on white and on black.
COLOURS = (
    *("#3b8fd0", "#e8833a", "#3fa65a", "#d9525e", "#9b78c9"),
    *("#a3765f", "#d97fc0", "#8a8a8a", "#b3a829", "#22b3c0"),
)

_STYLE = """
:root { color-scheme: light dark; --line: #d8dbe0; --card: #f6f7f9;
  --right: #1a7f37; --wrong: #c22f2f; --quiet: #5b6470; }
@media (prefers-color-scheme: dark) { :root { --line: #3a4048;
  --card: #1d2126; --right: #56c271; --wrong: #ff7b72; --quiet: #9aa4b0; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 76rem; padding: 1rem; line-height: 1.5;
  font-family: system-ui, sans-serif; }
h1 { font-size: 1.6rem; line-height: 1.2; margin: 0.5rem 0; }
h2 { font-size: 1.25rem; margin: 2.5rem 0 0.5rem; padding-top: 0.5rem;
  border-top: 1px solid var(--line); }
h3 { font-size: 1rem; margin: 1.25rem 0 0.5rem; }
p { max-width: 46rem; margin: 0.5rem 0; }
nav a { display: inline-block; margin-right: 1rem; padding: 0.25rem 0; }
.missing { border-left: 4px solid var(--wrong); padding-left: 0.75rem;
  color: var(--quiet); overflow-wrap: anywhere; }
.scroll { overflow-x: auto; margin: 1rem 0; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums;
  font-size: 0.9rem; }
th, td { padding: 0.3rem 0.7rem; text-align: right; white-space: nowrap;
  border-bottom: 1px solid var(--line); }
th:first-child, td:first-child { text-align: left; padding-left: 0; }
@media (max-width: 40rem) {
  th, td { padding: 0.3rem 0.4rem; }
  th { white-space: normal; vertical-align: bottom; }
  th:first-child, td:first-child { white-space: normal; min-width: 8rem; } }
.grid { display: grid; gap: 1rem; margin: 1rem 0;
  grid-template-columns: repeat(auto-fill, minmax(min(100%, 22rem), 1fr)); }
.grid > * { background: var(--card); border-radius: 0.5rem; margin: 0;
  padding: 0.75rem; min-width: 0; }
figcaption, .grid h3 { font-weight: 600; margin: 0 0 0.5rem;
  overflow-wrap: anywhere; }
svg { display: block; width: 100%; height: auto; max-width: 30rem;
  margin: 0 auto; }
.chips span { display: inline-block; margin-right: 1rem; }
.chips i { display: inline-block; width: 0.8em; height: 0.8em;
  border-radius: 50%; margin-right: 0.4em; }
.query { display: flex; align-items: center; gap: 0.75rem; }
.query img { width: 4rem; }
.strip { margin-top: 0.6rem; font-size: 0.85rem; }
.strip img { width: 100%; } .strip p { margin: 0; }
img { display: block; image-rendering: pixelated; border-radius: 2px; }
.marks { display: grid; grid-template-columns: repeat(10, 1fr);
  text-align: center; font-weight: 700; line-height: 1.2; }
.right { color: var(--right); } .wrong { color: var(--wrong); }
details { margin: 0.5rem 0; } summary { cursor: pointer; }
pre { overflow-x: auto; background: var(--card); padding: 0.75rem;
  border-radius: 0.5rem; font-size: 0.85rem; }
"""


def document(title: str, introduction: str, sections: Sequence[tuple]) -> str:
    """Returns a page that loads nothing from elsewhere.

    Args:
        title: text.
        introduction: text.
        sections: tuples of a section's anchor, its title, and its markup.
    """
    links = (
        f'<a href="#{anchor}">{escape(name)}</a>'
        for anchor, name, _ in sections
    )
    parts = (
        f'<section id="{anchor}">\n<h2>{escape(name)}</h2>\n{markup}\n'
        "</section>"
        for anchor, name, markup in sections
    )
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="data:,">
<title>{escape(title)}</title>
<style>{_STYLE}</style>
</head>
<body>
<h1>{escape(title)}</h1>
{paragraph(introduction)}
<nav>{" ".join(links)}</nav>
{chr(10).join(parts)}
</body>
</html>
"""


def paragraph(text: str) -> str:
    """Returns a paragraph.

    Args:
        text: text.
    """
    return f"<p>{escape(text)}</p>"


def missing(text: str) -> str:
    """Returns a paragraph that says what the records lack.

    Args:
        text: text.
    """
    return f'<p class="missing">{escape(text)}</p>'


def heading(text: str) -> str:
    """Returns the heading of a part of a section.

    Args:
        text: text.
    """
    return f"<h3>{escape(text)}</h3>"


def table(rows: Sequence[Sequence[str]]) -> str:
    """Returns a table that scrolls by itself where it is too wide.

    Args:
        rows: of texts, all of one length; the first holds the titles.
    """
    titles, *rest = (map(escape, row) for row in rows)
    lines = ["".join(f"<th>{text}</th>" for text in titles)]
    lines += ["".join(f"<td>{text}</td>" for text in row) for row in rest]
    body = "\n".join(f"<tr>{line}</tr>" for line in lines)
    return f'<div class="scroll"><table>\n{body}\n</table></div>'


def grid(markups: Iterable[str]) -> str:
    """Returns parts side by side, as many in a row as there is room for.

    Args:
        markups: HTML of one element each.
    """
    return f'<div class="grid">\n{chr(10).join(markups)}\n</div>'


def figure(caption: str, markup: str) -> str:
    """Returns a picture under its caption.

    Args:
        caption: text.
        markup: HTML of the picture.
    """
    return (
        f"<figure><figcaption>{escape(caption)}</figcaption>{markup}</figure>"
    )


def image(pixels: np.ndarray, alt: str) -> str:
    """Returns an image that is part of the page, as PNG.

    Args:
        pixels: uint8 array `[H, W, C]`.
        alt: text that says what it shows.
    """
    data = base64.b64encode(tf.io.encode_png(pixels).numpy()).decode()
    return f'<img src="data:image/png;base64,{data}" alt="{escape(alt)}">'


def class_colours(count: int) -> list[str]:
    """Returns a colour for each class, as `#rrggbb`.

    Args:
        count: int, the number of classes.
    """
    if count <= len(COLOURS):
        return list(COLOURS[:count])
    shades = (colorsys.hls_to_rgb(i / count, 0.55, 0.6) for i in range(count))
    return [
        "#" + "".join(f"{round(255 * part):02x}" for part in shade)
        for shade in shades
    ]


def chips(names: Sequence[str]) -> str:
    """Returns a key: the names of classes, each beside its colour.

    Args:
        names: texts.
    """
    spans = (
        f'<span><i style="background:{colour}"></i>{escape(name)}</span>'
        for name, colour in zip(names, class_colours(len(names)), strict=True)
    )
    return f'<p class="chips">{" ".join(spans)}</p>'


def folded(summary: str, text: str) -> str:
    """Returns text as it stands, which shows when its summary is opened.

    Args:
        summary: text.
        text: text.
    """
    return (
        f"<details><summary>{escape(summary)}</summary>\n"
        f"<pre>{escape(text)}</pre></details>"
    )
