"""Write predictions to an output folder: pictures, segmentation maps, JSON, and counts by class,
also as a table.
"""

import json
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.table import Table

from ...errors import MANY, escape_controls, shorten
from ...host.files import fold_name, is_url, make_absolute, write_image, write_text
from ...host.tasks import TASK_BY_NAME
from ...predict.predictor import Predictor
from .csv_files import CsvCell, escape_formula, write_csv
from .output_files import LABEL_MAPS, PICTURES

# A picture has the suffix of its image if it is one of these. Otherwise it is a PNG file.
KEPT_SUFFIXES = ('.jpg', '.jpeg', '.png')
# The table has a row for each image up to this number, and always a row for all images.
MAX_ROWS = 10


class Outputs:
    """Write drawn pictures and segmentation maps to an output folder.

    An output has the path of its image (without a URL's query) in the folder that contains all
    images, with another suffix. That of a video has its name only. A name that an earlier input
    has, in any case and Unicode form, gets a number.
    """

    def __init__(self, folder: Path, images: Sequence[str], videos: Sequence[str] = ()):
        self.folder = folder
        paths = [make_absolute(name.partition('?')[0] if is_url(name) else name) for name in images]
        common = os.path.commonpath([path.parent for path in paths]) if paths else ''
        stems = [path.relative_to(common).with_suffix('') for path in paths]
        stems += [Path(Path(video).stem) for video in videos]
        self.names: dict[str, Path] = {}
        taken = set()
        for source, stem in zip([*images, *videos], stems, strict=True):
            name = stem
            number = 1
            while fold_name(str(name)) in taken:
                number += 1
                name = stem.with_name(f'{stem.name}_{number}')
            taken.add(fold_name(str(name)))
            self.names[source] = name

    def get_path(self, subfolder: str, source: str, suffix: str) -> Path:
        """Return the output path for the input ``source`` in a subfolder, and create its parent
        folder.
        """
        path = self.folder / subfolder / f'{self.names[source]}{suffix}'
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def write_picture(self, source: str, picture: NDArray[np.uint8]) -> Path:
        """Write a picture with drawn predictions, (height, width, 3) in BGR order."""
        suffix = Path(source).suffix
        if suffix.lower() not in KEPT_SUFFIXES:
            suffix = '.png'
        return write_image(self.get_path(PICTURES, source, suffix), picture)

    def write_label_map(self, source: str, label_map: NDArray[np.integer[Any]]) -> Path:
        """Write class indices (height, width) as a greyscale PNG file, of 16 bits if necessary."""
        dtype = np.uint8 if label_map.max() < 256 else np.uint16
        return write_image(self.get_path(LABEL_MAPS, source, '.png'), label_map.astype(dtype))


def write_json(path: Path, content: Any) -> None:
    """Write a JSON file. Raise a ValueError for NaN and infinite values, which JSON lacks."""
    write_text(path, json.dumps(content, indent=1, allow_nan=False))


def write_counts(
    path: Path,
    counts: Mapping[str, Counter[int]],
    classes: Sequence[str],
    labels: Sequence[int] | None = None,
) -> None:
    """Write a CSV file with a row for each image, and a column for each class (of many, for those
    that occur).

    ``labels`` are the indices of the classes that were counted, if not all were: others get no
    column, since a 0 would say that there are none.
    """
    if labels is None:
        labels = range(len(classes))  # names may repeat: ImageNet has two classes called crane
        if len(classes) > MANY:
            labels = sorted(set().union(*counts.values()))
    rows: list[list[CsvCell]] = [
        ['file_name', *(escape_formula(classes[label]) for label in labels)]
    ]
    for name, counter in counts.items():
        rows.append([escape_formula(name), *(counter[label] for label in labels)])
    write_csv(path, rows)


def make_table(counts: Mapping[str, Counter[int]], model: Predictor[Any]) -> Table:
    """Make a table with the counts of each image, if they are few, and of all images together."""
    table = Table()
    table.add_column('image', overflow='fold')
    table.add_column(TASK_BY_NAME[model.task].counted, overflow='fold')
    if len(counts) <= MAX_ROWS:
        for name, counter in counts.items():
            table.add_row(escape_controls(name), format_counts(counter, model))
    total = sum(counts.values(), Counter())
    table.add_row(f'all {len(counts):,}', format_counts(total, model))
    return table


def format_counts(counter: Counter[int], model: Predictor[Any]) -> str:
    """Return for example ``12 × cat, 1 × dog``, or shares of pixels."""
    total = counter.total()
    texts = [
        f'{model.format_count(count, total)} {model.classes[label]}'
        for label, count in counter.most_common()
    ]
    return shorten(texts, MAX_ROWS) or 'none'
