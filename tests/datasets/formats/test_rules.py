"""Each rule of what is read holds for each format and task: a table of faults, and of what becomes
of them.
"""

import json
import re
from dataclasses import replace

import numpy as np
import pytest

from mmgcvit.datasets.formats import read_folder
from mmgcvit.datasets.advice import find_missing_classes
from mmgcvit.errors import UserError

from .made import Thing, make_example, write

# The layout and the label file of a training image of each format.
FORMATS = {
    'coco': (('{}/', '{}.json'), 'train.json'),
    'yolo': (('images/{}/', 'labels/{}', 'images/{}'), 'labels/train/{}.txt'),
    'voc': (('images/{}/', 'Annotations/{}'), 'Annotations/train/{}.xml'),
    'classes': (('{}/{label}/',), 'none'),
    'maps': (('images/{}/', 'labels/{}'), 'labels/train/{}.png'),
}


def edit_coco(image, label, **changes):
    """Change values of the entries of an image in COCO's file, or remove the entries."""
    content = json.loads(label.read_text())
    for name in ('images', 'annotations'):
        own = [
            entry
            for entry in content[name]
            if entry.get('image_id', entry['id']) == int(image.stem)
        ]
        for entry in own:
            entry.update({key: value for key, value in changes.items() if key in entry})
        content[name] = [entry for entry in content[name] if changes or entry not in own]
    label.write_text(json.dumps(content))


def remove_label(image, label):
    if label.suffix:
        edit_coco(image, label) if label.suffix == '.json' else label.unlink()
    else:
        image.rename(image.parents[1] / image.name)  # beside the class folders


def change_size(image, label):
    if label.suffix == '.png':
        write(label, np.zeros((5, 6), np.uint8))
    elif label.suffix == '.xml':
        label.write_text(re.sub(r'<width>\d+', '<width>7', label.read_text()))
    else:
        edit_coco(image, label, width=7)


def change_thing(**changes):
    return lambda made, photo: photo.things.__setitem__(0, photo.things[0]._replace(**changes))


def repeat_thing(made, photo):
    photo.things.append(photo.things[0]._replace(box=tuple(map(float, photo.things[0].box))))


def repeat_box(made, photo):
    photo.things.append(
        photo.things[0]._replace(box=tuple(side + 0.01 for side in photo.things[0].box))
    )


def write_corners(made, photo):
    boxes = [(x, y, x + right, y + bottom) for _, (x, y, right, bottom), *_ in photo.things]
    things = [thing._replace(box=box) for thing, box in zip(photo.things, boxes, strict=True)]
    made.photos['val'] = [replace(other, things=things) for other in made.photos['val']]


def score_on_val(made, photo):
    made.folders['test'], made.photos['test'] = 'test', made.photos['val'][:1]


def copy_to(split, things=None):
    def copy(made, photo):
        other = {} if things is None else {'things': things, 'label': 1 - photo.label}
        made.photos[split].append(replace(photo, stem=f'copy {photo.stem}', **other))

    return copy


def add_class(made, photo):
    made.classes += ['x'] * ('x' not in made.classes)
    things = [Thing('x', (8, 10, 40, 42), has_mask=made.format == 'coco')]
    made.photos['val'][0] = replace(
        made.photos['val'][0], label=made.classes.index('x'), things=things
    )


# What becomes of a fault in each format: a number of problems with images or objects, which are
# left out and counted, or words in a note, or in an error (!). None: the format cannot have it.
COLUMNS = ('coco', 'coco detect', 'yolo', 'voc', 'classes', 'maps')
NOTED, IGNORED, ALL = 'no annotations name them: ', ' ignored (', ' 48 objects, 2 classes'
BEFORE = {  # changes of a photo
    'image twice': (copy_to('train'), 6 * ['left out of train (repeated)']),
    'image twice, other labels': (copy_to('train', things=[]), 6 * ['2 image']),
    'image of another split': (copy_to('val'), 6 * ['left out of train (also in val)']),
    'object twice': (repeat_thing, 4 * ['(repeated)'] + 2 * [None]),
    'object twice, other digits': (repeat_box, [None, *3 * ['(repeated)'], None, None]),
    'corners instead of sizes in val': (
        write_corners,
        [*2 * ['!No object of val can be used'], *4 * [None]],
    ),
    'test image in val': (score_on_val, 6 * ['test is not independent of val: 1 image']),
    'ignored object': (change_thing(is_crowd=True), [IGNORED, IGNORED, None, IGNORED, None, None]),
    'class only in val': (
        add_class,
        [*4 * ['val has an object of x'], '!val has the class folders', 'val has'],
    ),
}
AFTER = {  # changes of an image file and its label file
    'unreadable image': (
        lambda image, label: image.write_text('<html>404</html>'),
        6 * ['1 image'],
    ),
    'missing image': (lambda image, label: image.unlink(), [*4 * ['1 image'], None, '1 image']),
    'no label': (
        remove_label,
        [NOTED, NOTED, 'without a label file', NOTED, 'outside of class folders', '1 image'],
    ),
    'another size': (change_size, ['1 image', '1 image', None, '1 image', None, '1 image']),
    'empty class': (
        lambda image, _: (image.parents[1] / 'x').mkdir(exist_ok=True),
        [*4 * [None], 'not classes', None],
    ),
    'label of other case': (
        lambda _, label: label.rename(label.with_suffix('.TXT')),
        [None, None, ALL, *3 * [None]],
    ),
    'no crowd, as text': (lambda *files: edit_coco(*files, iscrowd='0'), [ALL, ALL, *4 * [None]]),
    'crowd, as text': (
        lambda *files: edit_coco(*files, iscrowd='1'),
        [IGNORED, IGNORED, *4 * [None]],
    ),
    'crowd, as a list': (
        lambda *files: edit_coco(*files, iscrowd=[0]),
        ['2 object', '2 object', *4 * [None]],
    ),
    'mask unlike its box': (
        lambda *files: edit_coco(*files, bbox=[8, 10, 9, 9]),
        ['2 object', '', *4 * [None]],
    ),
}
CELLS = [
    (rule, *cell)
    for rule, row in (BEFORE | AFTER).items()
    for cell in zip(COLUMNS, row[1], strict=True)
]


@pytest.mark.parametrize('number', [1, 5])
@pytest.mark.parametrize(
    ('rule', 'column', 'cell'), [cell for cell in CELLS if cell[2] is not None]
)
def test_a_fault_is_left_out_and_counted_or_told_or_refused(rule, column, cell, number, tmp_path):
    """One of 20 photos has the fault, or five, which are more than a tenth."""
    data_format, task = [*column.split(), None][:2]
    layout, label = FORMATS[data_format]
    made = make_example(data_format, layout, {'train': 20, 'val': 4})
    photos = made.photos['train'][:number]
    for photo in photos if rule in BEFORE else ():
        BEFORE[rule][0](made, photo)
    made.write(tmp_path)
    for photo in photos if rule in AFTER else ():
        AFTER[rule][0](
            tmp_path / made.get_name('train', photo), tmp_path / label.format(photo.stem)
        )
    problems = re.fullmatch(r'(\d) (\w+)', cell)
    words = (
        rf'{int(problems[1]) * number} problems? in \d+ {problems[2]}s'
        if problems
        else re.escape(cell.strip('!'))
    )
    if cell[:1] == '!' or (problems and number == 5):
        with pytest.raises(UserError, match=words):
            read_folder(tmp_path, task)
    else:
        dataset = read_folder(tmp_path, task)
        text = '\n'.join([str(dataset), *find_missing_classes(dataset)])
        assert re.search(words, text)
        assert ('problem' in text) == bool(problems)
