"""List the labels of a dataset that a model contradicts, the most likely errors first, in a table
and in pictures.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.dataset import BaseDataset
from numpy.typing import NDArray

from ...host.files import write_image
from ...predict.drawing import draw_prediction
from ...predict.predictor import Predictor
from ..pictures.csv_files import CsvCell, escape_formula, write_csv
from ..pictures.output_files import LABEL_ERRORS
from .evaluations import EVALUATION_BY_TASK
from .grids import LARGE_PICTURE_SIDE, Cell, draw_grid
from .mistakes import predict_dataset
from .samples import load_sample
from .suspects import Box, ImageLabels, Kind, LikelihoodRule, Suspect

TABLE, PICTURES = LABEL_ERRORS
MARK = (213, 94, 0)  # Okabe and Ito's vermilion
COLUMNS = (
    'rank',
    'likelihood',
    'kind',
    'split',
    'image',
    'given class',
    'found class',
    'left',
    'top',
    'right',
    'bottom',
    'picture',
)


@dataclass(frozen=True, eq=False)
class LabelError:
    """A label that is likely an error."""

    suspect: Suspect
    likelihood: float  # from 0 to 1, for sorting: it is not a probability
    split: str  # 'train', 'val' or 'test'
    dataset: BaseDataset
    index: int  # of the image in the dataset
    path: Path

    def describe(self, classes: Sequence[str]) -> str:
        """Return what may be wrong as text."""
        given = '' if self.suspect.given is None else classes[self.suspect.given]
        found = '' if self.suspect.found is None else classes[self.suspect.found]
        return {
            Kind.MISSING: f'missing: the model finds {found}',
            Kind.EXTRA: f'extra: the model finds no {given}',
            Kind.MISPLACED: f'misplaced: the model finds {given} beside its label',
            Kind.SWAPPED: f'swapped: labelled {given}, the model finds {found}',
        }[self.suspect.kind]

    @property
    def box(self) -> Box | None:
        """The box of the label, or of what is found if it is missing. None for a whole image."""
        return self.suspect.given_box or self.suspect.found_box


def find_label_errors(
    model: Predictor[Any], splits: Mapping[str, Sequence[BaseDataset]], batch_size: int = 1
) -> list[LabelError]:
    """Find likely label errors in the datasets of each split, the most likely first.

    Raise a UserError if an image has no ground truth.
    """
    errors = []
    for split, datasets in splits.items():
        errors += find_errors_of_split(model, split, datasets, batch_size)
    return sorted(errors, key=lambda error: -error.likelihood)


def find_errors_of_split(
    model: Predictor[Any], split: str, datasets: Sequence[BaseDataset], batch_size: int
) -> list[LabelError]:
    """Find likely label errors in the datasets of a split."""
    evaluation = EVALUATION_BY_TASK[model.task]
    compared: list[tuple[BaseDataset, int, Path, ImageLabels]] = []
    for dataset in datasets:
        predictions = predict_dataset(model, dataset, batch_size)
        for index, (sample, prediction) in enumerate(predictions):
            labels = evaluation.find_suspects(sample.ground_truth, prediction, model)
            compared.append((dataset, index, sample.path, labels))
    rule = LikelihoodRule([labels for *_, labels in compared], len(model.classes))
    errors = []
    for dataset, index, path, labels in compared:
        for suspect in labels.suspects:
            likelihood = rule.compute(suspect)
            errors.append(LabelError(suspect, likelihood, split, dataset, index, path))
    return errors


def write_label_errors(
    folder: Path, model: Predictor[Any], errors: Sequence[LabelError], max_drawn: int
) -> None:
    """Write ``label_errors.csv``, and pictures of the first errors into ``label_errors``."""
    pictures = {}
    for rank, error in enumerate(errors[:max_drawn], start=1):
        file = folder / PICTURES / f'{rank:03d}_{error.path.stem[:50]}.jpg'
        write_image(file, draw_label_error(model, error))
        pictures[rank] = file.name
    rows: list[Sequence[CsvCell]] = [COLUMNS]
    for rank, error in enumerate(errors, start=1):
        suspect = error.suspect
        names = [
            '' if label is None else escape_formula(model.classes[label])
            for label in (suspect.given, suspect.found)
        ]
        rows.append(
            [
                rank,
                f'{error.likelihood:.3f}',
                suspect.kind.value,
                error.split,
                escape_formula(str(error.path)),
                *names,
                *(error.box or 4 * ('',)),
                pictures.get(rank, ''),
            ]
        )
    write_csv(folder / TABLE, rows)


def draw_label_error(model: Predictor[Any], error: LabelError) -> NDArray[np.uint8]:
    """Draw the labels of an image beside its prediction, with a frame around the suspect."""
    evaluation = EVALUATION_BY_TASK[model.task]
    sample = load_sample(error.dataset, error.index, model.classes, evaluation)
    (outcome,) = model.predict_batch([sample.image])
    scale = LARGE_PICTURE_SIDE / max(sample.image.shape[:2])
    title = f'{error.split}: {"/".join(error.path.parts[-2:])}\n{error.describe(model.classes)}'
    cells = []
    for name, content, with_scores in (
        (f'labels\nlikelihood {error.likelihood:.2f}', sample.ground_truth, False),
        (title, outcome.get(error.path), True),
    ):
        picture = draw_prediction(
            sample.image, content, model.palette, scale=scale, with_scores=with_scores
        )
        cells.append(Cell(name, mark_box(picture, error.box, scale)))
    return draw_grid(cells, columns=2)


def mark_box(picture: NDArray[np.uint8], box: Box | None, scale: float) -> NDArray[np.uint8]:
    """Draw a thick frame around a box of an image that is drawn at this scale."""
    if box is None:
        return picture
    import supervision as sv

    margin = 6  # in pixels, so that the frame leaves the drawn outline free
    corners = np.array([box]) * scale + [-margin, -margin, margin, margin]
    for thickness, colour in ((7, (255, 255, 255)), (3, MARK)):
        annotator = sv.BoxAnnotator(
            sv.Color(*colour), thickness=thickness, color_lookup=sv.ColorLookup.INDEX
        )
        picture = annotator.annotate(picture.copy(), sv.Detections(corners))
    return picture
