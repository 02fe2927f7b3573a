"""Load images with their ground truth, which has the types of predictions, and draw grids of both."""

import random
from collections.abc import Sequence
from contextlib import suppress
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from textwrap import fill
from typing import Any

import numpy as np
from mmengine.config import Config, ConfigDict
from mmengine.dataset import BaseDataset
from mmengine.registry import DATASETS
from PIL import Image, ImageDraw, ImageFont

from ..config import get_type_name, iter_unwrapped_datasets
from ..datasets.checks.sources import iter_datasets
from ..errors import UserError, get_first_line
from ..inference.drawing import FONT, Colour, choose_palette, draw_prediction
from ..inference.inputs import convert_to_bgr
from ..inference.loading import silence_output
from ..inference.results import Classification, Detections, Prediction, make_segmentation
from ..mmengine_utils import build_in_scope, get_image_name
from ..tasks import CLASSIFICATION, SEGMENTATION, TASK_BY_SCOPE

PICTURE_SIDE = 400  # longer side in pixels of a picture in a grid of several images
LARGE_PICTURE_SIDE = 800  # longer side in a grid of a single image
NUM_SAMPLES = 8  # of each dataset on a contact sheet
# The font of titles, which is monospaced, and its sizes in pixels.
TITLE_FONT, FONT_SIZE = Path(FONT).with_name('DejaVuSansMono.ttf'), 14
LETTER_WIDTH, LINE_HEIGHT = 9, 20
GAP = 10  # margin around a picture, in pixels

Cell = tuple[str, np.ndarray]  # a title, and a picture (h, w, 3) in BGR order


def draw_grid(cells: Sequence[Cell], columns: int = 4) -> np.ndarray:
    """Draw a grid of pictures with their titles. Return (height, width, 3) uint8 in BGR order."""
    columns = min(columns, max(len(cells), 1))
    font = ImageFont.truetype(str(TITLE_FONT), FONT_SIZE)
    width = max((picture.shape[1] for _, picture in cells), default=PICTURE_SIDE)
    titles = [fill(title, width // LETTER_WIDTH) for title, _ in cells]
    top = GAP + LINE_HEIGHT * max((title.count('\n') + 1 for title in titles), default=1)
    rows = [cells[begin : begin + columns] for begin in range(0, len(cells), columns)]
    heights = [top + max(picture.shape[0] for _, picture in row) for row in rows] or [top]
    grid = Image.new('RGB', (GAP + columns * (width + GAP), sum(heights)), 'white')
    for index, (_, picture) in enumerate(cells):
        row, column = divmod(index, columns)
        corner = (GAP + column * (width + GAP), top + sum(heights[:row]))
        ImageDraw.Draw(grid).multiline_text(corner, titles[index], 'black', font, anchor='ld')
        grid.paste(Image.fromarray(picture[..., ::-1]), corner)
    return np.asarray(grid)[..., ::-1]


def draw_cells(
    title: str,
    image: np.ndarray,
    palette: Sequence[Colour],
    ground_truth: Prediction | None,
    prediction: Prediction | None = None,
    side: int = PICTURE_SIDE,
) -> list[Cell]:
    """Draw a picture of the ground truth and one of the prediction, unless None.

    Their longer side has ``side`` px.
    """
    scale, cells = side / max(image.shape[:2]), []
    if ground_truth is not None:
        picture = draw_prediction(image, ground_truth, palette, scale, with_scores=False)
        cells.append((title if prediction is None else 'ground truth', picture))
    if prediction is not None:
        cells.append((title, draw_prediction(image, prediction, palette, scale)))
    return cells


def draw_contact_sheet(cfg: Config, loaders: Sequence[str], augmented: bool = False) -> np.ndarray:
    """Draw random samples with ground truth of the datasets of a config's ``loaders``, such as
    ``['val_dataloader']``.

    Each call draws the same samples. Datasets and samples that cannot be loaded are left out. If
    ``augmented``, samples are drawn as the datasets' pipelines augment them. Return (height, width,
    3) uint8 in BGR order.
    """
    cells = []
    for loader, settings in iter_datasets(cfg, loaders):
        with suppress(UserError), silence_output():
            dataset = build_dataset(settings, cfg.default_scope, augmented)
            classes, split = (
                dataset.metainfo.get('classes') or (),
                loader.removesuffix('_dataloader'),
            )
            palette = choose_palette(len(classes), [dataset.metainfo.get('palette')])
            for index in random.Random(0).sample(
                range(len(dataset)), min(NUM_SAMPLES, len(dataset))
            ):
                with suppress(UserError):
                    path, image, ground_truth = load_sample(dataset, index, classes)
                    cells += draw_cells(f'{split}: {path.name}', image, palette, ground_truth)
    return draw_grid(cells)


def build_dataset(
    settings: ConfigDict, scope: str, augmented: bool = False, masks: bool = True
) -> BaseDataset:
    """Build the dataset of a config with a pipeline that only loads images and annotations, unless
    ``augmented``.

    With ``masks=False`` it loads no masks of objects, which take gigabytes in large images with
    hundreds of objects. Raise a UserError if the dataset cannot be built, for example because its
    annotation file is invalid.
    """
    settings = deepcopy(settings)
    # The datasets inside wrappers such as ConcatDataset.
    for inner in iter_unwrapped_datasets(settings) if not augmented else ():
        steps = inner.get('pipeline', [])
        images = [
            step for step in steps if get_type_name(step).startswith(('LoadImage', 'ApplyExif'))
        ]
        annotations = [step for step in steps if 'Annotations' in get_type_name(step)]
        # mmpretrain's datasets need no transform that loads labels, and CIFAR needs none that loads
        # images. In mmseg, ADE20K's test images have no segmentation maps.
        if scope != CLASSIFICATION.scope:
            images = images or [{'type': 'LoadImageFromFile'}]
            has_no_maps = scope == SEGMENTATION.scope and 'seg_map_path' not in inner.get(
                'data_prefix', {}
            )
            annotations = [] if has_no_maps else annotations or [{'type': 'LoadAnnotations'}]
        if not masks:
            annotations = [{**step, 'with_mask': False} for step in annotations]
        inner.pipeline = [*images, *annotations, {'type': TASK_BY_SCOPE[scope].packing}]
    try:
        with build_in_scope(scope):
            return DATASETS.build(settings)
    # Datasets raise errors of any type for invalid file lists and annotation files.
    except Exception as error:
        reason = get_first_line(error)
        raise UserError(
            f"the dataset cannot be loaded ({reason}). Run 'mmgcvit check-data CONFIG'"
        ) from None


def load_sample(
    dataset: BaseDataset, index: int, classes: Sequence[str]
) -> tuple[Path, np.ndarray, Prediction | None]:
    """Load a sample of a dataset (see :func:`build_dataset`): path, image in BGR order, and ground
    truth or None.
    """
    try:
        sample = dataset[index]
        ground_truth, path = (
            convert_sample(sample['data_samples'], classes),
            sample['data_samples'].get('img_path'),
        )
        image = sample['inputs'].permute(1, 2, 0)
        # Transforms of colours return float32.
        image = (image.round().clamp(0, 255).byte() if image.is_floating_point() else image).numpy()
        # Samples of CIFAR have no path. Their images are RGB.
        return (
            Path(path or f'{index:06d}.png'),
            convert_to_bgr(image if path else image[..., ::-1]),
            ground_truth,
        )
    # Transforms raise errors of any type on damaged files and annotations.
    except Exception as error:
        name = get_image_name(dataset.get_data_info(index))
        raise UserError(f'{name} cannot be loaded: {get_first_line(error)}') from None


def convert_sample(sample: Any, classes: Sequence[str]) -> Prediction | None:
    """Convert the ground truth of a sample. Return None if there is none.

    Unlabelled pixels keep the ignore index.
    """

    def get_names(labels: np.ndarray) -> list[str]:
        return [classes[label] if label < len(classes) else f'class {label}' for label in labels]

    def convert_objects(objects: Any) -> Detections:
        labels = objects.labels.numpy()
        masks = objects.masks.to_ndarray().astype(bool) if 'masks' in objects else None
        boxes = getattr(objects.bboxes, 'tensor', objects.bboxes).numpy()
        return Detections(boxes, np.ones(len(boxes), np.float32), labels, get_names(labels), masks)

    if 'gt_instances' in sample:
        ignored = (
            convert_objects(sample.ignored_instances) if sample.get('ignored_instances') else None
        )
        return replace(convert_objects(sample.gt_instances), ignored=ignored)
    if 'gt_sem_seg' in sample:
        return make_segmentation(sample.gt_sem_seg.data[0].numpy(), classes)
    if 'gt_label' not in sample:
        return None
    if len(sample.gt_label) != 1:
        raise UserError(
            f'the image has {len(sample.gt_label)} classes. Expected one class per image'
        )
    label = int(sample.gt_label[0])
    scores = np.eye(max(len(classes), label + 1), dtype=np.float32)[label]
    return Classification(label, get_names([label])[0], 1.0, scores)
