"""Read Pascal VOC annotations: an XML file for each image.

Format: http://host.robots.ox.ac.uk/pascal/VOC/voc2012/htmldoc/index.html. Splits are folders or the
lists in ``ImageSets/Main``. The package supervision reads such files too, but ignores
``difficult``, ``ImageSets`` and ``size``, and not all of its errors name a file.
"""

from collections.abc import Iterator, Sequence
from functools import partial
from math import isfinite
from pathlib import Path
from xml.etree import ElementTree

from ...errors import UserError, get_first_line, shorten
from ..decoding import read_sizes
from ..folders import Folder
from ..layouts import Layout, Match, Pair, Pairs, pair_files, read_image_sets
from ..reading import AnnotatedImage, make_splits, read_splits
from ..records import DatasetInfo, parse_flag
from ..rules.parsing import UNKNOWN_LINES, UNUSABLE_XML, WRONG_OBJECTS, ZERO_BASED

LAYOUTS = (
    Layout(
        'VOC2012, CVAT and labelme',
        'https://docs.cvat.ai/docs/dataset_management/formats/format-voc',
        """Annotations/a.xml
JPEGImages/a.jpg
ImageSets/Main/train.txt with the names of the training images (may be missing; also val.txt)""",
        'JPEGImages',
        'Annotations',
    ),
    Layout(
        'Label Studio (VOC)',
        'https://github.com/HumanSignal/label-studio-sdk',
        'Annotations/a.xml\nimages/a.jpg',
        'images',
        'Annotations',
    ),
    Layout(
        'FiftyOne (VOC)',
        'https://docs.voxel51.com/user_guide/export_datasets.html',
        'labels/a.xml\ndata/a.jpg',
        'data',
        'labels',
    ),
    Layout(
        'Roboflow (VOC)',
        'https://openvinotoolkit.github.io/datumaro/latest/docs/data-formats/formats/roboflow.html',
        'train/a.xml\ntrain/a.jpg\nvalid/b.xml\nvalid/b.jpg',
        '{split}',
        '{split}',
    ),
    Layout('labelImg (VOC)', 'https://github.com/HumanSignal/labelImg', 'a.xml\na.jpg'),
)
BOX_KEYS = ('xmin', 'ymin', 'xmax', 'ymax')


def match_layouts(folder: Folder) -> Iterator[Match]:
    """Yield the layouts that a folder's XML files fit or nearly fit."""
    files = folder.list_files('.xml')
    if not files:
        return
    for layout in LAYOUTS:
        pairs = pair_files(folder, layout, ['.xml'])
        paired = {file for found in pairs.by_split.values() for _, file in found}
        others = sorted(set(files).difference(paired, pairs.unpaired_annotations))
        misfit = ''
        if not paired:
            misfit = f'no image has an XML file of its name ({shorten(files)})'
        elif others:
            misfit = f'the XML files {shorten(others)} are not where Pascal VOC has them'
        yield Match(layout, partial(read_dataset, folder, layout, pairs), misfit, len(paired))


def read_dataset(folder: Folder, layout: Layout, pairs: Pairs, task: str | None) -> DatasetInfo:
    """Read XML files. Without folders of splits, ``ImageSets/Main`` has the splits."""
    by_split, unknown = read_image_sets(folder, layout, pairs.by_split, 'Main')
    by_split, errors = read_splits(partial(read_image, folder.path), by_split)
    errors += [
        f'{folder.path / file}: no image, or several, have its name'
        for file in pairs.unpaired_annotations
    ]
    images = [image for found in by_split.values() for image in found]
    classes = tuple(sorted({name for image in images for name, _ in image.objects}))
    from_0 = find_files_from_0(images)
    convert = partial(convert_boxes, first=0 if from_0 else 1)
    splits, wrong = make_splits(
        folder.path, classes, {split: map(convert, found) for split, found in by_split.items()}
    )
    return DatasetInfo(
        folder.path,
        'Pascal VOC (XML)',
        ('boxes',),
        classes,
        splits,
        problems={
            UNUSABLE_XML: errors,
            WRONG_OBJECTS: wrong,
            UNKNOWN_LINES: unknown,
            ZERO_BASED: from_0,
        },
    )


def read_image(folder: Path, pair: Pair) -> AnnotatedImage:
    """Read the XML file of an image.

    Args:
        folder: The dataset's folder.
        pair: The image and its XML file, relative to ``folder``.

    Returns:
        The image with its size and objects, which have corners [left, top, right, bottom] instead
        of boxes. Objects without a name or valid corners, or with another ``difficult`` than 0 or
        1, are problems.

    Raises:
        UserError: The file is damaged, or of another format; or it has no size, and the image
            cannot be read.
    """
    image = folder / pair[0]
    file = folder / pair[1]
    try:
        root = ElementTree.parse(file).getroot()
    # Unknown encodings raise ValueError or LookupError.
    except (OSError, ElementTree.ParseError, ValueError, LookupError) as error:
        raise UserError(f'{file} cannot be parsed as XML ({get_first_line(error)})') from None
    if root.tag.lower() != 'annotation':
        raise UserError(f'{file} has the root {root.tag!r} instead of annotation')
    size = parse_side(root.findtext('size/width', '')), parse_side(root.findtext('size/height', ''))
    if 0 in size:
        # Boxes refer to the image after EXIF rotation, unless <size> is that before it.
        _, size = read_sizes(image)
    objects = []
    problems = []
    for number, element in enumerate(root.iter('object'), start=1):
        name = element.findtext('name', '').strip()
        difficult = element.findtext('difficult', '').strip()
        values = [element.findtext(f'bndbox/{key}') for key in BOX_KEYS]
        corners = parse_corners(values)
        flag = parse_flag(difficult)
        if name and corners and flag is not None:
            # Mark difficult objects as crowds, which training and evaluation ignore, as VOC's
            # evaluation does.
            objects.append((name, {'corners': corners, 'iscrowd': flag}))
        else:
            problems.append(
                f'{file}: object {number} has the name {name!r}, {", ".join(BOX_KEYS)} {values}, '
                f'difficult {difficult!r}'
            )
    return AnnotatedImage(image, size, objects, problems)


def find_files_from_0(images: Sequence[AnnotatedImage]) -> list[str]:
    """Return the images with a left or top edge of 0 or more, but under 1.

    VOC counts from 1, most tools from 0. If there is any such image, all boxes of the dataset count
    from 0.
    """
    from_0 = []
    for image in images:
        values = [value for _, entry in image.objects for value in entry['corners'][:2]]
        if any(0 <= value < 1 for value in values):
            from_0.append(str(image.path))
    return from_0


def convert_boxes(image: AnnotatedImage, first: int) -> AnnotatedImage:
    """Return an image with COCO's boxes instead of corners.

    ``first`` is the number of the first pixel, 1 or 0. In VOC, which counts from 1, the pixels at
    ``xmax`` and ``ymax`` are in the box.
    """
    objects = []
    for name, entry in image.objects:
        left, top, right, bottom = entry['corners']
        x = left - first
        y = top - first
        width = right - x
        height = bottom - y
        values = {
            'bbox': [x, y, width, height],
            'area': width * height,
            'iscrowd': entry['iscrowd'],
        }
        objects.append((name, values))
    return image._replace(objects=objects)


def parse_side(text: str) -> int:
    """Return a side of an image, or 0 if it is not an integer of less than ten digits.

    Python rejects thousands of digits.
    """
    text = text.strip()
    return int(text) if text.isdecimal() and len(text) < 10 else 0


def parse_corners(values: Sequence[str | None]) -> list[float] | None:
    """Return [left, top, right, bottom] from VOC's values, or None if they are not a box."""
    try:
        left, top, right, bottom = corners = list(map(float, values))
    except (TypeError, ValueError):
        return None
    # The edges of a box of one pixel are equal.
    is_box = all(map(isfinite, corners)) and left - 1 < right and top - 1 < bottom
    return corners if is_box else None
