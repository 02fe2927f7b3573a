"""Read COCO files, one for each split, as labelling tools export them.

Format: https://cocodataset.org/#format-data. A file has three lists, ``images``, ``annotations``
and ``categories``, whose entries have ids. Tools write ids from 0, ids that are not integers, flags
as text and categories in another order in each split; pycocotools and mmdet reject these or read
them wrongly. ``read_split`` makes them what both expect.
"""

import os
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from ...errors import UserError, get_first_line, shorten
from ...files import make_absolute
from ..folders import Folder
from ..layouts import TRAIN_NAMES, Layout, Match, compile_pattern, get_split
from ..records import DatasetInfo, Entry, ObjectSplit, parse_flag
from ..rules.coco import (
    BRUSH_MASKS,
    CROWD_MASKS,
    NOT_COCO,
    UNLISTED,
    WRONG_FLAGS,
    Content,
    find_missing_keys,
    is_coco,
    read_json,
)
from ..rules.rule import Issue, Problems

INSTANCES_FILE = 'annotations/instances_{split}.json'
BY_SPLIT = 'annotations/{split}.json'
TOP = '{split}.json'  # in the folder itself
MMDET = 'https://github.com/open-mmlab/mmdetection/blob/main/docs/en/user_guides/dataset_prepare.md'
LABEL_STUDIO = 'https://github.com/HumanSignal/label-studio-sdk'
LAYOUTS = (
    Layout(
        'COCO 2017',
        MMDET,
        'annotations/instances_train2017.json\ntrain2017/a.jpg',
        '{split}',
        INSTANCES_FILE,
    ),
    Layout(
        'CVAT and Datumaro (COCO)',
        'https://docs.cvat.ai/docs/dataset_management/formats/format-coco',
        'annotations/instances_train.json\nimages/train/a.jpg',
        'images/{split}',
        INSTANCES_FILE,
    ),
    Layout(
        'CVAT until 2024, and Datumaro with merged images (COCO)',
        'https://github.com/cvat-ai/datumaro/blob/develop/site/content/en/docs/formats/coco.md',
        'annotations/instances_train.json\nimages/a.jpg',
        'images',
        INSTANCES_FILE,
    ),
    Layout(
        'Roboflow and RF-DETR (COCO)',
        'https://rfdetr.roboflow.com/latest/learn/train/dataset-formats',
        'train/_annotations.coco.json\ntrain/a.jpg',
        '{split}',
        '{split}/_annotations.coco.json',
    ),
    Layout(
        "mmdet's configs (COCO)",
        MMDET,
        'annotations/train.json\ntrain/a.jpg',
        '{split}',
        BY_SPLIT,
    ),
    Layout(
        "mmdet's configs (COCO), with a folder for images",
        MMDET,
        'annotations/train.json\nimages/train/a.jpg',
        'images/{split}',
        BY_SPLIT,
    ),
    Layout(
        'MMYOLO (COCO)',
        'https://github.com/open-mmlab/mmyolo/blob/main/docs/en/recommended_topics/labeling_to_deployment_tutorials.md',
        'annotations/trainval.json\nimages/a.jpg',
        'images',
        BY_SPLIT,
    ),
    Layout(
        'Label Studio, labelme and VIA (COCO)',
        LABEL_STUDIO,
        'result.json, which lists images/a.jpg\nimages/a.jpg',
        '',
        TOP,
    ),
    Layout(
        'Label Studio with brush masks (COCO)',
        LABEL_STUDIO,
        'result_coco.json, which lists a.jpg\nimages/a.jpg',
        'images',
        TOP,
    ),
    Layout(
        'FiftyOne (COCO)',
        'https://docs.voxel51.com/user_guide/export_datasets.html',
        'labels.json\ndata/a.jpg',
        'data',
        TOP,
    ),
)


class CocoFile(NamedTuple):
    """The COCO file of a split, relative to the dataset's folder."""

    path: Path
    content: Content
    image_folder: Path


def match_layouts(folder: Folder) -> list[Match]:
    """Return the layouts that a folder's COCO files fit or nearly fit.

    A layout fits if there is a file for training, and each file has all of COCO's keys and lists an
    image that is in the layout's folder.
    """
    contents = read_contents(folder)
    matches = []
    for layout in LAYOUTS:
        files = find_files(folder, layout, contents)
        if files:
            read = partial(read_dataset, folder, files, contents)
            # The nearest layout is the one whose folders of images exist.
            num_folders = sum((folder.path / file.image_folder).is_dir() for file in files.values())
            matches.append(Match(layout, read, find_misfit(folder, files), num_folders))
    if contents and not matches:
        places = ', '.join(dict.fromkeys(layout.annotations for layout in LAYOUTS))
        misfit = f'its COCO files ({shorten([*contents])}) are in none of the places {places}'
        matches.append(Match(LAYOUTS[0], misfit=misfit))
    return matches


def read_contents(folder: Folder) -> dict[Path, Any]:
    """Return the contents of COCO files.

    Raises:
        UserError: A file in a place where a layout has one is not valid JSON. Or there are COCO
            files, but the one for training or validation is not in COCO's format.
    """
    contents = {}
    foreign = []  # why other files in such places are not in COCO's format
    for file in folder.list_files('.json'):
        path = folder.path / file
        content, problem = read_json(path)
        if is_coco(content):
            contents[file] = content
            continue
        split = find_expected_split(file)
        if split and problem:
            raise UserError(format_issue(path, [problem]))
        # Testing needs no annotations, so its file may have another format.
        if split in ('train', 'val'):
            foreign.append(format_issue(path, find_missing_keys(content)))
    if contents and foreign:
        raise UserError(foreign[0])
    return contents


def find_expected_split(file: Path) -> str | None:
    """Return the split for which a layout has a COCO file of this path, or None."""
    for layout in LAYOUTS:
        match = compile_pattern(layout.annotations).fullmatch(str(file))
        split = get_file_split(match['split']) if match else None
        if split:
            return split
    return None


def format_issue(place: Path, reasons: Sequence[str]) -> str:
    """Return a message that a file is not in COCO's format."""
    return Issue(NOT_COCO, str(place), reasons).format()


def find_files(folder: Folder, layout: Layout, contents: dict[Path, Any]) -> dict[str, CocoFile]:
    """Return the COCO file of each split in the places of a layout.

    Args:
        folder: The dataset's folder.
        layout: One of :data:`LAYOUTS`. If its files are in the folder itself and there is only one
            there, this file may have any name, and is for training.
        contents: The contents of all COCO files in the folder, by their paths.

    Raises:
        UserError: A split has several files.
    """
    found = {}
    has_one = layout.annotations == TOP and sum(len(file.parts) == 1 for file in contents) == 1
    for file, content in contents.items():
        match = compile_pattern(layout.annotations).fullmatch(str(file))
        if match is None:
            continue
        name = match['split']
        split = get_file_split(name)
        if split is None and has_one:
            split = 'train'
        if split is None:
            continue
        if split in found:
            raise UserError(
                f'{folder.path} has two COCO files for {split}: {found[split].path} and {file}. '
                'Keep one of them, and move the other out of the folder'
            )
        found[split] = CocoFile(file, content, Path(layout.images.replace('{split}', name)))
    return found


def get_file_split(name: str) -> str | None:
    """Return the split of a COCO file that has a name in the place of ``{split}``, or None."""
    return 'train' if name.lower() in TRAIN_NAMES else get_split(name)


def find_misfit(folder: Folder, files: dict[str, CocoFile]) -> str:
    """Return why the COCO files of a folder do not fit a layout, or ''."""
    if 'train' not in files:
        names = shorten([file.path for file in files.values()])
        return f'there is {names}, but no file for training'
    for file in files.values():
        missing = find_missing_keys(file.content)
        if missing:
            return format_issue(file.path, missing)
        names = list_file_names(file.content)
        root = folder.path / file.image_folder
        # Path.is_file raises an error for names that are too long.
        if not any(os.path.isfile(root / name) for name in names):  # noqa: PTH113
            return f'none of the images that {file.path} lists ({shorten(names)}) is in {root}'
    return ''


def list_file_names(content: Content) -> list[str]:
    """Return the names of images in a COCO file, with slashes as on Linux."""
    return [str(image['file_name']).replace('\\', '/') for image in content['images']]


def read_dataset(
    folder: Folder, files: dict[str, CocoFile], contents: dict[Path, Any], task: str | None
) -> DatasetInfo:
    """Read the COCO file of each split. The classes are those of training.

    A note names the other files of ``contents``.
    """
    entries = [entry for file in files.values() for entry in file.content['annotations']]
    # CVAT writes objects that were drawn with its brush like crowds. If there are no others, they are
    # objects: crowds alone could not be trained.
    crowds_are_objects = all(map(is_crowd_mask, entries))
    splits = {}
    problems = defaultdict(list)
    with reject_wrong_values(folder.path / files['train'].path):
        categories = make_categories(files['train'].content)
    for split, file in files.items():
        with reject_wrong_values(folder.path / file.path):
            splits[split] = read_split(folder, file, categories, crowds_are_objects, problems)
    classes = tuple(category['name'] for category in categories)
    notes = []
    others = sorted(contents.keys() - {file.path for file in files.values()})
    if others:
        notes.append(f'COCO files of no split were not read: {shorten(others)}')
    return DatasetInfo(folder.path, 'COCO (JSON)', ('boxes',), classes, splits, notes, problems)


@contextmanager
def reject_wrong_values(path: Path) -> Iterator[None]:
    """Raise a UserError where a value of a file cannot be used, for example an id that is a list, or
    a file name that no file can have.
    """
    try:
        yield
    except UserError:
        raise
    except (TypeError, AttributeError, ValueError, OSError) as error:
        raise UserError(format_issue(path, [get_first_line(error)])) from None


def make_categories(content: Content) -> list[Entry]:
    """Return the categories of training, with names that are strings, and new ids.

    mmdet looks classes up by their names. Roboflow's first category has no objects and is the
    supercategory of the others: it is left out.
    """
    categories = content['categories']
    used = {annotation['category_id'] for annotation in content['annotations']}
    parents = {category.get('supercategory') for category in categories[1:]}
    if categories and parents == {categories[0]['name']} and categories[0]['id'] not in used:
        categories = categories[1:]
    return [
        {**category, 'id': new_id, 'name': str(category['name'])}
        for new_id, category in enumerate(categories, start=1)
    ]


def read_split(
    folder: Folder,
    file: CocoFile,
    categories: Sequence[Entry],
    crowds_are_objects: bool,
    problems: Problems,
) -> ObjectSplit:
    """Return a split as pycocotools and mmdet expect it.

    Ids are 1, 2, ..., ``iscrowd`` is 0 or 1, and the key ``ignore`` is gone: such objects are
    crowds.

    Args:
        folder: The dataset's folder.
        file: The COCO file of the split.
        categories: Those of training, with their new ids.
        crowds_are_objects: Whether masks in RLE with iscrowd 1 get iscrowd 0.
        problems: Annotations that are left out, and masks with iscrowd 1, are added to it, by the
            rule that they break.

    Raises:
        UserError: The file lists images outside of the dataset's folder, repeats the id of an
            image or a category, or has objects of other classes than training.
    """
    path = folder.path / file.path
    for name in ('images', 'categories'):
        check_unique_ids(path, file.content[name])
    image_ids = {image['id']: new_id for new_id, image in enumerate(file.content['images'], 1)}
    images = list_images(folder.path, file, image_ids)
    category_ids = match_categories(path, file.content, categories)
    annotations = []
    for index, entry in enumerate(file.content['annotations']):
        place = f'{path} annotations[{index}] (id {entry["id"]!r:.60})'
        ids = {
            'id': len(annotations) + 1,
            'image_id': image_ids.get(entry['image_id']),
            'category_id': category_ids.get(entry['category_id']),
        }
        if None in ids.values():
            problems[UNLISTED].append(place)
            continue
        flags = [parse_flag(entry.get(name)) for name in ('iscrowd', 'ignore')]
        if None in flags:
            values = f'{entry.get("iscrowd")!r:.60}, {entry.get("ignore")!r:.60}'
            problems[WRONG_FLAGS].append(f'{place}: {values}')
            continue
        new = {**entry, **ids, 'iscrowd': max(flags)}
        if is_crowd_mask(entry):
            problems[BRUSH_MASKS if crowds_are_objects else CROWD_MASKS].append(place)
            new['iscrowd'] = int(not crowds_are_objects)
        new.pop('ignore', None)  # pycocotools scores objects with this key
        annotations.append(new)
    image_folder = (folder.path / file.image_folder).resolve()
    return ObjectSplit(image_folder, images, annotations, categories)


def check_unique_ids(path: Path, entries: Sequence[Entry]) -> None:
    """Raise a UserError if entries of a file have the same id."""
    for entry_id, number in Counter(entry['id'] for entry in entries).items():
        if number > 1:
            raise UserError(
                f'{path} lists several images or categories with the id {entry_id!r:.60}. Export '
                'it again'
            )


def list_images(folder: Path, file: CocoFile, ids: Mapping[Any, int]) -> list[Entry]:
    """Return the images of a COCO file with new ids, which ``ids`` has by the old ones.

    Raise a UserError for images outside of the dataset's folder.
    """
    root = folder.resolve()
    image_folder = (root / file.image_folder).resolve()
    images = []
    for image, name in zip(file.content['images'], list_file_names(file.content), strict=True):
        # The folder of the images may be a link to another place.
        may_leave = '..' in Path(name).parts or name.startswith('/')
        if may_leave and not make_absolute(image_folder / name).is_relative_to(root):
            raise UserError(
                f'{folder / file.path} lists images outside of {folder} ({name}). Move them into it'
            )
        images.append({**image, 'id': ids[image['id']], 'file_name': name})
    return images


def match_categories(path: Path, content: Content, categories: Sequence[Entry]) -> dict[Any, int]:
    """Return the ids of training's categories by a file's own ids.

    Raise a UserError if objects have other classes than training.
    """
    new_ids = {category['name']: category['id'] for category in categories}
    used = {annotation['category_id'] for annotation in content['annotations']}
    others = set()
    ids = {}
    for category in content['categories']:
        name = str(category['name'])
        if name in new_ids:
            ids[category['id']] = new_ids[name]
        elif category['id'] in used:
            others.add(name)
    if others:
        raise UserError(
            f'{path} has objects of the classes {shorten(sorted(others))}, but training has only '
            f'{shorten(list(new_ids))}. Add the classes to training, or remove their objects'
        )
    return ids


def is_crowd_mask(entry: Entry) -> bool:
    """Return whether an annotation has RLE and iscrowd, as COCO's crowds and CVAT's brush have."""
    return isinstance(entry.get('segmentation'), dict) and parse_flag(entry.get('iscrowd')) == 1
