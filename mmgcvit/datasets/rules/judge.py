"""Apply the rules to a dataset that a reader has read: leave out what breaks them, and say so."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

from ...errors import MANY, UserError, format_count, shorten
from ...files import compute_sha256
from ..decoding import read_sizes
from ..records import OBJECT_TYPES, DatasetInfo, ObjectSplit, Split, are_numbers
from .classes import check_class_names
from .coco import NO_OBJECTS
from .images import MAX_THREADS, UNUSABLE_NAME, check_image, has_unusable_name
from .objects import BOX_MASKS, get_edges, is_box_mask, is_outside, leave_out_wrong
from .rule import (
    MAX_UNUSABLE,
    Effect,
    Issue,
    Problems,
    Rule,
    make_folder_note,
    make_folder_rule,
    make_issues,
)

ROTATED_BOXES = make_folder_rule(
    'images annotated with their size before the EXIF rotation, but with boxes after it',
    'Export them again, or remove the rotation',
)
# Images are the same if their files have the same bytes, whatever their names. A link to an image
# is a copy of it.
SHARED_IMAGES = make_folder_note(
    'training images that are also in validation or test (left out of training)',
    'Keep them in one split',
)
REPEATED_IMAGES = make_folder_note(
    'images that a split has more than once (the first one is read)',
    'Keep the one with the right annotations',
)
CONTRADICTIONS = make_folder_rule(
    'images that a split has more than once, with other classes or boxes (the first one is read)',
    'List all objects of an image with one entry, and give a photo one class',
)
REPEATED_OBJECTS = Rule(
    'objects that are annotated more than once, with equal class, box (to 0.1 px) and, if masks are '
    'trained, mask (one is read)',
    'Remove the copies',
    in_folder=Effect.NOTED,
    in_config=Effect.NOTED,
)


def judge(dataset: DatasetInfo) -> DatasetInfo:
    """Return a dataset without images and objects that break a rule. Notes count and name them.

    Copies are looked for among readable images, since unreadable ones may all be the same error
    page of a server.

    Args:
        dataset: A dataset as a reader has read it, with the problems of what it could not parse.

    Raises:
        UserError: The dataset has no training split. The name of a class is empty, has control
            characters, or is that of another class. All training images are also in another split.
            More than a tenth of the images or of the objects are left out (equal copies do not
            count). No image of a split is left, or no object of its readable images.
    """
    check_has_training(dataset)
    check_class_names(dataset.folder, dataset.classes)
    problems = defaultdict(list)
    for rule, examples in dataset.problems.items():
        problems[rule] += examples
    with_masks = dataset.annotation_types[0] == 'masks'
    readable = {name: leave_out_images(split, problems) for name, split in dataset.splits.items()}
    splits = leave_out_copies(dataset.folder, readable, problems)
    for name, split in splits.items():
        if split.annotations:
            unrepeated = leave_out_repeated(split, with_masks, problems)
            splits[name] = leave_out_wrong(unrepeated, with_masks, problems)
    objects = [entry for split in splits.values() for entry in split.objects]
    if with_masks and objects and all(map(is_box_mask, objects)):
        problems[BOX_MASKS] = [f'all {len(objects)} objects']
    notes = report_left_out(dataset, problems, find_empty(readable, splits))
    if dataset.annotation_types[0] in OBJECT_TYPES and not splits['train'].objects:
        raise UserError(Issue(NO_OBJECTS, str(dataset.folder)).format())
    return dataset._replace(splits=splits).add_notes(notes)


def check_has_training(dataset: DatasetInfo) -> None:
    """Raise a UserError if a dataset has no training split. It names what could not be parsed."""
    if 'train' not in dataset.splits:
        names = ', '.join(dataset.splits) or 'none'
        message = f'{dataset.folder} has no images for training (splits: {names}). Add some'
        reasons = [issue.format() for issue in make_issues(dataset.problems, '')]
        raise UserError('\n  '.join([message, *reasons]))


def leave_out_images(split: Split, problems: Problems) -> Split:
    """Return a split without images that cannot be used, or whose boxes are rotated. Add them to
    ``problems``.
    """
    names = split.image_names
    paths = split.image_paths
    with ThreadPoolExecutor(MAX_THREADS) as pool:
        checked = list(pool.map(check_image, paths, split.sizes))
    usable = []
    for index, (rule, example, _) in enumerate(checked):
        if has_unusable_name(names[index]):
            rule = UNUSABLE_NAME
            example = str(paths[index])
        if rule:
            problems[rule].append(example)
        else:
            usable.append(index)
    split = split.select(usable)
    return leave_out_rotated(split, problems) if split.annotations else split


def leave_out_rotated(split: ObjectSplit, problems: Problems) -> ObjectSplit:
    """Return a split without images with the size before their EXIF rotation but boxes after it.
    Add them to ``problems``.

    Cameras store an image as the sensor has it, with a note to rotate it. Some labelling tools show
    the rotated image but write its size before the rotation. All such images are left out if,
    counted over all of them, more boxes are inside of the rotated image than of the stored one.
    """
    # How many more boxes are in the image after the rotation than before it, by the image's id.
    gains = Counter()
    for entry, image in split.iter_annotations():
        edges = get_edges(entry['bbox'])
        size = image['width'], image['height']
        if edges:
            gains[image['id']] += is_outside(edges, size)
            gains[image['id']] -= is_outside(edges, size[::-1])
    if max(gains.values(), default=0) <= 0:
        return split  # no need to read the files
    rotated = {}  # the paths of images by their ids
    for image, size, path in zip(split.images, split.sizes, split.image_paths, strict=True):
        before, after = read_sizes(path)
        if size == before != after:
            rotated[image['id']] = str(path)
    if sum(gains[image_id] for image_id in rotated) <= 0:
        return split
    problems[ROTATED_BOXES] += rotated.values()
    return split.select([i for i, image in enumerate(split.images) if image['id'] not in rotated])


def leave_out_copies(
    folder: Path, splits: Mapping[str, Split], problems: Problems
) -> dict[str, Split]:
    """Return splits without copies of images. Add them to ``problems``.

    Training lacks the images of other splits. Of the same images in one split, the first one stays.
    Raise a UserError if no training image is left.
    """
    contents = hash_similar([path for split in splits.values() for path in split.image_paths])
    held_out = {
        contents[path]
        for name, split in splits.items()
        if name != 'train'
        for path in split.image_paths
    }
    train = splits['train']
    kept = []
    for index, path in enumerate(train.image_paths):
        if contents[path] in held_out:
            problems[SHARED_IMAGES].append(str(path))
        else:
            kept.append(index)
    if train.image_names and not kept:
        raise UserError(
            f'{folder}: all training images are also in validation or test '
            f'({shorten(train.image_names)}). Put other images into one of the splits, or remove '
            'val: then a fifth of train is held out for it'
        )
    selected = {**splits, 'train': train.select(kept)}
    return {name: keep_first(split, contents, problems) for name, split in selected.items()}


def hash_similar(paths: Sequence[Path]) -> dict[Path, str]:
    """Return the SHA-256 of each file that may be a copy, because another one has its size.

    A file whose size no other one has is not read: its value is its path.
    """
    sizes = {path: path.stat().st_size for path in paths}
    counts = Counter(sizes.values())
    similar = [path for path in sizes if counts[sizes[path]] > 1]
    with ThreadPoolExecutor(MAX_THREADS) as pool:
        hashes = zip(similar, pool.map(compute_sha256, similar), strict=True)
        return {path: str(path) for path in paths} | dict(hashes)


def keep_first(split: Split, contents: Mapping[Path, str], problems: Problems) -> Split:
    """Return a split with the first image of each content. Add the others to ``problems``."""
    paths = split.image_paths
    first = {}  # the index of the first image with a content
    copies = []  # the indices of each copy, and of the first image
    for index, path in enumerate(paths):
        original = first.setdefault(contents[path], index)
        if original != index:
            copies.append((index, original))
    shown = list_contents(split) if copies else []
    for index, original in copies:
        rule = REPEATED_IMAGES if shown[index] == shown[original] else CONTRADICTIONS
        problems[rule].append(str(paths[index]))
    return split.select(first.values())


def list_contents(split: Split) -> list[set]:
    """Return what each image shows: its classes and, of objects, the boxes with theirs."""
    boxes = defaultdict(set)  # by the ids of images, which only objects have
    for annotation in split.annotations:
        key = annotation['category_id'], make_key(annotation['bbox'])
        boxes[annotation['image_id']].add(key)
    classes = split.list_classes()
    return [{*classes[i], *boxes[image.get('id')]} for i, image in enumerate(split.images)]


def make_key(box: Any) -> Any:
    """Return a box for comparisons: to 0.1 px, because computed boxes are not exact."""
    return tuple(round(value, 1) for value in box) if are_numbers(box) else str(box)


def leave_out_repeated(split: ObjectSplit, with_masks: bool, problems: Problems) -> ObjectSplit:
    """Return a split without repeated objects. Add them to ``problems``."""
    seen = defaultdict(list)  # the masks of equal objects
    first = []  # the objects to keep
    for annotation, image in split.iter_annotations():
        key = make_key(annotation['bbox'])
        is_crowd = annotation.get('iscrowd') or 0
        masks = seen[annotation['image_id'], annotation['category_id'], key, is_crowd]
        mask = None
        if with_masks:
            mask = annotation.get('segmentation') or None  # missing and empty ones are equal
        if mask in masks:
            problems[REPEATED_OBJECTS].append(
                f'annotation {annotation["id"]} of {image["file_name"]}'
            )
        else:
            masks.append(mask)
            first.append(annotation)
    return replace(split, annotations=first)


def find_empty(before: Mapping[str, Split], after: Mapping[str, Split]) -> str:
    """Return which objects or images are lacking, for example 'object of val', or ''.

    A split lacks objects if it had some before and has none now, and images if it has none now.
    """
    for name, split in after.items():
        if before[name].objects and not split.objects:
            return f'object of {name}'
        if not split.image_names:
            return f'image of {name}'
    return ''


def report_left_out(dataset: DatasetInfo, problems: Problems, empty: str) -> list[str]:
    """Return notes about what is left out, or read with a note.

    Args:
        dataset: The dataset as a reader has read it.
        problems: What breaks rules.
        empty: What is lacking (:func:`find_empty`), or ''.

    Raises:
        UserError: More than a tenth of the images or of the objects is left out, or a split is
            empty.
    """
    issues = make_issues(problems, '')
    notes = [issue.format() for issue in issues if issue.rule.in_folder == Effect.NOTED]
    left_out = [issue for issue in issues if issue.rule.in_folder != Effect.NOTED]
    if not left_out:
        if empty:
            raise UserError(f'{dataset.folder} has no {empty}. Add some, or remove the split')
        return notes
    totals = count_units(dataset)
    counts = Counter()
    for issue in left_out:
        counts[issue.rule.unit] += len(issue.examples)
    text = ', '.join(
        f'{format_count(number, "problem")} in {format_count(totals[unit], unit)}'
        for unit, number in sorted(counts.items())
    )
    named = ''.join(f'\n  {issue.format(MANY)}' for issue in left_out)
    if empty:
        reason = f'No {empty} can be used'
    elif any(counts[unit] > MAX_UNUSABLE * totals[unit] for unit in counts):
        reason = 'mmgcvit leaves out at most a tenth of the images and of the objects'
    else:
        return [*notes, f'{text}. These images and annotations are left out:{named}']
    raise UserError(f'{dataset.folder}: {text}. {reason}. Repair or remove these:{named}')


def count_units(dataset: DatasetInfo) -> Counter[str]:
    """Return the number of images and of objects in a dataset, as a reader has read it.

    What the reader could not parse is in no split, but counts among them.
    """
    counts = Counter()
    for split in dataset.splits.values():
        counts.update(image=len(split.image_names), object=len(split.annotations))
    for rule, examples in dataset.problems.items():
        if rule.in_folder != Effect.NOTED:
            counts[rule.unit] += len(examples)
    return counts
