"""Write a ranking of pictures as CSV, a sheet of its first pictures, and copies of them."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...host.files import write_atomically, write_image
from ...predict.drawing import draw_prediction
from ...predict.inputs import convert_to_array
from ...predict.predictor import Predictor
from ..judging.grids import PICTURE_SIDE, Cell, draw_grid
from ..labels.folder import check_new_folder
from ..pictures.csv_files import CsvCell, escape_formula, write_csv
from ..pictures.output_files import SUGGESTIONS
from .uncertainty import Uncertainty

RANKING, SHEET = SUGGESTIONS
NUM_ON_SHEET = 20
COLUMNS = ('rank', 'file_name', 'uncertainty', 'near_threshold', 'change_if_mirrored', 'distance')


@dataclass(frozen=True)
class Suggestion:
    """A picture of the ranking."""

    path: str
    uncertainty: Uncertainty
    distance: float  # to the nearest of the training pictures and of those ranked before


def write_ranking(folder: Path, suggestions: Sequence[Suggestion]) -> None:
    """Write the CSV file, with a row for each picture, the first to label first."""
    rows: list[Sequence[CsvCell]] = [COLUMNS]
    for number, each in enumerate(suggestions, start=1):
        change = each.uncertainty.change
        rows.append(
            [
                number,
                escape_formula(each.path),
                f'{each.uncertainty.overall:.4f}',
                f'{each.uncertainty.nearness:.4f}',
                '' if change is None else f'{change:.4f}',
                f'{each.distance:.4f}',
            ]
        )
    write_csv(folder / RANKING, rows)


def write_sheet(folder: Path, suggestions: Sequence[Suggestion], model: Predictor[Any]) -> None:
    """Write a grid of the first pictures with their predictions, and why they are suggested."""
    cells = []
    for number, each in enumerate(suggestions[:NUM_ON_SHEET], start=1):
        image = convert_to_array(each.path, model.decoding)
        scale = PICTURE_SIDE / max(image.shape[:2])
        picture = draw_prediction(image, model(image), model.palette, scale=scale)
        title = (
            f'{number}. {Path(each.path).name}\nuncertainty {each.uncertainty.overall:.2f}, '
            f'distance {each.distance:.2f}'
        )
        cells.append(Cell(title, picture))
    write_image(folder / SHEET, draw_grid(cells))


def copy_pictures(folder: Path, suggestions: Sequence[Suggestion]) -> None:
    """Copy pictures into a new or empty folder under their own names.

    Raise a UserError if the folder has files, which another command may have written meanwhile.
    """
    check_new_folder(folder, '--copy-to')
    for each in suggestions:
        with write_atomically(folder / Path(each.path).name) as temporary:
            shutil.copy2(each.path, temporary)
