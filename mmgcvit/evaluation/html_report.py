"""Write an HTML page whose pictures are embedded in it, so that it can be sent as one file."""

from base64 import b64encode
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

from ..files import write_text

PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title><style>
body {{ font: 15px/1.5 sans-serif; max-width: 1100px; margin: 2em auto; padding: 0 1em }}
img {{ max-width: 100% }}
td, th {{ padding: 2px 12px; text-align: right; border-bottom: 1px solid #ddd }}
td:first-child, th:first-child {{ text-align: left }}
</style></head><body>
<h1>{title}</h1>
{body}
</body></html>
"""


def write_report(
    file: Path,
    title: str,
    paragraphs: Sequence[str],
    rows: Mapping[str, Mapping[str, float | int | None]],
    pictures: Sequence[tuple[str, Path]],
) -> None:
    """Write paragraphs, a table and pictures with titles. ``rows`` has the values of each class by column name."""
    columns = [column.replace('_', ' ') for column in next(iter(rows.values()), {})]
    table = [['class', *columns]] + [[name, *map(format_value, row.values())] for name, row in rows.items()]
    body = [f'<p>{escape(paragraph)}</p>' for paragraph in paragraphs]
    body += [
        '<table>',
        *(''.join(['<tr>', *(f'<td>{escape(cell)}</td>' for cell in row)]) for row in table),
        '</table>',
    ]
    for heading, path in pictures:
        data = b64encode(path.read_bytes()).decode('ascii')
        kind = 'jpeg' if path.suffix == '.jpg' else 'png'
        body.append(f'<h2>{escape(heading)}</h2><img alt="{escape(heading)}" src="data:image/{kind};base64,{data}">')
    write_text(file, PAGE.format(title=escape(title), body='\n'.join(body)))


def format_value(value: float | int | None) -> str:
    """Format a value of the table. None becomes a dash."""
    return '–' if value is None else str(value) if isinstance(value, int) else f'{value:.3f}'
