"""Find the layout of the dataset in a folder, and read it."""

from collections.abc import Sequence
from pathlib import Path

from ...errors import UserError, format_count, shorten
from ...files import find_folder
from ..folders import Folder, describe_left_out, scan_folder
from ..layouts import Match
from ..records import DatasetInfo
from ..rules.judge import judge
from . import class_folders, coco, maps, voc, yolo

# Each format is a module with LAYOUTS and match_layouts. Annotation files count before maps, and
# both before class folders, as which the folders of other formats look.
ANNOTATIONS = {'COCO': coco, 'YOLO': yolo, 'Pascal VOC': voc}
FORMATS = {**ANNOTATIONS, 'maps': maps, 'class folders': class_folders}
CONVERT_LABELME = (
    'Convert them, and pass the folder YOLODataset that this writes: pip install labelme2yolo; '
    'labelme2yolo --json_dir FOLDER --output_format polygon --val_size 0'
)
KNOWN_FORMATS = (
    'COCO annotations (.json); YOLO (data.yaml, images and labels); Pascal VOC (Annotations/*.xml '
    'and JPEGImages); images and masks of the same names; or train/CLASS/*.jpg '
    '(docs/custom_dataset.md)'
)


def read_folder(path: str | Path, task: str | None = None) -> DatasetInfo:
    """Read a dataset of any known format, without images and annotations that cannot be used.

    Nothing is written into the folder. Boxes and polygons are in COCO's format.

    Args:
        path: The dataset's folder.
        task: The option ``--task``: 'detect' (masks of annotation files are not judged), 'segment',
            'semantic' or 'classify'. Images with maps need 'semantic' or 'segment', unless their
            layout says which; one of semantic maps also needs the names of the classes.

    Raises:
        UserError: The folder fits no layout or several, or has too many errors.
    """
    folder = scan_folder(find_folder(path))
    dataset = choose_annotation_types(find_match(folder).read(task), task)
    return judge(dataset.add_notes(describe_left_out(folder, dataset)))


def find_match(folder: Folder) -> Match:
    """Return the layout that a folder fits.

    Raise a UserError if there is none, or several of annotation files or of maps.
    """
    misfits = []
    for formats in (ANNOTATIONS.values(), [maps], [class_folders]):
        if misfits and formats == [class_folders]:
            break  # a folder that nearly fits another format does not have class folders
        matches = [match for module in formats for match in module.match_layouts(folder)]
        fitting = [match for match in matches if not match.misfit]
        if len(fitting) > 1:
            names = '; '.join(match.layout.tools for match in fitting)
            raise UserError(
                f'{folder.path} fits several layouts ({names}). Keep one of them, and move the '
                'files of the others out of the folder (docs/data_layouts.md)'
            )
        if fitting:
            return fitting[0]
        misfits += matches
    raise UserError(describe_nearest(folder, misfits) if misfits else describe_unknown(folder))


def describe_nearest(folder: Folder, misfits: Sequence[Match]) -> str:
    """Return why a folder does not fit the nearest layout, and its tree."""
    nearest = max(misfits, key=lambda match: match.closeness)
    hint = ''
    top, *others = {file.parts[0] for file in folder.files}
    if not others and (folder.path / top).is_dir():
        hint = f', or pass the folder of the dataset, such as {folder.path / top}'
    layout = nearest.layout
    return f'{folder.path}: {nearest.misfit}{hint}. The layout of {layout.tools}:\n{layout.tree}'


def describe_unknown(folder: Folder) -> str:
    """Return what is in a folder that fits no layout, and what is expected."""
    for file in folder.list_files('.json')[:1]:
        path = folder.path / file
        if path.is_file() and '"shapes"' in path.read_text(errors='replace'):
            return f'{folder.path} has the JSON files of labelme. {CONVERT_LABELME}'
    others = shorten(folder.list_files('.json', '.csv', '.txt', '.zip'))
    what = ' but no annotations'
    if others:
        what = f'. These files are not annotations of a known format: {others}'
    return (
        f'the folder {folder.path} has {format_count(len(folder.images), "image")}{what}. Expected '
        f'one of these: {KNOWN_FORMATS}'
    )


def choose_annotation_types(dataset: DatasetInfo, task: str | None) -> DatasetInfo:
    """Return the dataset with masks if more than nine of ten objects have one.

    The judge leaves out the objects that have only a box. The dataset is returned unchanged if no
    object has a mask, or if the task is 'detect'. Raise a UserError if fewer objects have one and
    the task is 'segment'. (If none has, ``plan`` raises one.)
    """
    objects = [entry for split in dataset.splits.values() for entry in split.objects]
    num_masks = sum(bool(entry.get('segmentation')) for entry in objects)
    if num_masks == 0 or task == 'detect':
        return dataset
    if num_masks > 0.9 * len(objects):
        return dataset._replace(annotation_types=('masks', 'boxes'))
    reason = f'only {num_masks} of {len(objects)} objects have a mask'
    if task == 'segment':
        raise UserError(f'{dataset.folder}: {reason}. Draw the others, or use --task detect')
    return dataset.add_notes([f'{reason}, so boxes are read'])
