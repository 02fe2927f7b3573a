"""Folders of ``predict --labels``, what tools make of them, and corrections."""

import json
import shutil
from pathlib import Path
from urllib.parse import unquote
from xml.etree import ElementTree

import cv2
import numpy as np
import yaml
from PIL import Image
from pycocotools import mask as coco_mask

from mmgcvit.own.labels.folder import LabelFolder
from mmgcvit.predict.results import Classification, Detections, make_segmentation

from ...conftest import picture_of
from ..labels.models import NamedModel

WIDTH, HEIGHT = 80, 60
CLASSES = ('cat', 'dog', 'owl')
OBJECT_FORMATS = ('coco', 'yolo', 'voc', 'label-studio', 'labelme')
FORMATS = (*OBJECT_FORMATS, 'maps', 'class folders')
TASKS = {'maps': 'segmentation', 'class folders': 'classification'}
# The options ``--task`` of the folders, where they are needed
OPTIONS = {'maps': 'semantic', 'voc': 'detect'}


def write_labels(folder, label_format, names, seed=0, with_masks=False, checkpoint=None):
    """Write a folder of labels for pictures of these names, and return it."""
    model = NamedModel(TASKS.get(label_format, 'detection'), CLASSES, checkpoint=checkpoint)
    name = label_format if label_format in OBJECT_FORMATS else None
    labels = LabelFolder(model, folder, name)
    for index, picture in enumerate(names):
        path = folder.with_name(f'{folder.name} inputs') / picture
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = picture_of(HEIGHT, WIDTH, seed=seed + index)
        assert cv2.imwrite(str(path), pixels)
        rng = np.random.default_rng(seed + index)
        labels.add(str(path), (WIDTH, HEIGHT), predict(label_format, rng, index, with_masks))
    labels.finish()
    return folder


def predict(label_format, rng, index, with_masks):
    """Return a prediction in which each class occurs if there are three pictures or more."""
    if label_format == 'class folders':
        label = index % len(CLASSES)
        scores = np.full(len(CLASSES), 0.1, np.float32)
        scores[label] = 0.8
        return Classification(label, CLASSES[label], 0.8, scores)
    if label_format == 'maps':
        coarse = np.append(rng.integers(0, 3, 9), [0, 1, 2]).reshape(3, 4)
        return make_segmentation(np.kron(coarse, np.ones((20, 20), int)), CLASSES)
    corners = rng.uniform(1, [40, 25], (3, 2))
    boxes = np.hstack([corners, corners + rng.uniform(12, 30, (3, 2))]).astype(np.float32)
    masks = None
    if with_masks:
        masks = np.zeros((3, HEIGHT, WIDTH), np.uint8)
        for mask, (left, top, right, bottom) in zip(masks, boxes.tolist(), strict=True):
            centre = int(left + right) // 2, int(top + bottom) // 2
            axes = int(right - left) // 2, int(bottom - top) // 2
            cv2.ellipse(mask, centre, axes, 0, 0, 360, 1, -1)
        masks = masks.astype(bool)
    return Detections(
        boxes=boxes,
        scores=np.array([0.9, 0.8, 0.7], np.float32),
        labels=np.array([0, 1, 2]),
        classes=CLASSES,
        masks=masks,
    )


def export(folder, label_format, rng):
    """Write the files of a folder as a tool does: the same labels, in other words."""
    EXPORTS[label_format](folder, rng)


def export_coco(folder, rng):
    """Other ids, order, keys and digits, with masks as RLE in half of the annotations."""
    file = folder / 'annotations/instances_train.json'
    content = json.loads(file.read_text())
    shift = int(rng.integers(0, 90))
    annotations = []
    for each in content['annotations']:
        segmentation = each['segmentation']
        if segmentation and rng.random() < 0.5:
            merged = coco_mask.merge(coco_mask.frPyObjects(segmentation, HEIGHT, WIDTH))
            segmentation = {'size': merged['size'], 'counts': merged['counts'].decode()}
        elif segmentation:
            segmentation = [[round(value, 2) for value in ring] for ring in segmentation]
        annotations.append(
            {
                'segmentation': segmentation,
                'iscrowd': 0,
                'bbox': [round(value, 1) for value in each['bbox']],
                'area': round(each['area']),
                'category_id': each['category_id'] + shift,
                'image_id': 1000 - each['image_id'],
                'attributes': {'occluded': False},
                'id': 7 * each['id'],
            }
        )
    images = [{**each, 'id': 1000 - each['id'], 'license': 0} for each in content['images']]
    categories = [{**each, 'id': each['id'] + shift} for each in content['categories']]
    rng.shuffle(images)
    rng.shuffle(annotations)
    rng.shuffle(categories)
    made = {'licenses': [], 'annotations': annotations, 'images': images, 'categories': categories}
    file.write_text(json.dumps(made, indent=2))


def export_yolo(folder, rng):
    """Other indices of classes, order of lines, and six digits."""
    order = rng.permutation(len(CLASSES)).tolist()
    names = [CLASSES[label] for label in order]
    (folder / 'data.yaml').write_text(yaml.safe_dump({'names': names, 'train': 'images/train'}))
    for file in (folder / 'labels/train').iterdir():
        lines = []
        for line in file.read_text().splitlines():
            label, *values = line.split()
            lines.append(
                ' '.join([str(order.index(int(label))), *(f'{float(v):.6f}' for v in values)])
            )
        rng.shuffle(lines)
        file.write_text('\r\n'.join(lines))


def export_voc(folder, rng):
    """Numbers with a point, other elements, and another order."""
    for file in (folder / 'Annotations').iterdir():
        root = ElementTree.parse(file).getroot()
        objects = root.findall('object')
        for each in objects:
            root.remove(each)
            for corner in each.find('bndbox'):
                corner.text = f'{float(corner.text):.1f}'
            ElementTree.SubElement(each, 'occluded').text = '0'
        rng.shuffle(objects)
        root.extend(objects)
        file.write_bytes(ElementTree.tostring(root))


def export_label_studio(folder, rng):
    """COCO as Label Studio exports it, with eight digits before the names of pictures."""
    tasks = json.loads((folder / 'tasks.json').read_text())
    images = []
    annotations = []
    for image_id, task in enumerate(tasks):
        name = Path(unquote(task['data']['image'])).name
        prefixed = f'{rng.integers(16**8):08x}-{name}'
        (folder / 'images' / name).rename(folder / 'images' / prefixed)
        images.append(
            {'id': image_id, 'file_name': f'images/{prefixed}', 'width': WIDTH, 'height': HEIGHT}
        )
        for result in task['predictions'][0]['result']:
            value = result['value']
            if result['type'] == 'polygonlabels':
                points = np.array(value['points']) * [WIDTH, HEIGHT] / 100
                corner = points.min(0)
                box = [*corner.tolist(), *(points.max(0) - corner).tolist()]
                segmentation = [points.ravel().tolist()]
            else:
                sides = [value['x'], value['y'], value['width'], value['height']]
                box = (np.array(sides) * [WIDTH, HEIGHT, WIDTH, HEIGHT] / 100).tolist()
                segmentation = []
            annotations.append(
                {
                    'id': len(annotations),
                    'image_id': image_id,
                    'category_id': CLASSES.index(value[result['type']][0]),
                    'segmentation': segmentation,
                    'bbox': box,
                    'ignore': 0,
                    'iscrowd': 0,
                    'area': box[2] * box[3],
                }
            )
    categories = [{'id': label, 'name': name} for label, name in enumerate(CLASSES)]
    content = {'images': images, 'categories': categories, 'annotations': annotations}
    (folder / 'tasks.json').unlink()
    (folder / 'labeling_interface.xml').unlink()
    (folder / 'result.json').write_text(json.dumps(content))


def export_labelme(folder, rng):
    """YOLO as labelme2yolo writes it: pictures in another format, beside text files."""
    for part in ('images', 'labels'):
        (folder / part / 'train').mkdir(parents=True)
    for file in sorted((folder / 'images').glob('*.json')):
        content = json.loads(file.read_text())
        lines = []
        for shape in content['shapes']:
            points = np.array(shape['points']) / [WIDTH, HEIGHT]
            if shape['shape_type'] == 'rectangle':
                (left, top), (right, bottom) = points.tolist()
                values = [(left + right) / 2, (top + bottom) / 2, right - left, bottom - top]
            else:
                values = points.ravel().tolist()
            lines.append(' '.join([str(CLASSES.index(shape['label'])), *map(str, values)]))
        (folder / 'labels/train' / f'{file.stem}.txt').write_text('\n'.join(lines))
        picture = folder / 'images' / content['imagePath']
        Image.open(picture).save(folder / 'images/train' / f'{file.stem}.png')
        picture.unlink()
        file.unlink()
    settings = {'names': [*CLASSES], 'train': 'images/train', 'val': 'images/train'}
    del settings['val']
    (folder / 'data.yaml').write_text(yaml.safe_dump(settings))


def export_maps(folder, rng):
    """With another compression and a palette, and the classes in another order."""
    order = rng.permutation(len(CLASSES))
    (folder / 'classes.txt').write_text('\n'.join(CLASSES[label] for label in order))
    places = np.argsort(order)
    for file in (folder / 'masks').iterdir():
        pixels = cv2.imread(str(file), cv2.IMREAD_UNCHANGED)
        made = Image.fromarray(places[pixels].astype(np.uint8))
        made.putpalette([200, 0, 0, 0, 200, 0, 0, 0, 200])
        made.save(file, compress_level=1)


def export_class_folders(folder, rng):
    """Copies instead of links."""
    copy = folder.with_name('copied')
    shutil.copytree(folder, copy)
    shutil.rmtree(folder)
    copy.rename(folder)


EXPORTS = {
    'coco': export_coco,
    'yolo': export_yolo,
    'voc': export_voc,
    'label-studio': export_label_studio,
    'labelme': export_labelme,
    'maps': export_maps,
    'class folders': export_class_folders,
}


def correct(folder, label_format, name, kind):
    """Correct the labels of a picture of a folder as it was written, before any export.

    ``kind`` is one of KINDS; of a class folder, each moves the picture.
    """
    CORRECTIONS[label_format](folder, name, kind)


# What is added is smaller than each predicted object, so that it is none of them.
KINDS = ('delete', 'add', 'change class', 'move')


def correct_coco(folder, name, kind):
    file = folder / 'annotations/instances_train.json'
    content = json.loads(file.read_text())
    (image_id,) = [each['id'] for each in content['images'] if each['file_name'] == name]
    own = [each for each in content['annotations'] if each['image_id'] == image_id]
    if kind == 'delete':
        content['annotations'].remove(own[0])
    elif kind == 'add':
        corners = [4, 4, 12, 4, 12, 12, 4, 12]
        mask = [corners] if own[0]['segmentation'] else []
        added = {**own[0], 'id': 900 + image_id, 'bbox': [4, 4, 8, 8], 'segmentation': mask}
        content['annotations'].append({**added, 'area': 64})
    elif kind == 'change class':
        own[0]['category_id'] = own[1]['category_id']
    else:
        own[0]['bbox'][0] += 4
        own[0]['segmentation'] = [
            np.add(np.reshape(ring, (-1, 2)), (4, 0)).ravel().tolist()
            for ring in own[0]['segmentation']
        ]
    file.write_text(json.dumps(content))


def correct_lines(lines, kind):
    label, *values = lines[0].split()
    if kind == 'delete':
        return lines[1:]
    if kind == 'add':
        mask = '0.05 0.05 0.15 0.05 0.15 0.2 0.05 0.2' if len(values) > 4 else '0.1 0.15 0.1 0.15'
        return [*lines, f'0 {mask}']
    if kind == 'change class':
        return [' '.join([str((int(label) + 1) % 3), *values]), *lines[1:]]
    moved = [str(float(value) + 0.05 * (place % 2 == 0)) for place, value in enumerate(values)]
    if len(values) == 4:
        moved[2] = values[2]
    return [' '.join([label, *moved]), *lines[1:]]


def correct_yolo(folder, name, kind):
    file = folder / 'labels/train' / f'{Path(name).stem}.txt'
    file.write_text('\n'.join(correct_lines(file.read_text().splitlines(), kind)))


def correct_voc(folder, name, kind):
    file = folder / 'Annotations' / f'{Path(name).stem}.xml'
    root = ElementTree.parse(file).getroot()
    first = root.find('object')
    box = first.find('bndbox')
    if kind == 'delete':
        root.remove(first)
    elif kind == 'add':
        added = ElementTree.fromstring(ElementTree.tostring(first))
        for corner, value in zip(added.find('bndbox'), (4, 4, 12, 12), strict=True):
            corner.text = str(value)
        root.append(added)
    elif kind == 'change class':
        name = first.find('name')
        name.text = CLASSES[(CLASSES.index(name.text) + 1) % 3]
    else:
        for side in ('xmin', 'xmax'):
            box.find(side).text = str(int(box.find(side).text) + 4)
    file.write_bytes(ElementTree.tostring(root))


def correct_label_studio(folder, name, kind):
    file = folder / 'tasks.json'
    tasks = json.loads(file.read_text())
    (task,) = [each for each in tasks if Path(unquote(each['data']['image'])).name == name]
    results = task['predictions'][0]['result']
    first = results[0]
    value = first['value']
    if kind == 'delete':
        results.pop(0)
    elif kind == 'change class':
        value[first['type']] = results[1]['value'][first['type']]
    else:
        made = json.loads(json.dumps(first))
        if 'points' in value:
            made['value']['points'] = [[x + 5, y] for x, y in value['points']]
        else:
            made['value']['x'] += 5
        if kind == 'move':
            results.pop(0)
        results.append(made)
    file.write_text(json.dumps(tasks))


def correct_labelme(folder, name, kind):
    file = folder / 'images' / f'{Path(name).stem}.json'
    content = json.loads(file.read_text())
    first, second, *_ = content['shapes']
    moved = {**first, 'points': [[x + 4, y] for x, y in first['points']]}
    if kind in ('delete', 'move'):
        content['shapes'].pop(0)
    if kind in ('add', 'move'):
        content['shapes'].append(moved)
    if kind == 'change class':
        first['label'] = second['label']
    file.write_text(json.dumps(content))


def correct_maps(folder, name, kind):
    file = folder / 'masks' / f'{Path(name).stem}.png'
    pixels = cv2.imread(str(file), cv2.IMREAD_UNCHANGED)
    pixels[7, 9] = (pixels[7, 9] + 1) % 3
    assert cv2.imwrite(str(file), pixels)


def correct_class_folders(folder, name, kind):
    (picture,) = (folder / 'train').glob(f'*/{name}')
    target = folder / 'train' / CLASSES[(CLASSES.index(picture.parent.name) + 1) % 3] / name
    target.parent.mkdir(exist_ok=True)
    picture.rename(target)


CORRECTIONS = {
    'coco': correct_coco,
    'yolo': correct_yolo,
    'voc': correct_voc,
    'label-studio': correct_label_studio,
    'labelme': correct_labelme,
    'maps': correct_maps,
    'class folders': correct_class_folders,
}
