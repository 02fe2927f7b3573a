"""Small data sets laid out as docs/custom_dataset.md says, one for each task."""

import json

import numpy as np
from PIL import Image

from mmgcvit.config import read_config

from ..conftest import ROOT

CLASSES = ('disc', 'square')
WIDTH, HEIGHT = 96, 72
NUM_TRAIN, NUM_VAL = 4, 2
# Left, top, right, bottom of each class's object.
BOXES = ((8, 10, 40, 42), (50, 20, 86, 60))


def picture(number):
    """An image with a disc and a square, (height, width, 3)."""
    pixels = np.random.default_rng(number).integers(0, 60, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    labels = label_map()
    pixels[labels == 1] += np.array([190, 20, 20], np.uint8)
    pixels[labels == 2] += np.array([20, 20, 190], np.uint8)
    return pixels


def label_map():
    """0 for nothing, 1 for the disc, 2 for the square, (height, width)."""
    labels = np.zeros((HEIGHT, WIDTH), np.uint8)
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    left, top, right, bottom = BOXES[0]
    labels[(columns - (left + right) / 2) ** 2 + (rows - (top + bottom) / 2) ** 2 < ((right - left) / 2) ** 2] = 1
    left, top, right, bottom = BOXES[1]
    labels[top:bottom, left:right] = 2
    return labels


def write_picture(path, number):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture(number)).save(path)


def splits():
    yield 'train', range(NUM_TRAIN)
    yield 'val', range(NUM_TRAIN, NUM_TRAIN + NUM_VAL)


def write_coco(root):
    """COCO's format, with masks."""
    (root / 'annotations').mkdir(parents=True)
    categories = [{'id': 5 * i + 3, 'name': name} for i, name in enumerate(CLASSES)]
    for split, numbers in splits():
        images, annotations = [], []
        for number in numbers:
            write_picture(root / split / f'{number}.jpg', number)
            images.append({'id': number, 'file_name': f'{number}.jpg', 'width': WIDTH, 'height': HEIGHT})
            for category, (left, top, right, bottom) in zip(categories, BOXES, strict=True):
                annotations.append(
                    {
                        'id': len(annotations) + 1,
                        'image_id': number,
                        'category_id': category['id'],
                        'bbox': [left, top, right - left, bottom - top],
                        'area': (right - left) * (bottom - top),
                        'iscrowd': 0,
                        'segmentation': [[left, top, right, top, right, bottom, left, bottom]],
                    }
                )
        content = {'images': images, 'annotations': annotations, 'categories': categories}
        (root / 'annotations' / f'{split}.json').write_text(json.dumps(content))


def write_labelled(root):
    """Images and labels per pixel; classes are the background and the two."""
    for split, numbers in splits():
        for number in numbers:
            write_picture(root / 'images' / split / f'{number}.jpg', number)
            path = root / 'labels' / split / f'{number}.png'
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(label_map()).save(path)


def write_folders(root):
    """A folder for each class."""
    for split, numbers in splits():
        for number in numbers:
            write_picture(root / split / CLASSES[number % 2] / f'{number}.jpg', number)


def write_yolo(root, outlines=False):
    """YOLO's layout without a part for validation: boxes, or outlines of four corners."""
    for number in range(NUM_TRAIN + NUM_VAL):
        write_picture(root / 'images' / f'{number}.jpg', number)
        file = root / 'labels' / f'{number}.txt'
        file.parent.mkdir(exist_ok=True)
        lines = []
        for label, (left, top, right, bottom) in enumerate(BOXES):
            middle = [(left + right) / 2, (top + bottom) / 2, right - left, bottom - top]
            corners = [left, top, right, top, right, bottom, left, bottom]
            numbers = np.reshape(corners if outlines else middle, (-1, 2)) / (WIDTH, HEIGHT)
            lines.append(f'{label} {" ".join(map(str, numbers.ravel()))}')
        file.write_text('\n'.join(lines) + '\n')
    (root / 'data.yaml').write_text(f'train: images\nnc: 2\nnames: [{", ".join(CLASSES)}]\n')


def write_voc(root):
    """Pascal VOC's layout; the square is difficult in the last image."""
    for part, numbers in splits():
        for number in numbers:
            write_picture(root / 'JPEGImages' / f'{number}.jpg', number)
            objects = ''
            for name, (left, top, right, bottom) in zip(CLASSES, BOXES, strict=True):
                difficult = int(name == 'square' and number == NUM_TRAIN + NUM_VAL - 1)
                box = f'<xmin>{left + 1}</xmin><ymin>{top + 1}</ymin><xmax>{right}</xmax><ymax>{bottom}</ymax>'
                objects += (
                    f'<object><name>{name}</name><difficult>{difficult}</difficult><bndbox>{box}</bndbox></object>'
                )
            file = root / 'Annotations' / f'{number}.xml'
            file.parent.mkdir(exist_ok=True)
            file.write_text(f'<annotation><filename>{number}.jpg</filename>{objects}</annotation>')
        listed = root / 'ImageSets' / 'Main' / f'{part}.txt'
        listed.parent.mkdir(parents=True, exist_ok=True)
        listed.write_text(''.join(f'{number}\n' for number in numbers))


# A template: what writes its data, and the classes as an option.
TEMPLATES = {
    'custom_coco': (write_coco, CLASSES),
    'custom_coco_boxonly': (write_coco, CLASSES),
    'custom_coco_small': (write_coco, CLASSES),
    'custom_seg': (write_labelled, ('background', *CLASSES)),
    'custom_cls': (write_folders, ('square', 'disc')),
}


def own(name, folder):
    """A template's config, pointed at data of its kind."""
    write, classes = TEMPLATES[name]
    write(folder)
    return read_config(str(ROOT / 'configs' / f'{name}.py'), {'data_root': str(folder), 'classes': classes})
