"""Annotation files in JSON, read once, by name in every complaint."""

import codecs
import json
import sys
from pathlib import Path
from typing import Any

from .files import problem_of
from .problems import Kind, Outcome, Report

NO_JSON = Kind('no whole JSON', Outcome.STOPS, 'write the file again')
BYTE_ORDER_MARK = Kind(
    'begins with a byte order mark, which JSON must not', Outcome.STOPS, 'save it as UTF-8 without one (no "BOM")'
)
NO_OBJECT = Kind('JSON, but no object', Outcome.STOPS, 'it must begin with { and name images, annotations, categories')
NOT_UTF8 = Kind('no text in UTF-8', Outcome.STOPS, 'save it as UTF-8')
LONG_NUMBER = Kind('a whole number too long to be read', Outcome.STOPS, 'correct it')


def read_json(path: str, report: Report) -> dict[str, Any] | None:
    """The content of a file that holds a JSON object; None where the report gets why there is none."""
    problem = problem_of(path)
    if problem is not None:
        report.add(problem, path)
        return None
    content = Path(path).read_bytes()
    if content.startswith(codecs.BOM_UTF8):
        report.add(BYTE_ORDER_MARK, path)
        return None
    try:
        loaded = json.loads(content.decode())
    except UnicodeDecodeError as error:
        report.add(NOT_UTF8, path, [f'byte {error.start}'])
    # Brackets within brackets within brackets.
    except (json.JSONDecodeError, RecursionError) as error:
        report.add(NO_JSON, path, [str(error)])
    # Of the errors of values only this one is left.
    except ValueError:
        report.add(LONG_NUMBER, path, [f'over {sys.get_int_max_str_digits():,} digits'])
    else:
        if isinstance(loaded, dict):
            return loaded
        report.add(NO_OBJECT, path)
    return None
