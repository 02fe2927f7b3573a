"""Find the layout of the dataset in each folder, read it, and unite the datasets."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType

from ....errors import UserError, format_count, shorten
from ..folders import MARK, Folder, describe_left_out, find_folder, scan_folder
from ..layouts import Match, Misfit
from ..origins import mark_uncorrected
from ..records import DatasetInfo
from ..rules.judge import judge, judge_masks, judge_together
from ..rules.objects import are_turned_rectangles
from ..uniting import check_different, unite
from . import class_folders, coco, maps, voc, yolo
from .foreign import explain_label_studio, explain_labelme, explain_mot

# Each format is a module with LAYOUTS and match_layouts. Annotation files count before maps, and
# both before class folders, as which the folders of other formats look.
ANNOTATIONS = {'COCO': coco, 'YOLO': yolo, 'Pascal VOC': voc}
MAPS = {'maps': maps}
CLASS_FOLDERS = {'class folders': class_folders}
FORMATS = {**ANNOTATIONS, **MAPS, **CLASS_FOLDERS}
# What says that a folder is one of a tool whose files are not read
FOREIGN = (explain_label_studio, explain_mot)
KNOWN_FORMATS = (
    'COCO annotations (.json); YOLO (data.yaml, images and labels); Pascal VOC (Annotations/*.xml '
    'and JPEGImages); images and masks of the same names; or train/CLASS/*.jpg '
    '(docs/custom_dataset.md)'
)


def read_folder(
    path: str | Path, task: str | None = None, *, pseudo_labels: bool = False
) -> DatasetInfo:
    """Read a dataset of any known format, as :func:`read_folders` reads several."""
    return read_folders([path], task, pseudo_labels=pseudo_labels)


def read_folders(
    paths: Sequence[str | Path],
    task: str | None = None,
    *,
    pseudo_labels: bool = False,
    similar_classes: str | None = None,
) -> DatasetInfo:
    """Read the datasets in folders, each of any known format, and unite them.

    Images and annotations that cannot be used are left out. Nothing is written into the folders.
    Boxes and polygons are in COCO's format.

    Args:
        paths: The folders, at least one.
        task: The option ``--task``: 'detect' (masks of annotation files are not judged), 'segment',
            'semantic' or 'classify'. Images with maps need 'semantic' or 'segment', unless their
            layout says which; one of semantic maps also needs the names of the classes.
        pseudo_labels: Whether training has images whose labels a model made and nobody has
            corrected. Validation and test never have them.
        similar_classes: The option ``--similar-classes``, for classes of several folders whose
            names are nearly equal: a key of :data:`.similar_names.ANSWERS`, or None to ask.

    Raises:
        UserError: A folder fits no layout or several, has too many errors, or cannot be united with
            the others. An option is for other folders than these.
    """
    folders = [find_folder(path) for path in paths]
    check_different(folders)
    datasets = [read_alone(folder, task) for folder in folders]
    check_options(datasets, pseudo_labels=pseudo_labels, similar_classes=similar_classes)
    united = unite(datasets, similar_classes)
    if united.annotation_types == ('classes',) and len(united.classes) == 1:
        raise UserError(
            f'{united.place} has only the class {united.classes[0]}. A classifier needs two or '
            'more: add a folder of images of the others (train --data A --data B)'
        )
    return judge_together(united, pseudo_labels=pseudo_labels)


def check_options(
    datasets: Sequence[DatasetInfo], *, pseudo_labels: bool, similar_classes: str | None
) -> None:
    """Raise a UserError for an option that says nothing about these datasets."""
    place = ' and '.join(dataset.place for dataset in datasets)
    if pseudo_labels and not any(dataset.models for dataset in datasets):
        raise UserError(
            f'--pseudo-labels is for folders of predict --labels, which have {MARK}, and {place} '
            f'{"has" if len(datasets) == 1 else "have"} none. Remove it'
        )
    if similar_classes and len(datasets) == 1:
        raise UserError(
            f'--similar-classes is for several folders (--data A --data B), and {place} is one. '
            'Remove it'
        )


def read_alone(path: Path, task: str | None) -> DatasetInfo:
    """Read the dataset of a folder, without what breaks the rules for a single image or object."""
    folder = scan_folder(path)
    fitting = find_match(folder)
    dataset = judge_masks(fitting.match.read(task))
    dataset = choose_annotation_types(dataset, task)
    dataset = mark_uncorrected(dataset)
    notes = [*fitting.notes, *describe_left_out(folder, dataset)]
    return judge(dataset.add_notes(notes))


@dataclass(frozen=True)
class Fitting:
    """The layout that a folder fits, and notes about annotation files that are not read."""

    match: Match
    notes: Sequence[str] = ()


def find_match(folder: Folder) -> Fitting:
    """Return the layout that a folder fits.

    Raise a UserError if there is none, or several of annotation files or of maps.
    """
    annotations = match_formats(folder, ANNOTATIONS)
    if annotations.match:
        return Fitting(annotations.match)
    maps = match_formats(folder, MAPS)
    if maps.match:
        notes = [f'annotation files are not read: {each.reason}' for each in annotations.misfits]
        return Fitting(maps.match, [*notes, *coco.describe_damaged(folder)])
    misfits = [*annotations.misfits, *maps.misfits]
    if not misfits:  # a folder that nearly fits another format does not have class folders
        classes = match_formats(folder, CLASS_FOLDERS)
        if classes.match:
            return Fitting(classes.match, coco.describe_damaged(folder))
        misfits = classes.misfits
    for explain in FOREIGN:
        reason = explain(folder)
        if reason:
            raise UserError(reason)
    raise UserError(describe_misfits(folder, misfits) if misfits else describe_unknown(folder))


@dataclass(frozen=True)
class FormatsMatch:
    """The only layout of several formats that a folder fits, or why it fits none."""

    match: Match | None
    misfits: list[Misfit]


def match_formats(folder: Folder, formats: Mapping[str, ModuleType]) -> FormatsMatch:
    """Compare a folder with the layouts of several formats.

    Raise a UserError if it fits several.
    """
    fits = [module.match_layouts(folder) for module in formats.values()]
    matches = [match for fit in fits for match in fit.matches]
    misfits = [fit.misfit for fit in fits if fit.misfit]
    if len(matches) > 1:
        names = '; '.join(match.layout.tools for match in matches)
        raise UserError(
            f'{folder.path} fits several layouts ({names}). Keep one of them, and move the '
            'files of the others out of the folder (docs/data_layouts.md)'
        )
    return FormatsMatch(matches[0] if matches else None, misfits)


def describe_misfits(folder: Folder, misfits: Sequence[Misfit]) -> str:
    """Return why a folder fits no layout of each format that it nearly fits, with a layout's tree."""
    hint = ''
    top, *others = {file.parts[0] for file in folder.files}
    if not others and (folder.path / top).is_dir():
        hint = f', or pass the folder of the dataset, such as {folder.path / top}'
    return '\n'.join(
        f'{folder.path}: {misfit.reason}{hint}. The layout of {misfit.layout.tools}:\n'
        f'{misfit.layout.tree}'
        for misfit in misfits
    )


def describe_unknown(folder: Folder) -> str:
    """Return what is in a folder that fits no layout, and what is expected."""
    labelme = explain_labelme(folder)
    if labelme:
        return labelme
    others = shorten(folder.list_files('.json', '.csv', '.txt', '.zip'))
    what = ' but no annotations'
    if others:
        what = f'. These files are not annotations of a known format: {others}'
    return (
        f'the folder {folder.path} has {format_count(len(folder.images), "image")}{what}. Expected '
        f'one of these: {KNOWN_FORMATS}'
    )


def choose_annotation_types(dataset: DatasetInfo, task: str | None) -> DatasetInfo:
    """Return the dataset with masks if more than nine of ten objects of each split have one.

    The judge leaves out the objects that have only a box. The dataset is returned unchanged if no
    object has a mask, or if the task is 'detect'. Raise a UserError if fewer objects have one and
    the task is 'segment', or if all masks are rotated rectangles and no task is given.
    """
    nums_masks = {
        name: sum(each.mask is not None for each in split.objects)
        for name, split in dataset.object_splits.items()
    }
    if not any(nums_masks.values()) or task == 'detect':
        return dataset
    masks = [each.mask for split in dataset.object_splits.values() for each in split.objects]
    masks = [mask for mask in masks if mask is not None]
    if task is None and are_turned_rectangles(masks):
        raise UserError(
            f'{dataset.folder}: all {len(masks)} outlines are rotated rectangles of four corners, '
            'as YOLO OBB has them. Add --task detect to train the boxes that enclose them, or '
            '--task segment to train the rectangles as masks'
        )
    lacking = [
        f'in {name}, only {nums_masks[name]} of {len(split.objects)} objects have a mask'
        for name, split in dataset.object_splits.items()
        if split.objects and nums_masks[name] <= 0.9 * len(split.objects)
    ]
    if not lacking:
        return replace(dataset, annotation_types=('masks', 'boxes'))
    reason = ', '.join(lacking)
    if task == 'segment':
        raise UserError(f'{dataset.folder}: {reason}. Draw the others, or use --task detect')
    return dataset.add_notes([f'{reason}, so boxes are read'])
