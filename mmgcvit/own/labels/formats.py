"""Write labels in the formats of labelling tools.

Each writer makes one layout. That of COCO, YOLO, Pascal VOC, maps and class folders is one of those
that ``check-data`` reads (docs/data_layouts.md). Label Studio and labelme export other formats than
they import, so theirs are only for the tool.

supervision has writers for COCO, YOLO, Pascal VOC and labelme. They are not used, because they
trace the centres of outer pixels (``polygons.py``), make several objects of a mask with several
parts in YOLO and labelme, decode each picture again, and do not write atomically.
"""

import json
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Generic
from urllib.parse import quote
from xml.etree import ElementTree

import numpy as np
import yaml

from ...datasets.annotations import Box, Size
from ...datasets.coco_categories import make_coco_categories
from ...errors import UserError, shorten
from ...host.files import write_image, write_text
from ...predict.results import Classification, Detections, P, Record, Segmentation
from ..data.formats.name_lists import parse_text_list
from ..data.formats.yolo import have_keypoints
from ..data.object_records import Category, ObjectImage, ObjectSplit, make_coco_content
from ..data.written_labels import hash_mask
from .objects import LabelImage, make_objects

MAX_MAP_CLASSES = 255  # maps have 8 bits, and 255 stands for no class
MAX_NAME_BYTES = 255  # of the name of a file or folder
NUM_DIGITS = 8  # of coordinates in fractions of an image: 0.001 px in an image of 100,000 px
# The version of labelme's format, in which shapes have a description and flags
LABELME_VERSION = '5.0.1'
LABELS_TAG, IMAGE_TAG = 'label', 'image'  # names in Label Studio's labelling interface


class LabelWriter(ABC, Generic[P]):
    """Write the labels of pictures into a folder, in one format. ``P`` is the type of predictions.

    ``folder`` exists and is empty, and ``classes`` are the names of all classes that the model has.
    """

    def __init__(self, folder: Path, classes: Sequence[str]):
        self.folder = folder
        self.classes = list(classes)
        self.num_dropped = 0  # objects that are not written, because they break a rule for data
        problem = self.find_problem()
        if problem:
            raise UserError(f'--labels: {problem}')

    def find_problem(self) -> str:
        """Return why the format cannot have the names or the number of the classes, or ''."""
        return ''

    @abstractmethod
    def get_picture_folder(self, prediction: P) -> Path:
        """Return the folder of the picture with this prediction."""

    @abstractmethod
    def write_labels(self, name: str, size: Size, prediction: P) -> list[Record]:
        """Write the labels of a picture, or keep them until :meth:`finish`.

        ``name`` is that of the picture's file, and ``size`` its (width, height). Return a record
        for each label, for the mark of the folder.
        """

    @abstractmethod
    def finish(self) -> None:
        """Write what is for all pictures together, if there is anything. It may be called again."""


class ObjectWriter(LabelWriter[Detections]):
    """Write the objects of detectors."""

    picture_folder: ClassVar[str]  # relative to the folder

    def get_picture_folder(self, prediction: Detections) -> Path:
        return self.folder / self.picture_folder

    def write_labels(self, name: str, size: Size, prediction: Detections) -> list[Record]:
        image = LabelImage(name, size, make_objects(prediction, size))
        self.write_objects(image)
        self.num_dropped += len(prediction) - len(image.objects)
        return [
            {
                'class': each.class_name,
                'score': round(each.score, 4),
                'bbox': each.box.values,
                **({'segmentation': each.polygons} if each.rings else {}),
            }
            for each in image.objects
        ]

    @abstractmethod
    def write_objects(self, image: LabelImage) -> None:
        """Write the objects of a picture, or keep them until :meth:`finish`."""

    def get_label_file(self, folder: str, image: LabelImage, suffix: str) -> Path:
        """Return the file with the labels of a picture."""
        return self.folder / folder / f'{Path(image.name).stem}{suffix}'


class CocoWriter(ObjectWriter):
    """COCO, for CVAT, Roboflow and FiftyOne: one file for all pictures."""

    picture_folder = 'images/train'

    def __init__(self, folder: Path, classes: Sequence[str]):
        super().__init__(folder, classes)
        self.images: list[ObjectImage] = []
        self.num_objects = 0

    def write_objects(self, image: LabelImage) -> None:
        objects = []
        for each in image.objects:
            self.num_objects += 1
            objects.append(each.annotate(self.num_objects))
        self.images.append(ObjectImage(image.name, image.size, objects, id=len(self.images) + 1))

    def finish(self) -> None:
        categories = [
            Category(entry['id'], entry['name']) for entry in make_coco_categories(self.classes)
        ]
        split = ObjectSplit(self.folder / self.picture_folder, self.images, categories)
        file = self.folder / 'annotations' / 'instances_train.json'
        write_text(file, json.dumps(make_coco_content(split), allow_nan=False))


class YoloWriter(ObjectWriter):
    """YOLO: a text file for each picture, with a line for each box or polygon."""

    picture_folder = 'images/train'

    def write_objects(self, image: LabelImage) -> None:
        lines = []
        for each in image.objects:
            if each.rings:
                values = (each.ring / image.size).ravel().tolist()
            else:
                values = make_yolo_box(each.box, image.size)
            lines.append(format_yolo_line(each.label, values))
        write_text(self.get_label_file('labels/train', image, '.txt'), ''.join(lines))

    def finish(self) -> None:
        settings = {'train': 'images/train', 'names': dict(enumerate(self.classes))}
        text = yaml.safe_dump(settings, allow_unicode=True, sort_keys=False)
        write_text(self.folder / 'data.yaml', text)


def make_yolo_box(box: Box, size: Size) -> list[float]:
    """Return [centre x, centre y, width, height] in fractions of an image of (width, height)."""
    width, height = size
    return [
        (box.x + box.width / 2) / width,
        (box.y + box.height / 2) / height,
        box.width / width,
        box.height / height,
    ]


def format_yolo_line(label: int, values: Sequence[float]) -> str:
    """Return the line of an object: its class index, and its box or polygon."""
    rounded = [round(value, NUM_DIGITS) for value in values]
    if len(rounded) > 4 and have_keypoints(rounded):
        # The corners of a polygon at the edges of an image may look like a pose label's keypoints.
        # With another corner, they do not.
        rounded += rounded[-2:]
    return f'{label} {" ".join(f"{value:.{NUM_DIGITS}g}" for value in rounded)}\n'


class VocWriter(ObjectWriter):
    """Pascal VOC: an XML file for each picture, with boxes only.

    CVAT and datumaro know other classes than VOC's 20 only by ``labelmap.txt``.
    """

    picture_folder = 'JPEGImages'

    def __init__(self, folder: Path, classes: Sequence[str]):
        super().__init__(folder, classes)
        self.names: list[str] = []

    def find_problem(self) -> str:
        wrong = [name for name in self.classes if ':' in name or name.startswith('#')]
        if not wrong:
            return ''
        return (
            f'labelmap.txt of Pascal VOC cannot have the classes {shorten(wrong)}, with a colon, '
            'or with a # at the start, which begins a comment'
        )

    def write_objects(self, image: LabelImage) -> None:
        width, height = image.size
        root = ElementTree.Element('annotation')
        add_element(root, 'folder', self.picture_folder)
        add_element(root, 'filename', image.name)
        size = ElementTree.SubElement(root, 'size')
        for name, value in (('width', width), ('height', height), ('depth', 3)):
            add_element(size, name, value)
        add_element(root, 'segmented', 0)
        written = set()  # boxes that differ by less than a pixel are equal here
        for each in image.objects:
            corners = make_voc_corners(each.box)
            key = each.class_name, *corners
            if key not in written:
                written.add(key)
                add_voc_object(root, each.class_name, corners)
        ElementTree.indent(root)
        text = ElementTree.tostring(root, encoding='unicode')
        write_text(self.get_label_file('Annotations', image, '.xml'), f'{text}\n')
        self.names.append(f'{Path(image.name).stem}\n')

    def finish(self) -> None:
        write_text(self.folder / 'ImageSets' / 'Main' / 'train.txt', ''.join(self.names))
        # Without colours, which tools choose
        lines = ['# label:color_rgb:parts:actions\n', *(f'{name}:::\n' for name in self.classes)]
        write_text(self.folder / 'labelmap.txt', ''.join(lines))


def add_element(parent: ElementTree.Element, name: str, value: object) -> None:
    """Add an element with a text."""
    ElementTree.SubElement(parent, name).text = str(value)


def make_voc_corners(box: Box) -> tuple[int, ...]:
    """Return xmin, ymin, xmax and ymax. VOC counts pixels from 1, and the last ones are inside."""
    left, top, right, bottom = np.floor(np.array(box.edges) + 0.5).astype(int).tolist()
    return left + 1, top + 1, right, bottom


def add_voc_object(root: ElementTree.Element, class_name: str, corners: Sequence[int]) -> None:
    """Add an object to the annotation of a picture."""
    element = ElementTree.SubElement(root, 'object')
    add_element(element, 'name', class_name)
    add_element(element, 'pose', 'Unspecified')
    for name in ('truncated', 'difficult'):
        add_element(element, name, 0)
    box = ElementTree.SubElement(element, 'bndbox')
    for name, value in zip(('xmin', 'ymin', 'xmax', 'ymax'), corners, strict=True):
        add_element(box, name, value)


class LabelmeWriter(ObjectWriter):
    """labelme: a JSON file beside each picture, with polygons or rectangles."""

    picture_folder = 'images'

    def write_objects(self, image: LabelImage) -> None:
        width, height = image.size
        shapes: list[dict[str, Any]] = []
        for each in image.objects:
            points = (
                each.ring.tolist() if each.rings else np.reshape(each.box.edges, (2, 2)).tolist()
            )
            shapes.append(
                {
                    'label': each.class_name,
                    'points': points,
                    'group_id': None,
                    'description': '',
                    'shape_type': 'polygon' if each.rings else 'rectangle',
                    'flags': {},
                }
            )
        content: dict[str, Any] = {
            'version': LABELME_VERSION,
            'flags': {},
            'shapes': shapes,
            'imagePath': image.name,
            'imageData': None,
            'imageHeight': height,
            'imageWidth': width,
        }
        file = self.get_label_file(self.picture_folder, image, '.json')
        write_text(file, json.dumps(content, indent=1, allow_nan=False))

    def finish(self) -> None:
        """Write nothing: each picture has its file."""


class LabelStudioWriter(ObjectWriter):
    """Label Studio: tasks with predictions, and the labelling interface that they need.

    The pictures are those of a local storage. Its root is the folder that contains this folder.
    """

    picture_folder = 'images'

    def __init__(self, folder: Path, classes: Sequence[str]):
        super().__init__(folder, classes)
        self.tasks: list[dict[str, Any]] = []
        self.has_polygons = False

    def write_objects(self, image: LabelImage) -> None:
        width, height = image.size
        results = []
        for number, each in enumerate(image.objects, start=1):
            if each.rings:
                kind = 'polygonlabels'
                value: dict[str, Any] = {
                    'points': (100 * each.ring / image.size).round(6).tolist(),
                    'closed': True,
                }
                self.has_polygons = True
            else:
                kind = 'rectanglelabels'
                x, y, box_width, box_height = each.box.values
                value = {
                    'x': round(100 * x / width, 6),
                    'y': round(100 * y / height, 6),
                    'width': round(100 * box_width / width, 6),
                    'height': round(100 * box_height / height, 6),
                    'rotation': 0,
                }
            results.append(
                {
                    'id': f'{len(self.tasks) + 1}-{number}',
                    'from_name': LABELS_TAG,
                    'to_name': IMAGE_TAG,
                    'type': kind,
                    'original_width': width,
                    'original_height': height,
                    'image_rotation': 0,
                    'score': round(each.score, 4),
                    'value': {**value, kind: [each.class_name]},
                }
            )
        path = f'{self.folder.resolve().name}/{self.picture_folder}/{image.name}'
        self.tasks.append(
            {
                'data': {'image': f'/data/local-files/?d={quote(path)}'},
                'predictions': [{'model_version': 'mmgcvit', 'result': results}],
            }
        )

    def finish(self) -> None:
        write_text(self.folder / 'tasks.json', json.dumps(self.tasks, allow_nan=False))
        view = ElementTree.Element('View')
        ElementTree.SubElement(view, 'Image', name=IMAGE_TAG, value='$image')
        tag = 'PolygonLabels' if self.has_polygons else 'RectangleLabels'
        labels = ElementTree.SubElement(view, tag, name=LABELS_TAG, toName=IMAGE_TAG)
        for name in self.classes:
            ElementTree.SubElement(labels, 'Label', value=name)
        ElementTree.indent(view)
        text = ElementTree.tostring(view, encoding='unicode')
        write_text(self.folder / 'labeling_interface.xml', f'{text}\n')


class MapWriter(LabelWriter[Segmentation]):
    """Semantic maps: a PNG file for each picture, with class indices, and the names of classes."""

    names_file = 'classes.txt'

    def find_problem(self) -> str:
        if len(self.classes) > MAX_MAP_CLASSES:
            return (
                f'the model has {len(self.classes)} classes. Maps have 8 bits, so at most '
                f'{MAX_MAP_CLASSES} can be written'
            )
        file = Path(self.names_file)
        try:
            names = parse_text_list(self.list_names(), file)
        except UserError as error:
            return str(error)
        if names == self.classes:
            return ''
        return (
            f'{file} cannot have the classes {shorten(self.classes)}, which would be read as '
            f'{shorten(names)}'
        )

    def list_names(self) -> str:
        """Return the text of the file with the names of the classes."""
        return ''.join(f'{name}\n' for name in self.classes)

    def get_picture_folder(self, prediction: Segmentation) -> Path:
        return self.folder / 'images'

    def write_labels(self, name: str, size: Size, prediction: Segmentation) -> list[Record]:
        file = self.folder / 'masks' / f'{Path(name).stem}.png'
        write_image(file, prediction.label_map.astype(np.uint8))
        return [
            {'class': name, 'area': int(area), 'sha256': hash_mask(prediction.label_map == label)}
            for name, area, label in zip(
                prediction.class_names, prediction.areas, prediction.labels, strict=True
            )
        ]

    def finish(self) -> None:
        write_text(self.folder / self.names_file, self.list_names())


class ClassFolderWriter(LabelWriter[Classification]):
    """Class folders: the pictures of a class are in the folder with its name."""

    def find_problem(self) -> str:
        wrong = [name for name in self.classes if not is_folder_name(name)]
        if not wrong:
            return ''
        return (
            f'the classes {shorten(wrong)} cannot be names of folders, because they have a /, '
            f'begin with a dot or @, or have over {MAX_NAME_BYTES} bytes'
        )

    def get_picture_folder(self, prediction: Classification) -> Path:
        # In a folder of a split, classes may be called test or val.
        return self.folder / 'train' / prediction.class_name

    def write_labels(self, name: str, size: Size, prediction: Classification) -> list[Record]:
        return [{'class': prediction.class_name, 'score': round(prediction.score, 4)}]

    def finish(self) -> None:
        """Write nothing: the folders say all."""


def is_folder_name(name: str) -> bool:
    """Return whether a folder with this name is one that ``check-data`` reads."""
    is_hidden = name.startswith(('.', '@'))
    return '/' not in name and not is_hidden and len(name.encode()) <= MAX_NAME_BYTES


OBJECT_WRITERS: dict[str, type[ObjectWriter]] = {
    'coco': CocoWriter,
    'yolo': YoloWriter,
    'voc': VocWriter,
    'label-studio': LabelStudioWriter,
    'labelme': LabelmeWriter,
}
