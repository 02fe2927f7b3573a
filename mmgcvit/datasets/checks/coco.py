"""Apply the rules to a config's dataset in COCO's format."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from math import inf
from pathlib import Path

from mmengine.config import Config, ConfigDict
from mmengine.dataset import BaseDataset

from ...config import iter_dicts, iter_transforms
from ...errors import get_first_line
from ..records import Entry, ObjectSplit
from ..rules.coco import (
    NO_OBJECTS,
    NOT_COCO,
    UNLISTED,
    find_content_problems,
    find_missing_keys,
    has_size,
    read_json,
)
from ..rules.copies import REPEATED_OBJECTS
from ..rules.judge import leave_out_objects
from ..rules.objects import FEW_POINTS, FULL_IMAGES, find_max_objects
from ..rules.rule import MAX_UNUSABLE, Issue, Report, make_issues
from .images import ImageFile

Content = Mapping[str, Sequence[Entry]]


def check_coco(
    dataset: BaseDataset,
    settings: ConfigDict,
    is_scored: bool,
    cfg: Config,
    report: Report,
) -> list[ImageFile]:
    """Check and count the annotations of a CocoDataset.

    Args:
        dataset: The dataset, whose annotations need not be loaded.
        settings: Its config.
        is_scored: Whether it is for validation or test.
        cfg: The config that trains or tests a model on it.
        report: What is found is added to it.

    Returns:
        Its images whose size is valid.
    """
    path = dataset.ann_file
    content = read_content(path, is_scored, report)
    if content is None:
        return []
    names = [category['name'] for category in content['categories']]
    classes = dataset.metainfo.get('classes') or names
    with_masks = any(transform.get('with_mask') for transform in iter_transforms(settings))
    try:
        split = make_split(dataset, content, classes)
        problems = defaultdict(list, find_content_problems(content, classes, is_scored))
        right = leave_out_objects(split, with_masks, problems)
        counts = split.count_classes()
    # These errors mean that a value has another type than in COCO's format, for example an id that
    # is a list.
    except (TypeError, AttributeError, ArithmeticError) as error:
        report.issues.append(Issue(NOT_COCO, path, [get_first_line(error)]))
        return []
    model = cfg.get('model') or ConfigDict()
    predicts_tiles = 'side' in (cfg.get('val_cfg') or ())  # the limit of a model is that of a tile
    max_objects = inf if predicts_tiles else find_max_objects(model)
    numbers = Counter(split.list_image_names(split.objects))
    problems[FULL_IMAGES] = [
        f'{name} has {number}, the limit is {max_objects}'
        for name, number in numbers.items()
        if number > max_objects
    ]
    is_trained = any(not entry.get('ignore') for entry in right.objects)
    if not is_scored and not is_trained:
        problems[NO_OBJECTS] = [f'of {len(split.annotations)} objects']
    num_objects = len(split.annotations) + len(problems[UNLISTED])
    num_right = len(right.annotations) + len(problems[REPEATED_OBJECTS])
    are_many = num_objects - num_right > MAX_UNUSABLE * num_objects
    for issue in make_issues(problems, path, are_many):
        # pycocotools raises an error for a mask without area.
        stops_scores = is_scored and issue.rule == FEW_POINTS
        report.issues.append(issue._replace(stops_run=issue.stops_run or stops_scores))
    text = ', '.join(f'{counts[name]} {name}' for name in classes)
    num_ignored = len(split.annotations) - counts.total()
    if num_ignored:
        text += f'; {num_ignored} ignored'
        if has_other_assigner(model) and not is_scored:
            report.notes.append(
                f'{path}: training takes ignored objects for background, because an assigner of '
                'the model has no ignore_iof_thr above 0'
            )
    report.summaries.append(f'{path}: {len(content["images"])} images; objects: {text}')
    pairs = zip(split.image_paths, split.sizes, strict=True)
    return [ImageFile(str(image), size) for image, size in pairs]


def read_content(path: str, is_scored: bool, report: Report) -> Content | None:
    """Return the lists of a COCO file, whose entries have all keys.

    Report another file, and return None.
    """
    content, problem = read_json(Path(path))
    if is_scored and isinstance(content, dict) and 'annotations' not in content:
        report.notes.append(
            f'{path} has no annotations, so predictions on its images cannot be scored'
        )
        content = {**content, 'annotations': []}
    missing = [problem] if problem else find_missing_keys(content, is_scored)
    if missing:
        report.issues.append(Issue(NOT_COCO, path, missing))
        return None
    return content


def has_other_assigner(model: ConfigDict) -> bool:
    """Return whether an assigner of the model takes ignored objects for background.

    Those without this setting do, such as all matchers of mmdet.
    """
    assigners = filter(None, (part.get('assigner') for part in iter_dicts(model)))
    return any(assigner.get('ignore_iof_thr', -1) <= 0 for assigner in assigners)


def make_split(dataset: BaseDataset, content: Content, classes: Sequence[str]) -> ObjectSplit:
    """Return the images with a valid size, and their objects of the config's classes."""
    images = [image for image in content['images'] if has_size(image)]
    image_ids = {image['id'] for image in images}
    category_ids = {each['id'] for each in content['categories'] if each['name'] in classes}
    objects = [
        entry
        for entry in content['annotations']
        if entry['category_id'] in category_ids and entry['image_id'] in image_ids
    ]
    folder = Path(dataset.data_prefix.get('img', ''))
    return ObjectSplit(folder, images, objects, content['categories'])
