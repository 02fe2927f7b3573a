"""The few shapes that the drawings are made of, as SVG text. Lengths are pixels at full size."""

from collections.abc import Iterable
from xml.sax.saxutils import escape

FONT = 'font-family="Helvetica, Arial, sans-serif"'
INK = '#1f2933'
GREY = '#5b6770'
# What is made by convolutions, by attention inside a window, by attention with a query from the whole map.
CONVOLUTION = '#e3e8ec'
LOCAL = '#cfe3f7'
GLOBAL = '#fbd9b5'
MAP = '#ffffff'
RESULT = '#dcefdc'


def box(x: float, y: float, width: float, height: float, lines: str | Iterable[str], fill: str) -> str:
    """A rectangle with centred lines; the first in bold."""
    lines = [lines] if isinstance(lines, str) else list(lines)
    first = y + height / 2 - 9 * (len(lines) - 1)
    words = ''.join(
        text(x + width / 2, first + 18 * i, line, anchor='middle', bold=i == 0, grey=i > 0)
        for i, line in enumerate(lines)
    )
    frame = f'<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="5" fill="{fill}" stroke="{INK}"/>'
    return frame + words


def text(
    x: float, y: float, words: str, anchor: str = 'start', bold: bool = False, grey: bool = False, size: int = 15
) -> str:
    """One line, its middle at height y."""
    weight = ' font-weight="bold"' if bold else ''
    return (
        f'<text x="{x}" y="{y + size * 0.35:.1f}" {FONT} font-size="{size}" text-anchor="{anchor}" '
        f'fill="{GREY if grey else INK}"{weight}>{escape(words)}</text>'
    )


def arrow(*points: tuple[float, float], dashed: bool = False, colour: str = INK) -> str:
    """A line along the points, with a head at the last."""
    path = ' '.join(f'{x},{y}' for x, y in points)
    dashes = ' stroke-dasharray="5 4"' if dashed else ''
    return (
        f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.5"{dashes} marker-end="url(#head)"/>'
    )


def grid(
    x: float, y: float, cell: float, rows: int, columns: int, fill: str = MAP, every: int = 0, stroke: str = '#9aa5ad'
) -> str:
    """Rows and columns of cells; with ``every`` a heavier line around so many of them, the windows."""
    width, height = cell * columns, cell * rows
    lines = [
        f'<rect x="{x}" y="{y}" width="{width}" height="{height}" fill="{fill}" stroke="{INK}" stroke-width="1.5"/>'
    ]
    for i in range(1, columns):
        heavy = every and i % every == 0
        lines.append(line(x + i * cell, y, x + i * cell, y + height, heavy, stroke))
    for i in range(1, rows):
        heavy = every and i % every == 0
        lines.append(line(x, y + i * cell, x + width, y + i * cell, heavy, stroke))
    return ''.join(lines)


def line(x1: float, y1: float, x2: float, y2: float, heavy: bool, stroke: str) -> str:
    colour, width = (INK, 1.5) if heavy else (stroke, 0.6)
    return f'<line x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}" stroke="{colour}" stroke-width="{width}"/>'


def picture(width: int, height: int, title: str, parts: Iterable[str]) -> str:
    """A whole drawing on white ground, so that it is read on a dark page too."""
    body = '\n'.join(parts)
    return f"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}">
<title>{escape(title)}</title>
<defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" orient="auto">
<path d="M0,0 L8,4 L0,8 z" fill="{INK}"/></marker></defs>
<rect width="{width}" height="{height}" fill="#ffffff"/>
{body}
</svg>
"""
