"""Write CSV files that spreadsheets open as they are meant."""

import csv
from collections.abc import Iterable
from pathlib import Path

from ...host.files import write_atomically

CsvCell = str | int | float | Path
FORMULA_STARTS = ('=', '+', '-', '@', '\t', '\r')


def write_csv(path: Path, rows: Iterable[Iterable[CsvCell]]) -> None:
    """Write a CSV file atomically.

    It begins with a byte order mark, without which Excel does not read UTF-8. Names of files and
    classes are passed through :func:`escape_formula` before.
    """
    with (
        write_atomically(path) as temporary,
        # A file's name may not be UTF-8.
        temporary.open('w', newline='', encoding='utf-8-sig', errors='backslashreplace') as file,
    ):
        csv.writer(file).writerows(rows)


def escape_formula(text: str) -> str:
    """Put an apostrophe before a cell that spreadsheets would compute."""
    return f"'{text}" if text.startswith(FORMULA_STARTS) else text
