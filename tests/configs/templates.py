"""Write small datasets as docs/custom_dataset.md describes them, and edit the templates for them."""

import json

import cv2
import numpy as np
from mmengine.config import Config
from PIL import Image

from mmgcvit.datasets.own_data import ConfigPath, fill_template, read_head

from ..conftest import ROOT

CLASSES = ('disc', 'square')
WIDTH, HEIGHT = 96, 72
NUM_TRAIN, NUM_VAL = 4, 2
# (left, top, right, bottom) of the object of each class.
BOXES = ((8, 10, 40, 42), (50, 20, 86, 60))
OUTLINES = [[left, top, right, top, right, bottom, left, bottom] for left, top, right, bottom in BOXES]
SPLITS = {'train': range(NUM_TRAIN), 'val': range(NUM_TRAIN, NUM_TRAIN + NUM_VAL)}


def label_map():
    """Return a segmentation map (height, width): 0 background, 1 disc, 2 square."""
    labels = np.zeros((HEIGHT, WIDTH), np.uint8)
    (left, top, right, bottom), square = BOXES
    cv2.circle(labels, ((left + right) // 2, (top + bottom) // 2), (right - left) // 2 - 1, 1, -1)
    labels[square[1] : square[3], square[0] : square[2]] = 2
    return labels


def write(path, content):
    """Write text or an image and create its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content) if isinstance(content, str) else Image.fromarray(content).save(path)


def write_picture(path, number):
    """Write an image with a red disc and a blue square on noise."""
    pixels = np.random.default_rng(number).integers(0, 60, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    write(path, pixels + np.array([[0, 0, 0], [190, 20, 20], [20, 20, 190]], np.uint8)[label_map()])


def write_coco(root):
    """Write a COCO dataset with polygons."""
    categories = [{'id': 5 * i + 3, 'name': name} for i, name in enumerate(CLASSES)]
    for split, numbers in SPLITS.items():
        images, annotations = [], []
        for number in numbers:
            write_picture(root / split / f'{number}.jpg', number)
            images.append({'id': number, 'file_name': f'{number}.jpg', 'width': WIDTH, 'height': HEIGHT})
            for category, (left, top, right, bottom), outline in zip(categories, BOXES, OUTLINES, strict=True):
                width, height = right - left, bottom - top
                ids = {'id': len(annotations) + 1, 'image_id': number, 'category_id': category['id'], 'iscrowd': 0}
                box = {'bbox': [left, top, width, height], 'area': width * height, 'segmentation': [outline]}
                annotations.append(ids | box)
        content = {'images': images, 'annotations': annotations, 'categories': categories}
        write(root / 'annotations' / f'{split}.json', json.dumps(content))


def write_label_maps(root):
    """Write images and segmentation maps."""
    for split, numbers in SPLITS.items():
        for number in numbers:
            write_picture(root / 'images' / split / f'{number}.jpg', number)
            write(root / 'labels' / split / f'{number}.png', label_map())


def write_folders(root):
    """Write a classification dataset with a folder for each class."""
    for split, numbers in SPLITS.items():
        for number in numbers:
            write_picture(root / split / CLASSES[number % 2] / f'{number}.jpg', number)


def write_yolo(root, outlines=False):
    """Write a YOLO dataset without a validation split: boxes, or polygons with four corners."""
    for number in range(NUM_TRAIN + NUM_VAL):
        write_picture(root / 'images' / f'{number}.jpg', number)
        middles = [[(box[0] + box[2]) / 2, (box[1] + box[3]) / 2, box[2] - box[0], box[3] - box[1]] for box in BOXES]
        rows = [np.reshape(row, (-1, 2)) / (WIDTH, HEIGHT) for row in (OUTLINES if outlines else middles)]
        lines = [f'{label} {" ".join(map(str, row.ravel()))}\n' for label, row in enumerate(rows)]
        write(root / 'labels' / f'{number}.txt', ''.join(lines))
    write(root / 'data.yaml', f'train: images\nnc: 2\nnames: [{", ".join(CLASSES)}]\n')


def write_voc(root):
    """Write a Pascal VOC dataset; the square of the last image is difficult."""
    for split, numbers in SPLITS.items():
        for number in numbers:
            write_picture(root / 'JPEGImages' / f'{number}.jpg', number)
            objects = ''
            for name, (left, top, right, bottom) in zip(CLASSES, BOXES, strict=True):
                difficult = int(name == 'square' and number == NUM_TRAIN + NUM_VAL - 1)
                box = f'<xmin>{left + 1}</xmin><ymin>{top + 1}</ymin><xmax>{right}</xmax><ymax>{bottom}</ymax>'
                head = f'<name>{name}</name><difficult>{difficult}</difficult>'
                objects += f'<object>{head}<bndbox>{box}</bndbox></object>'
            content = f'<annotation><filename>{number}.jpg</filename>{objects}</annotation>'
            write(root / 'Annotations' / f'{number}.xml', content)
        write(root / 'ImageSets' / 'Main' / f'{split}.txt', ''.join(f'{number}\n' for number in numbers))


# template: (function that writes its dataset, classes)
TEMPLATES = {
    'custom_coco': (write_coco, CLASSES),
    'custom_seg': (write_label_maps, ('background', *CLASSES)),
    'custom_cls': (write_folders, ('square', 'disc')),
}


def read_template(name, **lines):
    """Read a template with some of its variables changed, as a user would edit them."""
    text = (ROOT / 'configs' / f'{name}.py').read_text()
    base = ConfigPath(lines.get('_base_') or read_head(text)['_base_'])
    return Config.fromstring(fill_template(text, {**lines, '_base_': base}), '.py')


def own(name, folder):
    """Write the dataset of a template and return the template's config for it."""
    write_data, classes = TEMPLATES[name]
    write_data(folder)
    return read_template(name, data_root=str(folder), classes=classes)
