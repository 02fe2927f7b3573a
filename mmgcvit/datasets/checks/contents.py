"""What a data set holds: sizes of its images, how much there is of each class, and samples of it in one picture."""

import colorsys
import contextlib
import random
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.config import Config, ConfigDict
from mmengine.dataset import BaseDataset
from mmengine.registry import DATASETS, VISUALIZERS
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from ...errors import first_line
from .coco import Entry, as_numbers, entries_of
from .images import Picture, in_pixels
from .loading import loads
from .problems import Report
from .sources import built, datasets_of, place_of

# Sides in pixels that COCO's scores tell small, medium and large objects by, on the image as it is.
SMALL, LARGE = 32, 96
NUM_LABELS = 256
THREADS = 4
# Samples of a data set on a contact sheet, and how many stand side by side.
NUM_SAMPLES, COLUMNS = 8, 4
# Width and height of a sample, and height of the line under it, in pixels.
CELL, CAPTION = (400, 300), 26
GOLDEN_RATIO = 0.618
VISUALIZERS_OF = {'coco': 'mmdet.DetLocalVisualizer', 'ade20k': 'mmseg.SegLocalVisualizer'}
PACKED_BY = {'coco': 'PackDetInputs', 'ade20k': 'PackSegInputs', 'imagenet': 'PackInputs'}


@dataclass(frozen=True)
class Contents:
    """What a data set holds: lines on the whole; the names of the columns, and a row for each class in their order."""

    place: str
    summary: list[str]
    columns: tuple[str, ...]
    rows: list[tuple[str, ...]]


def contents_of(
    kind: str, dataset: BaseDataset, pictures: Sequence[Picture], annotations: Entry | None
) -> Contents | None:
    """What a data set holds, sizes and labels per pixel of the pictures given; None where it cannot be said."""
    if not pictures:
        return None
    if kind != 'coco':
        return (labelled_pixels if kind == 'ade20k' else labelled_images)(dataset, pictures)
    entries = entries_of(dataset.ann_file, annotations, False, Report())
    return None if entries is None else labelled_objects(dataset, pictures, *entries)


def labelled_objects(
    dataset: BaseDataset,
    pictures: Sequence[Picture],
    images: Sequence[Entry],
    annotations: Sequence[Entry],
    categories: Sequence[Entry],
) -> Contents:
    """Objects of each class, how many an image has, and how large they are; crowds are counted as objects."""
    names = {category['id']: category['name'] for category in categories}
    classes = dataset.metainfo.get('classes') or tuple(names.values())
    used = [entry for entry in annotations if names.get(entry['category_id']) in classes]
    in_class = Counter(names[entry['category_id']] for entry in used)
    with_class = Counter(name for name, _ in {(names[entry['category_id']], entry['image_id']) for entry in used})
    in_image = Counter(entry['image_id'] for entry in used)
    numbers = [in_image[image['id']] for image in images]
    areas = as_numbers([entry['bbox'] for entry in used], 4)[:, 2:].prod(1)
    by_size = (areas < SMALL**2, (areas >= SMALL**2) & (areas < LARGE**2), areas >= LARGE**2)
    small, medium, large = (share(which.sum(), len(areas)) for which in by_size)
    summary = [
        f'{len(images)} images, {sizes_in_words(in_threads(size_of, pictures))}',
        f'{len(used)} objects, {len(used) / len(images):.1f} an image, at most {max(numbers)}; '
        f'{numbers.count(0)} images without',
        f'boxes: {small} small, {medium} medium, {large} large (COCO: below {SMALL}², from {LARGE}² px)',
    ]
    rows = [(name, str(in_class[name]), str(with_class[name])) for name in classes]
    return Contents(place_of(dataset), summary, ('class', 'objects', 'images'), rows)


def labelled_pixels(dataset: BaseDataset, pictures: Sequence[Picture]) -> Contents:
    """Pixels of each class, and in how many images it is."""
    # Label files of 8 bits have no more.
    classes = tuple(dataset.metainfo.get('classes') or ())[: NUM_LABELS - 1]
    first = 1 if dataset.reduce_zero_label else 0
    label_files = [pair.labels for pair in pictures if pair.labels]
    counts = np.array(in_threads(pixels_of_labels, label_files)).reshape(-1, NUM_LABELS)
    of_classes, total = counts[:, first : first + len(classes)], counts.sum()
    summary = [
        f'{len(pictures)} images, {sizes_in_words(in_threads(size_of, pictures))}',
        f'{share(total - of_classes.sum(), total)} of the pixels are of no class',
    ]
    in_class, with_class = of_classes.sum(0), (of_classes > 0).sum(0)
    rows = [
        (name, share(pixels, total), str(images))
        for name, pixels, images in zip(classes, in_class, with_class, strict=True)
    ]
    return Contents(place_of(dataset), summary, ('class', 'pixels', 'images'), rows)


def labelled_images(dataset: BaseDataset, pictures: Sequence[Picture]) -> Contents:
    """Images of each class."""
    listed, classes = dataset.load_data_list(), dataset.CLASSES if dataset.with_label else None
    in_class = Counter(entry.get('gt_label') for entry in listed)
    rows = [(str(name), str(in_class[label])) for label, name in enumerate(classes or ())]
    summary = [f'{len(listed)} images, {sizes_in_words(in_threads(size_of, pictures))}']
    return Contents(place_of(dataset), summary, ('class', 'images'), rows)


def pixels_of_labels(path: str) -> NDArray[np.int64]:
    """How many pixels have each label in a file, (256,)."""
    with Image.open(path) as image:
        return np.bincount(np.array(image).astype(np.uint8).ravel(), minlength=NUM_LABELS)


def size_of(picture: Picture) -> tuple[int, int]:
    """An image's width and height, as annotated or as the file's header says."""
    if picture.annotated is not None:
        return picture.annotated
    with Image.open(picture.path) as image:
        return image.size


def in_threads(read: Callable[[Any], Any], files: Sequence[Any]) -> list[Any]:
    """What is read of files, without those that cannot be read, which are reported elsewhere."""

    def tried(file: Any) -> Any:
        # Decoders raise errors of any class on damaged files.
        with contextlib.suppress(Exception):
            return read(file)
        return None

    with ThreadPoolExecutor(THREADS) as pool:
        return [found for found in pool.map(tried, files) if found is not None]


def sizes_in_words(sizes: Sequence[tuple[int, int]]) -> str:
    """The smallest, middle and largest of widths and heights."""
    if len(set(sizes)) <= 1:
        return f'all of {in_pixels(sizes[0])} px' if sizes else 'of unknown sizes'
    return ', '.join(
        f'{name} {min(sides)} to {max(sides)} px (median {np.median(sides):.0f})'
        for name, sides in zip(('width', 'height'), zip(*sizes, strict=True), strict=True)
    )


def share(part: int, whole: int) -> str:
    """A part of something in percent."""
    percent = 100 * part / whole if whole else 0
    return f'{percent:.2g} %' if 0 < percent < 1 else f'{percent:.0f} %'


def contact_sheet(cfg: Config, loaders: Sequence[str]) -> Image.Image:
    """Draw samples of the data sets of some loaders, chosen by chance, the same each time, as training gets them.

    What cannot be loaded is left out.
    """
    rows = []
    for settings, kind, _ in datasets_of(cfg, loaders):
        if kind is None:
            continue
        words, cells = place_of(built(settings)), []
        try:
            # mmdet's data sets print how they are loaded.
            with contextlib.redirect_stdout(None):
                dataset = DATASETS.build({**settings, 'pipeline': loading_steps(settings, kind)})
            cells += drawn_samples(dataset, kind)
        # Whatever the hosts find wrong with a list or an annotation file: the table has it.
        except Exception as error:
            words += f' cannot be loaded: {first_line(error)}'
        rows.append([line_of_text(words, COLUMNS * CELL[0])])
        rows += [cells[i : i + COLUMNS] for i in range(0, len(cells), COLUMNS)]
    return stacked(rows)


def loading_steps(settings: ConfigDict, kind: str) -> list[dict[str, Any]]:
    """A pipeline that loads as a data set's own does, and does nothing else but to make images fit a cell."""
    pipeline = [step for step in settings.pipeline if loads(step)]
    if kind != 'imagenet' and not any('LoadAnnotations' in str(step['type']) for step in pipeline):
        pipeline.append({'type': 'LoadAnnotations', **({'with_bbox': True} if kind == 'coco' else {})})
    return [*pipeline, {'type': 'Resize', 'scale': CELL, 'keep_ratio': True}, {'type': PACKED_BY[kind]}]


def drawn_samples(dataset: BaseDataset, kind: str) -> Iterator[Image.Image]:
    """Some samples of a data set, each with its file's name under it, in classification its class too."""
    drawn = 0
    for number in random.Random(0).sample(range(len(dataset)), len(dataset)):
        try:
            sample = dataset.prepare_data(number)
        # As above.
        except Exception:
            continue
        if sample is None:
            continue
        truth = sample['data_samples']
        caption = Path(truth.metainfo.get('img_path', '')).name
        if kind == 'coco':
            # As they are drawn: tensors, not mmdet's boxes.
            truth.gt_instances.bboxes = truth.gt_instances.bboxes.tensor
        elif kind == 'imagenet' and dataset.with_label:
            label = int(truth.gt_label[0])
            caption = f'{dataset.CLASSES[label] if dataset.CLASSES else label}: {caption}'
        pixels = sample['inputs'].permute(1, 2, 0).numpy()[..., ::-1]
        yield captioned(drawn_by_host(pixels, truth, dataset.metainfo, kind), caption)
        drawn += 1
        if drawn == NUM_SAMPLES:
            return


def drawn_by_host(pixels: np.ndarray, data_sample: Any, metainfo: dict[str, Any], kind: str) -> Image.Image:
    """An image, (height, width, 3) in red, green, blue, with what is true of it; boxes as a tensor."""
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


def captioned(image: Image.Image, words: str) -> Image.Image:
    """An image in the middle of its cell, with a line under it."""
    cell = Image.new('RGB', (CELL[0], CELL[1] + CAPTION), 'white')
    cell.paste(image, ((CELL[0] - image.width) // 2, (CELL[1] - image.height) // 2))
    cell.paste(line_of_text(words, CELL[0]), (0, CELL[1]))
    return cell


def line_of_text(words: str, width: int) -> Image.Image:
    """Words in black on white, as far as they fit."""
    # Not imported with the module, by which every training looks at its data.
    from matplotlib import font_manager

    line = Image.new('RGB', (width, CAPTION), 'white')
    font = ImageFont.truetype(font_manager.findfont('DejaVu Sans'), CAPTION // 2)
    ImageDraw.Draw(line).text((CAPTION // 4, CAPTION // 4), words, 'black', font)
    return line


def stacked(rows: Sequence[Sequence[Image.Image]]) -> Image.Image:
    """Rows of images below each other, on white."""
    width = max((sum(image.width for image in row) for row in rows), default=1)
    sheet = Image.new('RGB', (width, max(1, sum(row[0].height for row in rows))), 'white')
    top = 0
    for row in rows:
        for number, image in enumerate(row):
            sheet.paste(image, (number * CELL[0], top))
        top += row[0].height
    return sheet
