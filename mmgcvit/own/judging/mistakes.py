"""Find and write a model's mistakes on a dataset: confusions, worst images, scores by class."""

import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from operator import attrgetter
from pathlib import Path
from typing import Any

from mmengine.dataset import BaseDataset
from rich.progress import track

from ...errors import UserError
from ...host.files import write_image
from ...predict.detector import Detector
from ...predict.predictor import Predictor
from ...predict.results import Prediction
from ..pictures.outputs import write_json
from .evaluations import EVALUATION_BY_TASK
from .figures import write_figure
from .grids import LARGE_PICTURE_SIDE, draw_cells, draw_grid
from .samples import Sample, load_sample
from .scoring import BACKGROUND
from .task_evaluation import DatasetScores


@dataclass(frozen=True, eq=False)
class ScoredImage:
    """An image of a dataset with its prediction and score."""

    index: int  # of the image in the dataset
    prediction: Prediction
    is_right: bool  # as a classifier's image may be with a score below 1
    score: float  # from 0 to 1; ``Task.score`` says what it is
    summary: str  # the score, the number of right predictions, and what is wrong


@dataclass(frozen=True, eq=False)
class Mistakes:
    """The mistakes of a model on a dataset."""

    scores: DatasetScores  # of the type of the task, :meth:`.TaskEvaluation.make_collector`
    # The images with the lowest scores, in ascending order, and those that are wrong first.
    worst: list[ScoredImage]


def evaluate_images(
    model: Predictor[Any], dataset: BaseDataset, max_worst: int = 0, batch_size: int = 1
) -> Mistakes:
    """Predict all images of a dataset (:func:`.build_dataset`) and compare them with their ground
    truth.

    Detections that score below the model's thresholds count only for the curves.
    ``Mistakes.worst`` has at most ``max_worst`` images, all with a score below 1.
    """
    evaluation = EVALUATION_BY_TASK[model.task]
    num_classes = len(model.classes)
    collector = evaluation.make_collector(num_classes)
    worst: list[ScoredImage] = []
    for index, (sample, prediction) in enumerate(predict_dataset(model, dataset, batch_size)):
        filtered = evaluation.filter_prediction(prediction, model)
        score = evaluation.score_image(sample.ground_truth, filtered, num_classes)
        collector.add(sample.path, sample.ground_truth, prediction, score)
        if score.value < 1:
            worst.append(
                ScoredImage(
                    index=index,
                    prediction=filtered,
                    is_right=score.confusion_matrix.is_right,
                    score=score.value,
                    summary=evaluation.describe_score(score, model.classes),
                )
            )
            worst = sorted(worst, key=attrgetter('is_right', 'score'))[:max_worst]
    return Mistakes(collector.collect(), worst)


def predict_dataset(
    model: Predictor[Any], dataset: BaseDataset, batch_size: int
) -> Iterator[tuple[Sample, Prediction]]:
    """Yield each image, which has ground truth, and its prediction, with detections of any
    score.
    """
    evaluation = EVALUATION_BY_TASK[model.task]
    unfiltered = model
    if isinstance(model, Detector):
        # Masks of all detections would need gigabytes in large images, so each is encoded at once.
        unfiltered = replace(model, score_thr=0.0, class_score_thr={}, max_mask_bytes=0)
    starts = range(0, len(dataset), batch_size)
    for start in track(starts, description='images', disable=not sys.stdout.isatty()):
        indices = range(len(dataset))[start : start + batch_size]
        samples = [load_sample(dataset, index, model.classes, evaluation) for index in indices]
        outcomes = unfiltered.predict_batch([sample.image for sample in samples])
        for sample, outcome in zip(samples, outcomes, strict=True):
            if sample.ground_truth is None:
                raise UserError(f'{sample.path}: it has no ground truth')
            yield sample, outcome.get(sample.path)


def write_mistakes(
    folder: Path, model: Predictor[Any], dataset: BaseDataset, mistakes: Mistakes
) -> None:
    """Write ``confusion.png``, ``curves.png`` of a detector, the worst images, and
    ``mistakes.json``.
    """
    evaluation = EVALUATION_BY_TASK[model.task]
    scores = mistakes.scores
    for name, figure in evaluation.draw_plots(scores, model).items():
        write_figure(folder / name, figure)
    by_class = {
        report.name: report.list_scores()
        for report in evaluation.report_classes(scores, model.classes)
    }
    content = {
        'counted': evaluation.task.counted,
        'classes': [*model.classes, BACKGROUND],
        'rows_are_ground_truth': scores.confusion_matrix.to_array().tolist(),
        **evaluation.list_details(scores, model.classes),
        'by_class': by_class,
        'worst': write_worst(folder / 'worst', model, dataset, mistakes.worst),
    }
    write_json(folder / 'mistakes.json', content)


def write_worst(
    folder: Path, model: Predictor[Any], dataset: BaseDataset, worst: list[ScoredImage]
) -> list[dict[str, Any]]:
    """Draw the worst images beside their ground truth. Return their records in
    ``mistakes.json``.
    """
    evaluation = EVALUATION_BY_TASK[model.task]
    records = []
    for rank, scored in enumerate(worst, start=1):
        sample = load_sample(dataset, scored.index, model.classes, evaluation)
        path = sample.path
        # Images of different folders may have the same name.
        title = f'{"/".join(path.parts[-2:])}: {scored.summary}'
        cells = draw_cells(
            title,
            image=sample.image,
            palette=model.palette,
            ground_truth=sample.ground_truth,
            prediction=scored.prediction,
            side=LARGE_PICTURE_SIDE,
            evaluation=evaluation,
        )
        file = folder / f'{rank:03d}_{path.stem[:50]}.jpg'
        write_image(file, draw_grid(cells, columns=2))
        records.append(
            {
                'image': str(path),
                'score': round(scored.score, 6),
                'text': scored.summary,
                'drawn': file.name,
            }
        )
    return records
