"""Apply the rules to a dataset that a reader has read, and execute the effects of broken ones.

The functions that look for what breaks rules return findings, and change nothing:

* the readers: those in ``parsing.py``, and some in ``coco.py`` and ``images.py``
  (``DatasetInfo.findings``);
* ``find_unusable_images`` here, ``copies.py`` and ``origins.py``: those for images;
* ``objects.py``: those for objects;
* ``classes.py``: those for classes.

Here the effect of each finding's rule is executed (:class:`.rule.FolderEffect`): images and objects
are left out or kept, notes name them, or the dataset is rejected.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import PurePath

from ....datasets.annotations import Box
from ....datasets.decoding import MAX_THREADS
from ....datasets.opening import read_sizes
from ....datasets.rules.coco import NO_OBJECTS
from ....datasets.rules.images import check_image
from ....datasets.rules.objects import (
    ObjectFindings,
    find_corner_boxes,
    find_repeated_objects,
    find_wrong_objects,
    is_outside,
)
from ....datasets.rules.rule import MAX_UNUSABLE, Finding, FolderEffect, Issue, make_issues
from ....errors import MANY, UserError, format_count
from ..layouts import get_split
from ..object_records import AnySplit, ObjectImage, ObjectSplit
from ..records import DatasetInfo, Split
from .classes import find_wrong_names
from .copies import (
    check_training_differs,
    find_contradicting_splits,
    find_copies,
    find_divided_series,
    hash_similar,
)
from .findings import format_findings, reject_broken
from .folder_rules import make_folder_rule
from .images import UNUSABLE_NAME, ImageFindings, has_unusable_name
from .objects import find_box_masks, find_crowd_masks, find_maskless_copies
from .origins import UNCORRECTED, find_uncorrected

ROTATED_BOXES = make_folder_rule(
    'images annotated with their size before the EXIF rotation, but with boxes after it',
    'Export them again, or remove the rotation',
)
Unit = tuple[str, str]  # 'image' or 'object', and the name of a split or ALL
ALL = ''  # stands for all splits together
# An image or an object with such an effect is not in the splits any more.
LEAVING_OUT = (FolderEffect.LEFT_OUT, FolderEffect.DROPPED)


def judge_masks(dataset: DatasetInfo) -> DatasetInfo:
    """Return a dataset in which masks that CVAT's brush has drawn are objects, not crowds, and
    without the objects without a mask that are there with one too.

    This is before :func:`judge`, because the types of annotations depend on it.
    """
    changed = execute_effects(dataset, find_crowd_masks(dataset.object_splits))
    copies = {
        name: find_maskless_copies(split.images) for name, split in changed.object_splits.items()
    }
    return execute_effects(changed, copies)


def execute_effects(dataset: DatasetInfo, found: Mapping[str, ObjectFindings]) -> DatasetInfo:
    """Return a dataset in which the effects of rules for objects are executed (``found`` by split),
    and which has the findings.
    """
    splits = {
        **dataset.splits,
        **{
            name: change_objects(split, found[name])
            for name, split in dataset.object_splits.items()
        },
    }
    findings = [*dataset.findings, *(each for own in found.values() for each in own.values())]
    return replace(dataset, splits=splits, findings=findings)


def judge(dataset: DatasetInfo) -> DatasetInfo:
    """Return the dataset of a folder without images and objects that break a rule. Notes count and
    name them.

    Images are not compared with each other: :func:`judge_together` does this.

    Args:
        dataset: A dataset as a reader has read it, with the findings of what it could not parse.

    Raises:
        UserError: The dataset has no training split. Boxes are those of two corners. The name of a
            class is empty, has control characters, or is that of another class. More than a tenth
            of the images or of the objects of a split are left out. No image of a split is left, or
            no object of its readable images.
    """
    check_has_training(dataset)
    reject_broken(find_wrong_names(dataset.place, dataset.classes))
    for object_split in dataset.object_splits.values():
        place = object_split.annotation_file or object_split.image_folder
        reject_broken(find_corner_boxes(object_split.images, place), dataset.place)
    with_masks = dataset.annotation_types[0] == 'masks'
    by_split = {
        name: judge_split(name, split, with_masks) for name, split in dataset.splits.items()
    }
    findings = [*dataset.findings, *(each for own in by_split.values() for each in own.findings)]
    readable = {name: own.readable for name, own in by_split.items()}
    splits = {name: own.split for name, own in by_split.items()}
    judged = replace(dataset, splits=splits)
    if with_masks:
        findings += find_box_masks(judged.object_splits)
    reject_broken(findings, dataset.place)
    notes = report_findings(dataset, findings, find_empty(readable, splits))
    reject_broken(find_no_objects(judged), dataset.place)
    return judged.add_notes(notes)


@dataclass(frozen=True)
class JudgedSplit:
    """A split without what breaks rules."""

    readable: Split  # without images that cannot be used
    split: Split  # also without objects that break a rule
    findings: list[Finding]


def judge_split(name: str, split: Split, with_masks: bool) -> JudgedSplit:
    """Return a split of a folder without images and objects that break a rule.

    Masks are judged only ``with_masks``.
    """
    unusable = find_unusable_images(split)
    readable = select_images(split, unusable)
    if not isinstance(readable, ObjectSplit):
        return JudgedSplit(readable, readable, note_split(unusable.values(), name))
    rotated = find_rotated_images(readable)
    upright = select_images(readable, rotated)
    repeated = find_repeated_objects(upright.images, with_masks)
    single = change_objects(upright, repeated)
    wrong = find_wrong_objects(single.images, with_masks)
    found = [*unusable.values(), *rotated.values(), *repeated.values(), *wrong.values()]
    return JudgedSplit(upright, change_objects(single, wrong), note_split(found, name))


def judge_together(dataset: DatasetInfo, *, pseudo_labels: bool = False) -> DatasetInfo:
    """Return a judged dataset, of one folder or of several, without copies of images, and without
    those whose labels a model made. Notes count and name them.

    Copies are looked for among readable images, since unreadable ones may all be the same error
    page of a server.

    Args:
        dataset: A dataset from :func:`judge`, or several that were united.
        pseudo_labels: Whether images with uncorrected labels stay in training.

    Raises:
        UserError: Nobody has corrected the labels of any training image. All training images are
            also in another split. No image of a split, or no object for training, is left.
    """
    with_masks = dataset.annotation_types[0] == 'masks'
    findings: list[Finding] = []
    corrected = {}
    for name, split in dataset.splits.items():
        uncorrected = find_uncorrected(split, name, pseudo_labels=pseudo_labels)
        findings += note_split(uncorrected.values(), name)
        split = select_images(split, uncorrected)
        if split.images or name == 'train' or not uncorrected:
            corrected[name] = split
    check_has_corrected(dataset, corrected['train'])
    paths = [path for split in corrected.values() for path in split.image_paths]
    contents = hash_similar(paths, dataset.digests)
    check_training_differs(dataset.place, corrected, contents)
    findings += find_contradicting_splits(corrected, contents, with_masks)
    splits = {}
    for name, copies in find_copies(corrected, contents, with_masks).items():
        findings += note_split(copies.values(), name)
        splits[name] = select_images(corrected[name], copies)
    findings += find_divided_series(splits)
    judged = replace(dataset, splits=splits)
    notes = report_findings(dataset, findings, find_empty(corrected, splits))
    reject_broken(find_no_objects(judged), dataset.place)
    return judged.add_notes(notes)


def check_has_corrected(dataset: DatasetInfo, train: Split) -> None:
    """Raise a UserError if all images for training are left out because of their labels.

    ``train`` is the split without them.
    """
    if dataset.splits['train'].images and not train.images:
        num_images = len(dataset.splits['train'].images)
        raise UserError(
            f'{dataset.place}: nobody has corrected the labels of '
            f'{format_count(num_images, "training image")}, which {" and ".join(dataset.models)} '
            f'made. {UNCORRECTED.remedy}'
        )


def note_split(findings: Iterable[Finding], split: str) -> list[Finding]:
    """Return findings with the split in which they were found."""
    return [replace(finding, split=split) for finding in findings]


def check_has_training(dataset: DatasetInfo) -> None:
    """Raise a UserError if a dataset has no training split. It names what could not be parsed."""
    if 'train' not in dataset.splits:
        names = ', '.join(dataset.splits) or 'none'
        message = f'{dataset.place} has no images for training (splits: {names}). Add some'
        raise UserError('\n  '.join([message, *format_findings(dataset.findings)]))


def find_unusable_images(split: Split) -> dict[int, Finding]:
    """Return the images that cannot be used, by their indices."""
    paths = split.image_paths
    sizes = [image.size if isinstance(image, ObjectImage) else None for image in split.images]
    found = {}
    with ThreadPoolExecutor(MAX_THREADS) as pool:
        for index, check in enumerate(pool.map(check_image, paths, sizes)):
            if has_unusable_name(split.images[index].name):
                found[index] = Finding(UNUSABLE_NAME, str(paths[index]))
            elif check.finding:
                found[index] = check.finding
    return found


def find_rotated_images(split: ObjectSplit) -> dict[int, Finding]:
    """Return the images that break :data:`ROTATED_BOXES`, by their indices.

    Cameras store an image as the sensor has it, with a note to rotate it. Some labelling tools show
    the rotated image but write its size before the rotation. All such images are found if, counted
    over all of them, more boxes are inside of the rotated image than of the stored one.
    """
    gains = [count_gain(image) for image in split.images]
    if max(gains, default=0) <= 0:
        return {}  # no need to read the files
    rotated = {}
    for index, (image, path) in enumerate(zip(split.images, split.image_paths, strict=True)):
        sizes = read_sizes(path)
        if image.size == sizes.stored != sizes.upright:
            rotated[index] = Finding(ROTATED_BOXES, str(path))
    are_outside = sum(gains[index] for index in rotated) > 0
    return rotated if are_outside else {}


def count_gain(image: ObjectImage) -> int:
    """Return how many more boxes are in an image with width and height swapped."""
    width, height = image.size
    gain = 0
    for each in image.objects:
        if isinstance(each.box, Box):
            gain += is_outside(each.box.edges, (width, height))
            gain -= is_outside(each.box.edges, (height, width))
    return gain


def select_images(split: AnySplit, found: ImageFindings) -> AnySplit:
    """Return a split without the images that are left out by the effects of the rules they break."""
    left_out = {index for index, finding in found.items() if finding.rule.in_folder in LEAVING_OUT}
    return split.select(set(range(len(split.images))) - left_out)


def change_objects(split: ObjectSplit, found: ObjectFindings) -> ObjectSplit:
    """Return a split in which the effects of rules for objects are executed: they are left out, or
    are not ignored any more.
    """
    if not found:
        return split
    images = []
    for image_index, image in enumerate(split.images):
        objects = []
        for object_index, each in enumerate(image.objects):
            finding = found.get((image_index, object_index))
            effect = finding.rule.in_folder if finding else None
            if effect in LEAVING_OUT:
                continue
            if effect is FolderEffect.READ_AS_OBJECT:
                each = replace(each, is_ignored=False, is_crowd=False)
            objects.append(each)
        images.append(replace(image, objects=objects))
    return replace(split, images=images)


@dataclass(frozen=True)
class Lacking:
    """What a split has none of."""

    unit: str  # 'image' or 'object'
    split: str

    def __str__(self) -> str:
        return f'{self.unit} of {self.split}'


def find_empty(before: Mapping[str, Split], after: Mapping[str, Split]) -> Lacking | None:
    """Return which objects or images are lacking, or None.

    A split lacks objects if it had some before and has none now, and images if it has none now.
    """
    for name, split in after.items():
        had_objects = isinstance(before[name], ObjectSplit) and before[name].objects
        if isinstance(split, ObjectSplit) and had_objects and not split.objects:
            return Lacking('object', name)
        if not split.images:
            return Lacking('image', name)
    return None


def find_no_objects(dataset: DatasetInfo) -> list[Finding]:
    """Return a finding if the images for training have no objects, though the dataset is of
    objects.
    """
    train = dataset.splits['train']
    if isinstance(train, ObjectSplit) and not train.objects:
        message = Issue(NO_OBJECTS, dataset.place).format()
        return [Finding(NO_OBJECTS, dataset.place, message)]
    return []


def report_findings(
    dataset: DatasetInfo, findings: Sequence[Finding], empty: Lacking | None
) -> list[str]:
    """Return notes about what is left out, or read with a note.

    Args:
        dataset: The dataset as a reader has read it.
        findings: What breaks rules.
        empty: What is lacking (:func:`find_empty`), or None.

    Raises:
        UserError: More than a tenth of the images or of the objects of a split is left out, or a
            split is empty.
    """
    are_counted = FolderEffect.LEFT_OUT
    counted = [each for each in findings if each.rule.in_folder is are_counted]
    notes = format_findings(each for each in findings if each.rule.in_folder is not are_counted)
    if not counted:
        if empty:
            raise UserError(f'{dataset.place} has no {empty}. Add some, or remove the split')
        return notes
    totals = count_units(dataset)
    counts = count_findings(counted, dataset)
    text = ', '.join(
        f'{format_count(counts[unit, ALL], "problem")} in {format_count(totals[unit, ALL], unit)}'
        for unit in sorted({each.rule.unit for each in counted})
    )
    exceeded = {
        f'{counts[unit, split]} of {format_count(totals[unit, split], unit)} in {split or "all"}'
        for unit, split in counts
        if counts[unit, split] > MAX_UNUSABLE * totals[unit, split]
    }
    named = ''.join(f'\n  {issue.format(MANY)}' for issue in make_issues(counted))
    if empty:
        reason = f'No {empty} can be used'
    elif exceeded:
        reason = (
            'mmgcvit leaves out at most a tenth of the images and of the objects of a split, here '
            f'{", ".join(sorted(exceeded))}'
        )
    else:
        return [*notes, f'{text}. These images and annotations are left out:{named}']
    raise UserError(f'{dataset.place}: {text}. {reason}. Repair or remove these:{named}')


def count_units(dataset: DatasetInfo) -> Counter[Unit]:
    """Return the number of images and of objects in each split of a dataset, and in all of it, as a
    reader has read it.

    What the reader could not parse is not in the splits, but counts among them.
    """
    left_out = FolderEffect.LEFT_OUT
    unparsed = [each for each in dataset.findings if each.rule.in_folder is left_out]
    counts = count_findings(unparsed, dataset)
    for name, split in dataset.splits.items():
        for place in (name, ALL):
            counts['image', place] += len(split.images)
            if isinstance(split, ObjectSplit):
                counts['object', place] += split.num_annotations
    return counts


def count_findings(findings: Iterable[Finding], dataset: DatasetInfo) -> Counter[Unit]:
    """Return the number of findings by their unit in each split of a dataset, and in all of it."""
    counts: Counter[Unit] = Counter()
    for finding in findings:
        split = finding.split or find_split(finding.example, dataset)
        for place in {split, ALL}:
            counts[finding.rule.unit, place] += 1
    return counts


def find_split(example: str, dataset: DatasetInfo) -> str:
    """Return the split whose folder is in the path at the start of an example, or :data:`ALL`.

    This is for files that belong to nothing, such as a map without an image.
    """
    inside = example.removeprefix(f'{dataset.folder}/')
    splits = map(get_split, PurePath(inside).parts[:-1])
    return next((split for split in splits if split in dataset.splits), ALL)
