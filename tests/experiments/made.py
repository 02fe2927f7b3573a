"""Tables and trainings made for a test."""

from pathlib import Path

from mmgcvit.experiments.ablations import Result, Row, Table, note_finished

CONFIG = Path('unread.py')


def made_table(*keys, metrics=('top-1',), published=None):
    """A table with rows of these names, whose configs nobody reads."""
    rows = tuple(Row(key, f'row {key}', CONFIG, published) for key in keys)
    return Table('made', 'A table', tuple(metrics), CONFIG, rows)


def finish(run, *scores, seconds=10.0, metrics=('top-1',)):
    """Leave a training's folder as a finished one leaves it."""
    run.folder.mkdir(parents=True, exist_ok=True)
    note_finished(run, Result(dict(zip(metrics, scores, strict=True)), seconds))
