"""Read COCO files, one for each split, as labelling tools export them.

Format: https://cocodataset.org/#format-data. A file has three lists, ``images``, ``annotations``
and ``categories``, whose entries have ids. Tools write ids from 0, ids that are not integers, flags
as text and categories in another order in each split; pycocotools and mmdet reject these or read
them wrongly. ``read_split`` makes them what both expect.
"""

import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TypeGuard

from ....datasets.annotations import Box, Id, Json, JsonObject, LabelledObject, Size, Unusable
from ....datasets.coco_categories import make_coco_categories
from ....datasets.coco_content import (
    KEYS,
    CocoAnnotation,
    CocoCategory,
    CocoImage,
    RawContent,
    find_missing_keys,
    find_rotation,
    find_wrong_types,
    parse_annotation,
    parse_entries,
    read_json,
)
from ....datasets.rules.coco import DUPLICATE_IDS, NOT_COCO, UNLISTED, WRONG_FLAGS
from ....datasets.rules.rule import Finding, Issue, make_findings
from ....errors import UserError, format_count, shorten
from ....host.files import find_on_disk, make_absolute
from ..folders import Folder
from ..layouts import TRAIN_NAMES, Fit, Layout, Match, Misfit, compile_pattern, get_split
from ..object_records import Category, ObjectImage, ObjectSplit
from ..records import DatasetInfo
from ..rules.findings import reject_broken
from ..rules.objects import TRACK_IDS, TURNED_BOXES
from .values import enclose, parse_flag, rotate_box

INSTANCES_FILE = 'annotations/instances_{split}.json'
BY_SPLIT = 'annotations/{split}.json'
TOP = '{split}.json'  # in the folder itself
MMDET = 'https://github.com/open-mmlab/mmdetection/blob/main/docs/en/user_guides/dataset_prepare.md'
LABEL_STUDIO = 'https://github.com/HumanSignal/label-studio-sdk'
LAYOUTS = (
    Layout(
        tools='COCO 2017',
        source=MMDET,
        tree='annotations/instances_train2017.json\ntrain2017/a.jpg',
        images='{split}',
        annotations=INSTANCES_FILE,
    ),
    Layout(
        tools='CVAT and Datumaro (COCO)',
        source='https://docs.cvat.ai/docs/dataset_management/formats/format-coco',
        tree='annotations/instances_train.json\nimages/train/a.jpg',
        images='images/{split}',
        annotations=INSTANCES_FILE,
    ),
    Layout(
        tools='CVAT until 2024, and Datumaro with merged images (COCO)',
        source='https://github.com/cvat-ai/datumaro/blob/develop/site/content/en/docs/formats/coco.md',
        tree='annotations/instances_train.json\nimages/a.jpg',
        images='images',
        annotations=INSTANCES_FILE,
    ),
    Layout(
        tools='Roboflow and RF-DETR (COCO)',
        source='https://rfdetr.roboflow.com/latest/learn/train/dataset-formats',
        tree='train/_annotations.coco.json\ntrain/a.jpg',
        images='{split}',
        annotations='{split}/_annotations.coco.json',
    ),
    Layout(
        tools="mmdet's configs (COCO)",
        source=MMDET,
        tree='annotations/train.json\ntrain/a.jpg',
        images='{split}',
        annotations=BY_SPLIT,
    ),
    Layout(
        tools="mmdet's configs (COCO), with a folder for images",
        source=MMDET,
        tree='annotations/train.json\nimages/train/a.jpg',
        images='images/{split}',
        annotations=BY_SPLIT,
    ),
    Layout(
        tools='MMYOLO (COCO)',
        source='https://github.com/open-mmlab/mmyolo/blob/main/docs/en/recommended_topics/labeling_to_deployment_tutorials.md',
        tree='annotations/trainval.json\nimages/a.jpg',
        images='images',
        annotations=BY_SPLIT,
    ),
    Layout(
        tools='Label Studio, labelme and VIA (COCO)',
        source=LABEL_STUDIO,
        tree='result.json, which lists images/a.jpg\nimages/a.jpg',
        images='',
        annotations=TOP,
    ),
    Layout(
        tools='Label Studio with brush masks (COCO)',
        source=LABEL_STUDIO,
        tree='result_coco.json, which lists a.jpg\nimages/a.jpg',
        images='images',
        annotations=TOP,
    ),
    Layout(
        tools='FiftyOne (COCO)',
        source='https://docs.voxel51.com/user_guide/export_datasets.html',
        tree='labels.json\ndata/a.jpg',
        images='data',
        annotations=TOP,
    ),
)


@dataclass(frozen=True)
class CocoContent:
    """The lists of a COCO file."""

    images: Sequence[CocoImage]
    annotations: Sequence[CocoAnnotation]
    categories: Sequence[CocoCategory]


def is_coco(content: Json) -> TypeGuard[RawContent]:
    """Return whether content has at least two of COCO's lists."""
    return isinstance(content, dict) and len(KEYS.keys() & content.keys()) > 1


def parse_content(content: RawContent) -> CocoContent:
    """Return the content of a COCO file as records.

    It has all keys (:func:`find_missing_keys`) and no wrong types (:func:`find_wrong_types`).
    """
    entries = parse_entries(content)
    annotations = [parse_annotation(entry) for entry in entries.annotations]
    return CocoContent(entries.images, annotations, entries.categories)


@dataclass(frozen=True)
class CocoFile:
    """The COCO file of a split, relative to the dataset's folder."""

    path: Path
    content: RawContent
    image_folder: Path


FilesBySplit = Mapping[str, CocoFile]
Contents = Mapping[Path, RawContent]  # of all COCO files in a folder, by their paths


def match_layouts(folder: Folder) -> Fit:
    """Return the layouts that a folder's COCO files fit or, if there is none, the nearest one.

    A layout fits if there is a file for training, and each file has all of COCO's keys and lists an
    image that is in the layout's folder. The nearest one is that of whose folders of images most
    exist.
    """
    contents = read_contents(folder)
    matches = []
    misfits = []
    nums_folders = []
    for layout in LAYOUTS:
        files = find_files(folder, layout, contents)
        if not files:
            continue
        reason = find_misfit(folder, files)
        if reason:
            misfits.append(Misfit(layout, reason))
            nums_folders.append(count_image_folders(folder, files))
        else:
            matches.append(Match(layout, partial(read_dataset, folder, files, contents)))
    if matches or not contents:
        return Fit(matches)
    if misfits:
        return Fit(misfit=misfits[nums_folders.index(max(nums_folders))])
    places = ', '.join(dict.fromkeys(layout.annotations for layout in LAYOUTS))
    reason = f'its COCO files ({shorten([*contents])}) are in none of the places {places}'
    return Fit(misfit=Misfit(LAYOUTS[0], reason))


def count_image_folders(folder: Folder, files: FilesBySplit) -> int:
    """Return how many splits have the folder of images that their layout says."""
    return sum((folder.path / file.image_folder).is_dir() for file in files.values())


def read_contents(folder: Folder) -> dict[Path, RawContent]:
    """Return the contents of COCO files.

    Raises:
        UserError: A file in a place where a layout has one is not valid JSON. Or there are COCO
            files, but the one for training or validation is not in COCO's format.
    """
    contents = {}
    foreign = {}  # why other files in such places are not in COCO's format
    for file in folder.list_files('.json'):
        path = folder.path / file
        content, problem = read_json(path)
        if is_coco(content):
            contents[file] = content
            continue
        split = find_expected_split(file)
        if split and problem:
            reject_file(path, [problem])
        # Testing needs no annotations, so its file may have another format.
        if split in ('train', 'val'):
            foreign[path] = find_missing_keys(content)
    if contents:
        for path, reasons in foreign.items():
            reject_file(path, reasons)
    return contents


def describe_damaged(folder: Folder) -> list[str]:
    """Return a note if JSON files of a folder are damaged, since they may be its annotations.

    They are in no place where a layout has a COCO file (:func:`read_contents`).
    """
    damaged = []
    for file in folder.list_files('.json'):
        _, problem = read_json(folder.path / file)
        if problem:
            damaged.append(f'{file} is {problem}')
    if not damaged:
        return []
    return [f'not read: {shorten(damaged)}. If it has annotations, export it again']


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


def reject_file(path: Path, reasons: Sequence[str]) -> None:
    """Raise a UserError if there are reasons why a file is not in COCO's format."""
    reject_broken(make_findings(NOT_COCO, reasons), str(path))


def find_files(folder: Folder, layout: Layout, contents: Contents) -> dict[str, CocoFile]:
    """Return the COCO file of each split in the places of a layout.

    Args:
        folder: The dataset's folder.
        layout: One of :data:`LAYOUTS`. If its files are in the folder itself and there is only one
            there, this file may have any name, and is for training.
        contents: The contents of all COCO files in the folder.

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


def find_misfit(folder: Folder, files: FilesBySplit) -> str:
    """Return why the COCO files of a folder do not fit a layout, or ''."""
    if 'train' not in files:
        names = shorten([file.path for file in files.values()])
        return f'there is {names}, but no file for training'
    for file in files.values():
        missing = find_missing_keys(file.content)
        if missing:
            return format_issue(file.path, missing)
        root = folder.path / file.image_folder
        listed = [make_name(image['file_name']) for image in file.content['images']]
        names = [find_on_disk(root, name) for name in listed]
        if not names:
            return f'{file.path} lists no images. Add them, or move the file out of the folder'
        # Path.is_file raises an error for names that are too long.
        if not any(os.path.isfile(root / name) for name in names):  # noqa: PTH113
            return f'none of the images that {file.path} lists ({shorten(names)}) is in {root}'
    return ''


def make_name(file_name: object) -> str:
    """Return the name of an image in a COCO file, with slashes as on Linux."""
    return str(file_name).replace('\\', '/')


def is_possible(name: str) -> bool:
    """Return whether a file can have a name."""
    with suppress(UnicodeEncodeError):  # for half of a surrogate pair
        return b'\0' not in os.fsencode(name)
    return False


def read_dataset(
    folder: Folder, files: FilesBySplit, contents: Contents, task: str | None
) -> DatasetInfo:
    """Read the COCO file of each split. The classes are those of training.

    A note names the other files of ``contents``.
    """
    parsed = {}
    for split, file in files.items():
        reject_file(folder.path / file.path, find_wrong_types(file.content))
        parsed[split] = parse_content(file.content)
    categories = make_categories(parsed['train'])
    splits = {}
    findings = []
    for split, file in files.items():
        reader = SplitReader(
            path=folder.path / file.path,
            root=folder.path,
            image_folder=file.image_folder,
            content=parsed[split],
            categories=categories,
        )
        found = reader.read()
        splits[split] = found.split
        findings += [replace(each, split=split) for each in found.findings]
    notes = []
    others = sorted(contents.keys() - {file.path for file in files.values()})
    if others:
        notes.append(f'COCO files of no split were not read: {shorten(others)}')
    return DatasetInfo(
        folder=folder.path,
        format='COCO (JSON)',
        annotation_types=('boxes',),
        classes=tuple(category.name for category in categories),
        splits=splits,
        notes=notes,
        findings=findings,
    )


def make_categories(content: CocoContent) -> list[Category]:
    """Return the categories of training, with names that are strings, and the ids that
    all formats have (:func:`.make_coco_categories`).

    mmdet looks classes up by their names. Roboflow's first category has no objects and is the
    supercategory of the others: it is left out.
    """
    categories = content.categories
    used = {annotation.category_id for annotation in content.annotations}
    first, *rest = categories or [None]
    is_parent = bool(rest) and all(category.supercategory == first.name for category in rest)
    if is_parent and first.id not in used:
        categories = rest
    entries = make_coco_categories([str(category.name) for category in categories])
    return [
        Category(id=entry['id'], name=entry['name'], others=category.others)
        for entry, category in zip(entries, categories, strict=True)
    ]


@dataclass(frozen=True)
class ReadSplit:
    """A split, and the annotations that could not be read."""

    split: ObjectSplit
    findings: Sequence[Finding]


@dataclass(frozen=True)
class SplitReader:
    """Read the COCO file of a split, as pycocotools and mmdet expect it.

    Ids are 1, 2, ..., ``iscrowd`` is 0 or 1, and the key ``ignore`` is gone: pycocotools scores
    objects with this key. Such objects are ignored as crowds are.
    """

    path: Path  # of the file
    root: Path  # the dataset's folder
    image_folder: Path  # relative to it
    content: CocoContent
    categories: Sequence[Category]  # those of training, with their new ids

    def read(self) -> ReadSplit:
        """Return the split.

        Raises:
            UserError: The file lists images outside of the dataset's folder, repeats the id of an
                image or a category, or has objects of other classes than training.
        """
        self.check_unique_ids(image.id for image in self.content.images)
        self.check_unique_ids(category.id for category in self.content.categories)
        names = self.list_image_names()
        class_names = self.match_categories()
        objects: dict[Id, list[LabelledObject]] = {image.id: [] for image in self.content.images}
        sizes = {image.id: image.size for image in self.content.images}
        have_masks = any(has_mask(annotation) for annotation in self.content.annotations)
        findings = self.find_tracks()
        number = 0
        for index, annotation in enumerate(self.content.annotations):
            place = f'annotations[{index}] (id {annotation.id!r:.60})'
            is_listed = annotation.image_id in objects and annotation.category_id in class_names
            flags = parse_flags(annotation)
            if not is_listed:
                findings.append(Finding(UNLISTED, f'{self.path} {place}'))
                continue
            if flags is None:
                values = describe_flags(annotation)
                findings.append(Finding(WRONG_FLAGS, f'{self.path} {place}: {values}'))
                continue
            turned = turn_box(annotation, sizes[annotation.image_id], with_mask=have_masks)
            if turned is not annotation:
                degrees = find_rotation(annotation.others)
                findings.append(Finding(TURNED_BOXES, f'{self.path} {place}: {degrees:g}°'))
            number += 1
            each = LabelledObject(
                id=number,
                class_name=class_names[turned.category_id],
                box=turned.box,
                area=turned.area,
                mask=turned.mask if have_masks else None,
                is_ignored=flags.is_ignored,
                is_crowd=flags.is_crowd,
                others=turned.others,
                place=place,
            )
            objects[turned.image_id].append(each)
        images = [
            ObjectImage(
                name=names[index],
                id=index + 1,
                size=image.size,
                objects=objects[image.id],
                others=image.others,
            )
            for index, image in enumerate(self.content.images)
        ]
        split = ObjectSplit(
            image_folder=(self.root / self.image_folder).resolve(),
            images=images,
            categories=self.categories,
            annotation_file=self.path,
        )
        return ReadSplit(split, findings)

    def find_tracks(self) -> list[Finding]:
        """Return a finding if annotations have track ids."""
        num_tracked = sum(map(has_track_id, self.content.annotations))
        if not num_tracked:
            return []
        return [Finding(TRACK_IDS, f'{self.path}: {format_count(num_tracked, "object")}')]

    def check_unique_ids(self, ids: Iterable[Id]) -> None:
        """Raise a UserError if entries have the same id."""
        for entry_id, number in Counter(ids).items():
            if number > 1:
                message = (
                    f'{self.path} lists several images or categories with the id {entry_id!r:.60}. '
                    'Export it again'
                )
                reject_broken([Finding(DUPLICATE_IDS, str(self.path), message)])

    def list_image_names(self) -> list[str]:
        """Return the names of images, as the disk has them. Raise a UserError for images outside
        of the dataset's folder.
        """
        root = self.root.resolve()
        image_folder = (root / self.image_folder).resolve()
        names = []
        for image in self.content.images:
            name = make_name(image.file_name)
            # The folder of the images may be a link to another place.
            may_leave = '..' in Path(name).parts or name.startswith('/')
            # Names that no file can have are those of unreadable images.
            if (
                may_leave
                and is_possible(name)
                and not make_absolute(image_folder / name).is_relative_to(root)
            ):
                raise UserError(
                    f'{self.path} lists images outside of {self.root} ({name}). Copy them into it, '
                    f'and write each file_name relative to their folder: {Path(name).name}'
                )
            names.append(find_on_disk(image_folder, name))
        return names

    def match_categories(self) -> dict[Id, str]:
        """Return the class names by the file's ids.

        Raise a UserError if objects have other classes than training.
        """
        known = {category.name for category in self.categories}
        used = {annotation.category_id for annotation in self.content.annotations}
        others = set()
        names = {}
        for category in self.content.categories:
            name = str(category.name)
            if name in known:
                names[category.id] = name
            elif category.id in used:
                others.add(name)
        if others:
            trained = shorten([category.name for category in self.categories])
            raise UserError(
                f'{self.path} has objects of the classes {shorten(sorted(others))}, but training '
                f'has only {trained}. Add the classes to training, or remove their objects'
            )
        return names


@dataclass(frozen=True)
class Flags:
    """What iscrowd and ignore say of an annotation."""

    is_crowd: bool
    is_ignored: bool


def parse_flags(annotation: CocoAnnotation) -> Flags | None:
    """Return the flags of an annotation, or None if one of them has another value than 0 or 1."""
    is_crowd = parse_flag(annotation.iscrowd)
    is_other = parse_flag(annotation.ignore)
    if is_crowd is None or is_other is None:
        return None
    return Flags(is_crowd=is_crowd, is_ignored=is_crowd or is_other)


def turn_box(
    annotation: CocoAnnotation, size: Size | Unusable, *, with_mask: bool
) -> CocoAnnotation:
    """Return an annotation without a mask whose box encloses the rectangle as CVAT has rotated it.

    ``size`` is the (width, height) of the image. ``with_mask``, the rectangle is its mask. An
    annotation without a rotation, or with a mask, is returned as it is.
    """
    degrees = find_rotation(annotation.others)
    is_box = isinstance(annotation.box, Box) and annotation.mask is None
    if not degrees or not is_box or isinstance(size, Unusable):
        return annotation
    corners = rotate_box(annotation.box, degrees)
    mask = [corners] if with_mask else None
    # The box would be rotated again where it is read again.
    others = remove_rotation(annotation.others)
    return replace(annotation, box=enclose(corners, size), mask=mask, others=others)


def has_mask(annotation: CocoAnnotation) -> bool:
    """Return whether an annotation has a mask. Some tools write a box with an empty polygon."""
    return annotation.mask is not None and annotation.mask != [[]]


def describe_flags(annotation: CocoAnnotation) -> str:
    """Return the values of iscrowd and ignore."""
    return f'{annotation.iscrowd!r:.60}, {annotation.ignore!r:.60}'


def has_track_id(annotation: CocoAnnotation) -> bool:
    """Return whether an annotation has the id of a track, as CVAT and trackers write it."""
    attributes = annotation.others.get('attributes')
    own = attributes if isinstance(attributes, dict) else {}
    return 'track_id' in annotation.others or 'track_id' in own


def remove_rotation(entry: JsonObject) -> JsonObject:
    """Return the keys of an annotation without the rotation of :func:`find_rotation`."""
    attributes = entry.get('attributes')
    if not isinstance(attributes, dict):
        return entry
    return {
        **entry,
        'attributes': {key: attributes[key] for key in attributes if key != 'rotation'},
    }
