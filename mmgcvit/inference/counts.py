"""Count the predictions of images by class, for ``counts.csv`` and the table that ``mmgcvit predict`` prints."""

import csv
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.table import Table

from ..errors import MANY, escape_controls, shorten
from ..files import write_atomically
from ..tasks import CLASSIFICATION, SEGMENTATION, TASK_BY_NAME
from .results import Classification, Prediction, Segmentation

# The table has a row for each image up to this number, and always a row for all images.
MAX_ROWS = 10


def count_classes(prediction: Prediction) -> Counter[int]:
    """Count the objects, or the pixels of a segmentation, by class index. The class of a classified image counts 1."""
    if isinstance(prediction, Segmentation):
        return Counter(dict(zip(prediction.labels.tolist(), prediction.areas.tolist(), strict=True)))
    return Counter([prediction.label] if isinstance(prediction, Classification) else prediction.labels.tolist())


def write_counts(path: Path, counts: Mapping[str, Counter[int]], classes: Sequence[str]) -> None:
    """Write a CSV file with a row for each image, and a column for each class (of many classes, for those that occur).

    A name that is not valid UTF-8 is written with backslash escapes.
    """
    labels = range(len(classes)) if len(classes) <= MANY else sorted(set().union(*counts.values()))
    with (
        write_atomically(path) as temporary,
        temporary.open('w', encoding='utf-8', errors='backslashreplace', newline='') as file,
    ):
        rows = csv.writer(file)
        rows.writerow(['file_name', *(classes[label] for label in labels)])
        rows.writerows([name, *(counter[label] for label in labels)] for name, counter in counts.items())


def make_table(counts: Mapping[str, Counter[int]], classes: Sequence[str], task: str) -> Table:
    """Make a table with the counts of each image, if they are few, and of all images together."""

    def format_counts(counter: Counter[int]) -> str:
        total, texts = counter.total(), []
        for label, count in counter.most_common():
            number = f'{count / total:.1%}' if task == SEGMENTATION.name else f'{count:,} ×'
            texts.append(f'{number} {classes[label]}')
        return shorten(texts, MAX_ROWS) or 'none'

    table = Table()
    for header in ('image', 'class' if task == CLASSIFICATION.name else TASK_BY_NAME[task].counted):
        table.add_column(header, overflow='fold')
    for name, counter in counts.items() if len(counts) <= MAX_ROWS else ():
        table.add_row(escape_controls(name), format_counts(counter))
    num_empty = sum(not counter for counter in counts.values())
    if len(counts) > 1:
        total = format_counts(sum(counts.values(), Counter()))
        table.add_row(f'all {len(counts):,}', f'{total}; none in {num_empty:,}' if num_empty else total)
    return table
