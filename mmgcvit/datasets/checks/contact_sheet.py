"""Samples of data sets in one picture, with what a model is taught of them: drawn by the hosts, from what they load."""

import colorsys
import contextlib
import random
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import font_manager
from mmengine.config import Config, ConfigDict
from mmengine.dataset import BaseDataset
from mmengine.registry import DATASETS, VISUALIZERS
from PIL import Image, ImageDraw, ImageFont

from ...errors import first_line
from .checking import LOOKED_INTO, distinct_datasets
from .loading import loads
from .sources import built, is_remote, kind_of, place_of

NUM_SAMPLES, COLUMNS = 8, 4
# Width and height of a sample, and height of the line under it, in pixels.
CELL, CAPTION = (400, 300), 26
GOLDEN_RATIO = 0.618
VISUALIZERS_OF = {'coco': 'mmdet.DetLocalVisualizer', 'ade20k': 'mmseg.SegLocalVisualizer'}
PACKED_BY = {'coco': 'PackDetInputs', 'ade20k': 'PackSegInputs', 'imagenet': 'PackInputs'}


def contact_sheet(cfg: Config, loaders: Sequence[str]) -> Image.Image:
    """Draw samples of the data sets of some loaders, chosen by chance, the same each time.

    Boxes, masks and labels are those that training gets, by the names that it gives them. What cannot be loaded is left
    out.

    Args:
        cfg: A whole config, its scope entered.
        loaders: Names of data loaders in it.
    """
    rows = []
    for settings, _ in distinct_datasets(cfg, loaders):
        kind = kind_of(settings)
        if kind not in LOOKED_INTO or is_remote(settings):
            continue
        words, cells = place_of(built(settings)), []
        try:
            # mmdet's data sets print how they are loaded.
            with contextlib.redirect_stdout(None):
                dataset = loading_only(settings, kind)
            cells += drawn_samples(dataset, kind)
        # Whatever the hosts find wrong with a list or an annotation file: the table has it.
        except Exception as error:
            words += f' cannot be loaded: {first_line(error)}'
        rows.append(line_of_text(words, COLUMNS * CELL[0]))
        rows += [beside(cells[i : i + COLUMNS], COLUMNS) for i in range(0, len(cells), COLUMNS)]
    return stacked(rows)


def loading_only(settings: ConfigDict, kind: str) -> BaseDataset:
    """A data set that loads as its pipeline does, and does nothing else but to make images fit a cell."""
    return DATASETS.build({**settings, 'pipeline': loading_steps(settings, kind)})


def loading_steps(settings: ConfigDict, kind: str) -> list[dict[str, Any]]:
    """The steps by which :func:`loading_only` loads."""
    pipeline = [step for step in settings.pipeline if loads(step)]
    if kind != 'imagenet' and not any('LoadAnnotations' in str(step['type']) for step in pipeline):
        pipeline.append({'type': 'LoadAnnotations', **({'with_bbox': True} if kind == 'coco' else {})})
    return [*pipeline, {'type': 'Resize', 'scale': CELL, 'keep_ratio': True}, {'type': PACKED_BY[kind]}]


def drawn_samples(dataset: BaseDataset, kind: str) -> Iterator[Image.Image]:
    """Some samples of a data set, each with its file's name under it."""
    numbers = list(range(len(dataset)))
    random.Random(0).shuffle(numbers)
    drawn = 0
    for number in numbers:
        try:
            sample = dataset.prepare_data(number)
        # As above.
        except Exception:
            continue
        if sample is not None:
            yield captioned(drawn_sample(sample, dataset.metainfo, kind), caption_of(sample, dataset, kind))
            drawn += 1
        if drawn == NUM_SAMPLES:
            return


def drawn_sample(sample: dict[str, Any], metainfo: dict[str, Any], kind: str) -> Image.Image:
    """An image as it is loaded, with its boxes and masks, or its labels per pixel."""
    data_sample = sample['data_samples']
    if kind == 'coco':
        # As they are drawn: tensors, not mmdet's boxes.
        data_sample.gt_instances.bboxes = data_sample.gt_instances.bboxes.tensor
    return drawn_by_host(sample['inputs'].permute(1, 2, 0).numpy()[..., ::-1], data_sample, metainfo, kind)


def drawn_by_host(pixels: np.ndarray, data_sample: Any, metainfo: dict[str, Any], kind: str) -> Image.Image:
    """An image with what is true of it.

    Args:
        pixels: (height, width, 3) uint8, red, green, blue.
        data_sample: The host's; boxes as a tensor.
        metainfo: The data set's, with the names of its classes.
        kind: Of the data.
    """
    pixels = np.ascontiguousarray(pixels)
    if kind not in VISUALIZERS_OF:
        return Image.fromarray(pixels)
    visualizer = VISUALIZERS.build({'type': VISUALIZERS_OF[kind], 'name': f'contact_sheet_{kind}'})
    visualizer.dataset_meta = {**metainfo, 'palette': colours(len(metainfo['classes']))}
    with tempfile.TemporaryDirectory() as folder:
        file = str(Path(folder, 'drawn.png'))
        visualizer.add_datasample('sample', pixels, data_sample, draw_pred=False, out_file=file)
        with Image.open(file) as image:
            return image.convert('RGB')


def colours(number: int) -> list[tuple[int, ...]]:
    """So many colours that are easily told apart; mmdet would take the first of COCO's, two reds."""
    hues = (number * GOLDEN_RATIO % 1 for number in range(number))
    return [tuple(int(255 * value) for value in colorsys.hsv_to_rgb(hue, 0.8, 1)) for hue in hues]


def caption_of(sample: dict[str, Any], dataset: BaseDataset, kind: str) -> str:
    """A sample's file, and in classification its class."""
    name = Path(sample['data_samples'].metainfo.get('img_path', '')).name
    if kind != 'imagenet' or not dataset.with_label:
        return name
    label = int(sample['data_samples'].gt_label[0])
    return f'{dataset.CLASSES[label] if dataset.CLASSES else label}: {name}'


def captioned(image: Image.Image, words: str) -> Image.Image:
    """An image in the middle of its cell, with a line under it."""
    cell = Image.new('RGB', (CELL[0], CELL[1] + CAPTION), 'white')
    cell.paste(image, ((CELL[0] - image.width) // 2, (CELL[1] - image.height) // 2))
    cell.paste(line_of_text(words, CELL[0]), (0, CELL[1]))
    return cell


def line_of_text(words: str, width: int) -> Image.Image:
    """Words in black on white, as far as they fit."""
    line = Image.new('RGB', (width, CAPTION), 'white')
    font = ImageFont.truetype(font_manager.findfont('DejaVu Sans'), CAPTION // 2)
    ImageDraw.Draw(line).text((CAPTION // 4, CAPTION // 4), words, 'black', font)
    return line


def beside(cells: Sequence[Image.Image], columns: int) -> Image.Image:
    """Images side by side, in a row that has room for so many."""
    row = Image.new('RGB', (columns * CELL[0], CELL[1] + CAPTION), 'white')
    for number, cell in enumerate(cells):
        row.paste(cell, (number * CELL[0], 0))
    return row


def stacked(rows: Sequence[Image.Image]) -> Image.Image:
    """Images below each other."""
    size = max((row.width for row in rows), default=COLUMNS * CELL[0]), max(1, sum(row.height for row in rows))
    sheet = Image.new('RGB', size, 'white')
    top = 0
    for row in rows:
        sheet.paste(row, (0, top))
        top += row.height
    return sheet
