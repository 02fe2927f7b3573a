"""Runs a notebook's cells as Jupyter does, one after the other in one namespace, and puts their outputs into it.

    python -m tests.docs.notebook docs/tutorial.ipynb

Jupyter itself is not needed: a cell's output is what it prints, and its last expression as a picture or as text.
"""

import ast
import base64
import contextlib
import io
import json
import sys
from pathlib import Path

from PIL import Image

COLOURS = 64


def source_of(cell):
    return ''.join(cell['source'])


def run_cell(source, namespace):
    """Run a cell; returns its outputs, as notebooks have them."""
    tree = ast.parse(source)
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    printed, value = io.StringIO(), None
    with contextlib.redirect_stdout(printed):
        exec(compile(tree, '<cell>', 'exec'), namespace)
        if last is not None:
            value = eval(compile(ast.Expression(last.value), '<cell>', 'eval'), namespace)
    outputs = []
    if printed.getvalue():
        outputs.append({'output_type': 'stream', 'name': 'stdout', 'text': lines_of(printed.getvalue())})
    if value is not None:
        outputs.append({'output_type': 'display_data', 'metadata': {}, 'data': data_of(value)})
    return outputs


def data_of(value):
    """A picture, where an object has one, else text."""
    if isinstance(value, Image.Image):
        file = io.BytesIO()
        # Of few colours, so that the notebook stays small.
        value.convert('RGB').quantize(COLOURS).save(file, 'PNG', optimize=True)
        return {'image/png': base64.b64encode(file.getvalue()).decode(), 'text/plain': ['<picture>']}
    return {'text/plain': lines_of(repr(value))}


def lines_of(text):
    return text.splitlines(keepends=True)


def run(notebook):
    """Run all code cells of a notebook; changes their outputs in place."""
    namespace = {'__name__': '__main__'}
    for number, cell in enumerate((cell for cell in notebook['cells'] if cell['cell_type'] == 'code'), start=1):
        cell['outputs'] = run_cell(source_of(cell), namespace)
        cell['execution_count'] = number


def main():
    path = Path(sys.argv[1]).resolve()
    notebook = json.loads(path.read_text())
    run(notebook)
    path.write_text(json.dumps(notebook, indent=1, ensure_ascii=False) + '\n')


if __name__ == '__main__':
    main()
