"""Read Pascal VOC annotations: an XML file for each image.

Format: http://host.robots.ox.ac.uk/pascal/VOC/voc2012/htmldoc/index.html. Splits are folders or the
lists in ``ImageSets/Main``. The package supervision reads such files too, but ignores
``difficult``, ``ImageSets`` and ``size``, and not all of its errors name a file.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from math import isfinite, nan
from pathlib import Path
from xml.etree import ElementTree

from ....datasets.annotations import Box, Size, parse_area, parse_box, parse_rotation
from ....datasets.opening import read_sizes
from ....datasets.rules.rule import make_findings
from ....errors import UserError, format_count, get_first_line, shorten
from ..folders import Folder
from ..layouts import Fit, Layout, Match, Misfit, Pair, Pairs, pair_files, read_image_sets
from ..reading import AnnotatedImage, ReadObject, make_splits, read_splits
from ..records import DatasetInfo
from ..rules.findings import make_split_findings
from ..rules.objects import TRACK_IDS, TURNED_BOXES
from ..rules.parsing import FRACTIONS, UNKNOWN_LINES, UNUSABLE_XML, WRONG_OBJECTS, ZERO_BASED
from .values import enclose, parse_flag, rotate_box

LAYOUTS = (
    Layout(
        tools='VOC2012, CVAT and labelme',
        source='https://docs.cvat.ai/docs/dataset_management/formats/format-voc',
        tree="""Annotations/a.xml
JPEGImages/a.jpg
ImageSets/Main/train.txt with the names of the training images (may be missing; also val.txt)""",
        images='JPEGImages',
        annotations='Annotations',
    ),
    Layout(
        tools='Label Studio (VOC)',
        source='https://github.com/HumanSignal/label-studio-sdk',
        tree='Annotations/a.xml\nimages/a.jpg',
        images='images',
        annotations='Annotations',
    ),
    Layout(
        tools='FiftyOne (VOC)',
        source='https://docs.voxel51.com/user_guide/export_datasets.html',
        tree='labels/a.xml\ndata/a.jpg',
        images='data',
        annotations='labels',
    ),
    Layout(
        tools='Roboflow (VOC)',
        source='https://openvinotoolkit.github.io/datumaro/latest/docs/data-formats/formats/roboflow.html',
        tree='train/a.xml\ntrain/a.jpg\nvalid/b.xml\nvalid/b.jpg',
        images='{split}',
        annotations='{split}',
    ),
    Layout(
        tools='labelImg (VOC)',
        source='https://github.com/HumanSignal/labelImg',
        tree='a.xml\na.jpg',
    ),
)
# Above this part of the images with objects, fractions say that boxes count from 0.
MAX_FRACTIONS = 0.1
BOX_KEYS = ('xmin', 'ymin', 'xmax', 'ymax')


@dataclass(frozen=True)
class Corners:
    """The edges of a box, in pixels. VOC counts from 1, and ``right`` and ``bottom`` are inside."""

    left: float
    top: float
    right: float
    bottom: float


@dataclass(frozen=True)
class VocObject:
    """An object in an XML file."""

    class_name: str
    corners: Corners
    is_difficult: bool
    rotation: float = 0.0  # by CVAT, in degrees clockwise


@dataclass(frozen=True)
class VocImage:
    """An image and what its XML file says."""

    path: Path
    size: Size
    objects: Sequence[VocObject]
    problems: Sequence[str]  # objects that are not parsed
    num_tracked: int = 0  # objects with the id of a track


def match_layouts(folder: Folder) -> Fit:
    """Return the layouts that a folder's XML files fit or, if there is none, the nearest one.

    The nearest one is that in which most XML files have an image.
    """
    files = folder.list_files('.xml')
    matches = []
    misfits = []
    nums_paired = []
    for layout in LAYOUTS if files else ():
        pairs = pair_files(folder, layout, ['.xml'])
        paired = {file for _, file in pairs.all}
        others = sorted(set(files).difference(paired, pairs.unpaired_annotations))
        if paired and not others:
            matches.append(Match(layout, partial(read_dataset, folder, layout, pairs)))
            continue
        reason = f'no image has an XML file of its name ({shorten(files)})'
        if paired:
            reason = f'the XML files {shorten(others)} are not where Pascal VOC has them'
        misfits.append(Misfit(layout, reason))
        nums_paired.append(len(paired))
    if matches or not misfits:
        return Fit(matches)
    return Fit(misfit=misfits[nums_paired.index(max(nums_paired))])


def read_dataset(folder: Folder, layout: Layout, pairs: Pairs, task: str | None) -> DatasetInfo:
    """Read XML files. Without folders of splits, ``ImageSets/Main`` has the splits."""
    listed = read_image_sets(folder, layout, pairs.by_split, subfolder='Main')
    found = read_splits(partial(read_image, folder.path), listed.by_split)
    unusable = [
        f'{folder.path / file}: no image, or several, have its name'
        for file in pairs.unpaired_annotations
    ]
    images = [image for own in found.by_split.values() for image in own]
    wrong = {
        split: [problem for image in own for problem in image.problems]
        for split, own in found.by_split.items()
    }
    classes = tuple(sorted({each.class_name for image in images for each in image.objects}))
    from_0 = find_files_from_0(images)
    fractions = find_fractions(images)
    has_many_fractions = len(fractions) > MAX_FRACTIONS * sum(bool(each.objects) for each in images)
    convert = partial(convert_boxes, first=0 if from_0 or has_many_fractions else 1)
    turned = [
        f'{image.path}: {each.class_name}, {each.rotation:g}°'
        for image in images
        for each in image.objects
        if each.rotation
    ]
    tracked = [
        f'{image.path}: {format_count(image.num_tracked, "object")}'
        for image in images
        if image.num_tracked
    ]
    converted = {split: map(convert, own) for split, own in found.by_split.items()}
    return DatasetInfo(
        folder=folder.path,
        format='Pascal VOC (XML)',
        annotation_types=('boxes',),
        classes=classes,
        splits=make_splits(folder.path, classes, converted),
        findings=[
            *make_split_findings(UNUSABLE_XML, found.errors),
            *make_findings(UNUSABLE_XML, unusable),
            *make_split_findings(WRONG_OBJECTS, wrong),
            *make_split_findings(UNKNOWN_LINES, listed.unknown_lines),
            *make_findings(ZERO_BASED, from_0),
            *make_findings(FRACTIONS, fractions if has_many_fractions and not from_0 else []),
            *make_findings(TURNED_BOXES, turned),
            *make_findings(TRACK_IDS, tracked),
        ],
    )


def read_image(folder: Path, pair: Pair) -> VocImage:
    """Read the XML file of an image.

    Objects without a name or valid corners, or with another ``difficult`` than 0 or 1, are
    problems.

    Args:
        folder: The dataset's folder.
        pair: The image and its XML file, relative to ``folder``.

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
        raise UserError(f'{file} cannot be parsed as XML ({get_first_line(error)})') from error
    if root.tag.lower() != 'annotation':
        raise UserError(f'{file} has the root {root.tag!r} instead of annotation')
    size = parse_side(root.findtext('size/width', '')), parse_side(root.findtext('size/height', ''))
    if 0 in size:
        # Boxes refer to the image after EXIF rotation, unless <size> is that before it.
        size = read_sizes(image).upright
    objects = []
    problems = []
    num_tracked = 0
    for number, element in enumerate(root.iter('object'), start=1):
        name = element.findtext('name', '').strip()
        difficult = element.findtext('difficult', '').strip()
        values = [element.findtext(f'bndbox/{key}') for key in BOX_KEYS]
        corners = parse_corners(values)
        is_difficult = parse_flag(difficult)
        rotation = parse_rotation(read_attribute(element, 'rotation'))
        num_tracked += read_attribute(element, 'track_id') is not None
        if name and corners and is_difficult is not None:
            objects.append(VocObject(name, corners, is_difficult, rotation))
        else:
            problems.append(
                f'{file}: object {number} has the name {name!r}, {", ".join(BOX_KEYS)} {values}, '
                f'difficult {difficult!r}'
            )
    return VocImage(image, size, objects=objects, problems=problems, num_tracked=num_tracked)


def read_attribute(element: ElementTree.Element, name: str) -> str | None:
    """Return the value of an attribute that CVAT has written for an object, or None."""
    for attribute in element.iter('attribute'):
        if attribute.findtext('name', '').strip() == name:
            return attribute.findtext('value', '')
    return None


def find_fractions(images: Sequence[VocImage]) -> list[str]:
    """Return the images with a coordinate that is not a whole number.

    VOC counts whole pixels from 1. Programs that write fractions, such as CVAT, measure from 0. But
    a few of VOC2012's own boxes have fractions too (:data:`MAX_FRACTIONS`).
    """
    found = []
    for image in images:
        corners = [each.corners for each in image.objects]
        values = [value for each in corners for value in (each.left, each.top)]
        values += [value for each in corners for value in (each.right, each.bottom)]
        if any(value != int(value) for value in values):
            found.append(str(image.path))
    return found


def find_files_from_0(images: Sequence[VocImage]) -> list[str]:
    """Return the images with a left or top edge of 0 or more, but under 1.

    VOC counts from 1, most tools from 0. If there is any such image, all boxes of the dataset count
    from 0.
    """
    from_0 = []
    for image in images:
        edges = [edge for each in image.objects for edge in (each.corners.left, each.corners.top)]
        if any(0 <= edge < 1 for edge in edges):
            from_0.append(str(image.path))
    return from_0


def convert_boxes(image: VocImage, first: int) -> AnnotatedImage:
    """Return an image with boxes instead of corners.

    Difficult objects are ignored, as in VOC's evaluation. ``first`` is the number of the first
    pixel, 1 or 0. In VOC, which counts from 1, the pixels at ``xmax`` and ``ymax`` are in the box.
    """
    objects = []
    for each in image.objects:
        x = each.corners.left - first
        y = each.corners.top - first
        width = each.corners.right - x
        height = each.corners.bottom - y
        box = parse_box([x, y, width, height])
        if each.rotation and isinstance(box, Box):
            box = enclose(rotate_box(box, each.rotation), image.size)
        objects.append(
            ReadObject(
                class_name=each.class_name,
                box=box,
                area=parse_area(width * height),
                is_ignored=each.is_difficult,
            )
        )
    return AnnotatedImage(image.path, image.size, objects)


def parse_side(text: str) -> int:
    """Return a side of an image, or 0 if it is not an integer of less than ten digits.

    Python rejects thousands of digits.
    """
    text = text.strip()
    return int(text) if text.isdecimal() and len(text) < 10 else 0


def parse_corners(texts: Sequence[str | None]) -> Corners | None:
    """Return a box from the texts of :data:`BOX_KEYS`, or None if they are not one."""
    values = [parse_number(text) for text in texts]
    if not all(map(isfinite, values)):
        return None
    left, top, right, bottom = values
    # The edges of a box of one pixel are equal.
    if left - 1 < right and top - 1 < bottom:
        return Corners(left, top, right=right, bottom=bottom)
    return None


def parse_number(text: str | None) -> float:
    """Return the number in a text, or NaN if it is none."""
    try:
        return float((text or 'nan').replace('_', '?'))  # Python reads 1_0 as 10
    except ValueError:
        return nan
