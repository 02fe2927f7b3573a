"""Check the annotation file of a config's CocoDataset."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import compress
from math import inf
from pathlib import Path

import numpy as np
from mmengine.config import Config, ConfigDict
from mmengine.dataset import BaseDataset
from numpy.typing import NDArray

from ...host.config import find_max_objects, iter_dicts
from ...host.datasets import iter_transforms
from ..annotations import ImageObjects, JsonObject, LabelledObject, Size, Unusable
from ..coco_content import (
    CocoAnnotation,
    CocoEntries,
    CocoEntry,
    CocoImage,
    find_missing_keys,
    find_rotation,
    find_unloadable,
    find_wrong_types,
    parse_annotation,
    parse_entries,
    read_json,
)
from ..rules.coco import NO_OBJECTS, NOT_COCO, UNLISTED, find_content_problems, has_size
from ..rules.objects import (
    FULL_IMAGES,
    TURNED_IN_CONFIG,
    ObjectFindings,
    find_corner_boxes,
    find_repeated_objects,
    find_wrong_objects,
)
from ..rules.rule import MAX_UNUSABLE, Finding, Issue, Report, make_issues
from .screening import Screened, find_close, screen


@dataclass(frozen=True)
class ImageFile:
    """The path of an image and, if they exist, its annotated size and its map's path."""

    path: str
    annotated_size: Size | None = None
    map_path: str | None = None


@dataclass(frozen=True)
class CheckedFile:
    """What was found in the annotation file or the file list of a dataset, and its images."""

    report: Report
    images: Sequence[ImageFile] = ()


@dataclass(frozen=True)
class ListedObjects:
    """The objects of a COCO file whose image has a valid size and whose class is the config's, by
    columns.
    """

    image_folder: Path
    images: Sequence[CocoImage]  # those with a valid size
    annotations: Sequence[CocoEntry]  # entries of the objects, in the order of the file
    image_indices: NDArray[np.int64]  # of each object, in ``images``
    class_names: Sequence[str]  # of each object
    is_ignored: NDArray[np.bool_]  # of each object, by iscrowd

    @property
    def sizes(self) -> list[Size]:
        """The (width, height) of the image of each object."""
        sizes = self.image_sizes
        return [sizes[index] for index in self.image_indices.tolist()]

    @property
    def image_sizes(self) -> list[Size]:
        """The (width, height) of each image, which all have a valid one."""
        return [image.size for image in self.images if not isinstance(image.size, Unusable)]

    def select(self, is_selected: NDArray[np.bool_]) -> list[ImageObjects]:
        """Return records of all images, with those of their objects that are selected."""
        objects: list[list[LabelledObject]] = [[] for _ in self.images]
        for number in np.flatnonzero(is_selected).tolist():
            annotation = parse_annotation(self.annotations[number])
            made = make_object(annotation, self.class_names[number])
            objects[self.image_indices[number]].append(made)
        return [
            ImageObjects(str(image.file_name), image.size, own)
            for image, own in zip(self.images, objects, strict=True)
        ]


@dataclass(frozen=True)
class JudgedObjects:
    """What the rules for objects say."""

    findings: Sequence[Finding]
    num_wrong: int  # objects that break a rule
    has_trained: bool  # whether there is an object to train on


def check_coco(
    dataset: BaseDataset, settings: ConfigDict, *, is_scored: bool, cfg: Config
) -> CheckedFile:
    """Check and count the annotations of a CocoDataset.

    Args:
        dataset: The dataset, whose annotations need not be loaded.
        settings: Its config.
        is_scored: Whether it is for validation or test.
        cfg: The config that trains or tests a model on it.

    Returns:
        What is found, and the images whose size is valid.
    """
    path = dataset.ann_file
    read = read_content(path, is_scored)
    if read.content is None:
        return CheckedFile(read.report)
    content = read.content
    names = [str(category.name) for category in content.categories]
    classes: Sequence[str] = dataset.metainfo.get('classes') or names
    image_folder = Path(dataset.data_prefix.get('img', ''))
    listed = list_objects(content, classes, image_folder)
    with_masks = any(transform.get('with_mask') for transform in iter_transforms(settings))
    findings = find_content_problems(content, classes, is_scored)
    num_unlisted = sum(finding.rule is UNLISTED for finding in findings)
    screened = screen(listed.annotations, listed.sizes)
    judged = judge_objects(listed, screened, with_masks)
    findings += judged.findings
    findings += find_full_images(listed, cfg)
    findings += find_corners(listed, screened)
    findings += find_turned(content.annotations)
    num_objects = len(listed.annotations)
    if not is_scored and not judged.has_trained:
        findings.append(Finding(NO_OBJECTS, f'of {num_objects} objects'))
    are_many = judged.num_wrong + num_unlisted > MAX_UNUSABLE * (num_objects + num_unlisted)
    issues = make_issues(findings, path, are_many=are_many, is_scored=is_scored)
    summary = f'{path}: {len(content.images)} images; objects: {describe_objects(listed, classes)}'
    notes = []
    has_ignored = bool(listed.is_ignored.any())
    if has_ignored and not is_scored and takes_ignored_for_background(cfg.get('model')):
        notes.append(
            f'{path}: training takes ignored objects for background, because an assigner of the '
            'model has no ignore_iof_thr above 0'
        )
    images = []
    for each, size in zip(listed.images, listed.image_sizes, strict=True):
        images.append(ImageFile(str(image_folder / str(each.file_name)), size))
    report = read.report + Report(issues=issues, notes=notes, summaries=[summary])
    return CheckedFile(report, images)


def list_objects(content: CocoEntries, classes: Sequence[str], image_folder: Path) -> ListedObjects:
    """Return the images with a valid size, and their objects of the config's classes."""
    names = {each.id: str(each.name) for each in content.categories if each.name in classes}
    images = [image for image in content.images if has_size(image)]
    # If ids are repeated, pycocotools has the last image of an id.
    last = {image.id: image for image in content.images}
    index_of = {image.id: index for index, image in enumerate(images) if last[image.id] is image}
    annotations = [
        entry
        for entry in content.annotations
        if entry['image_id'] in index_of and entry['category_id'] in names
    ]
    return ListedObjects(
        image_folder=image_folder,
        images=images,
        annotations=annotations,
        image_indices=np.array([index_of[entry['image_id']] for entry in annotations], np.int64),
        class_names=[names[entry['category_id']] for entry in annotations],
        is_ignored=np.array([bool(entry.get('iscrowd', 0)) for entry in annotations], np.bool_),
    )


def judge_objects(listed: ListedObjects, screened: Screened, with_masks: bool) -> JudgedObjects:
    """Apply the rules for boxes, masks (``with_masks``) and copies to the objects that may break
    one.
    """
    is_sound = screened.has_sound_mask if with_masks else screened.has_sound_box
    may_be_copy = find_close(listed.image_indices, screened.left)
    images = listed.select(~is_sound | may_be_copy)
    wrong = find_wrong_objects(images, with_masks)
    has_ignore_key = [bool(entry.get('ignore')) for entry in listed.annotations]
    is_trained = is_sound & ~listed.is_ignored & ~np.array(has_ignore_key, np.bool_)
    return JudgedObjects(
        findings=[*find_repeated_objects(images, with_masks).values(), *wrong.values()],
        num_wrong=len(wrong),
        has_trained=bool(is_trained.any()) or has_trained_objects(images, wrong),
    )


def find_corners(listed: ListedObjects, screened: Screened) -> list[Finding]:
    """Return a finding if most boxes are two corners (:func:`.find_corner_boxes`)."""
    num_corners = np.count_nonzero(screened.may_have_corners)
    if 2 * num_corners <= np.count_nonzero(screened.has_box):
        return []
    return find_corner_boxes(listed.select(np.ones_like(screened.has_box)), listed.image_folder)


def find_turned(annotations: Sequence[JsonObject]) -> list[Finding]:
    """Return the rectangles that CVAT has rotated."""
    found = []
    for entry in annotations:
        degrees = find_rotation(entry)
        if degrees:
            found.append(Finding(TURNED_IN_CONFIG, f'annotation {entry["id"]} {degrees:g}°'))
    return found


def has_trained_objects(images: Sequence[ImageObjects], wrong: ObjectFindings) -> bool:
    """Return whether an object breaks no rule, is not ignored, and has no key ``ignore``, by which
    mmdet skips it.
    """
    return any(
        not each.is_ignored and not each.others['ignore'] and (image_index, index) not in wrong
        for image_index, image in enumerate(images)
        for index, each in enumerate(image.objects)
    )


def describe_objects(listed: ListedObjects, classes: Sequence[str]) -> str:
    """Return the number of objects of each class, and that of ignored ones."""
    counts = Counter(compress(listed.class_names, ~listed.is_ignored))
    text = ', '.join(f'{counts[name]} {name}' for name in classes)
    num_ignored = np.count_nonzero(listed.is_ignored)
    return f'{text}; {num_ignored} ignored' if num_ignored else text


def find_full_images(listed: ListedObjects, cfg: Config) -> list[Finding]:
    """Return the images with more objects than the model finds in one."""
    predicts_tiles = 'side' in (cfg.get('val_cfg') or ())  # the limit of a model is that of a tile
    max_objects = inf if predicts_tiles else find_max_objects(cfg.get('model'))
    numbers = np.bincount(
        listed.image_indices[~listed.is_ignored], minlength=len(listed.images)
    ).tolist()
    return [
        Finding(FULL_IMAGES, f'{image.file_name} has {number}, the limit is {max_objects}')
        for image, number in zip(listed.images, numbers, strict=True)
        if number > max_objects
    ]


@dataclass(frozen=True)
class ReadContent:
    """The content of a COCO file, or why there is none."""

    content: CocoEntries | None
    report: Report


def read_content(path: str, is_scored: bool) -> ReadContent:
    """Return the content of a COCO file, or report that it is not one."""
    content, problem = read_json(Path(path))
    notes = []
    if is_scored and isinstance(content, dict) and 'annotations' not in content:
        notes = [f'{path} has no annotations, so predictions on its images cannot be scored']
        content = {**content, 'annotations': []}
    reasons = [problem] if problem else find_missing_keys(content, is_scored)
    if not reasons:
        reasons = [*find_wrong_types(content), *find_unloadable(content)]
    if reasons:
        return ReadContent(None, Report([Issue(NOT_COCO, path, reasons)], notes))
    return ReadContent(parse_entries(content), Report(notes=notes))


def takes_ignored_for_background(model: ConfigDict | None) -> bool:
    """Return whether an assigner of the model takes ignored objects for background.

    Assigners without ``ignore_iof_thr`` do, such as all matchers of mmdet.
    """
    assigners = filter(None, (part.get('assigner') for part in iter_dicts(model)))
    return any(assigner.get('ignore_iof_thr', -1) <= 0 for assigner in assigners)


def make_object(annotation: CocoAnnotation, class_name: str) -> LabelledObject:
    """Return an object of a config's dataset, with its key ``ignore``."""
    return LabelledObject(
        id=annotation.id,
        class_name=class_name,
        box=annotation.box,
        area=annotation.area,
        mask=annotation.mask,
        is_ignored=bool(annotation.iscrowd),
        others={'ignore': annotation.ignore},
    )
