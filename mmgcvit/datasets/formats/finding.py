"""Find the layout of the dataset in a folder, and read it."""

from dataclasses import replace
from pathlib import Path
from types import ModuleType

from ...errors import UserError, format_count, shorten
from ...files import suggest_folder
from ..layouts import (
    Folder,
    Match,
    choose_match,
    describe_left_out,
    describe_unread,
    get_split,
    list_files,
)
from ..records import DatasetInfo
from ..rules.judge import judge
from . import class_folders, coco, maps, voc, yolo

# Each format is a module with LAYOUTS, match_layouts and read_dataset. Annotation files count before
# maps, and both before class folders, as which the folders of other formats look.
STAGES = (
    {'COCO': coco, 'YOLO': yolo, 'Pascal VOC': voc},
    {'maps': maps},
    {'class folders': class_folders},
)
FORMATS = STAGES[0] | STAGES[1] | STAGES[2]
DETECT = 'detect'
KNOWN_FORMATS = (
    'COCO annotations (.json); YOLO (data.yaml, images and labels); Pascal VOC (Annotations/*.xml '
    'and JPEGImages); images and masks of the same names; or train/CLASS/*.jpg '
    '(docs/custom_dataset.md)'
)


def find_folder(path: str | Path) -> Path:
    """Return the folder of a dataset, given by itself, its data.yaml or its COCO file.

    Raise a UserError for other paths.
    """
    path = Path(path).expanduser()
    if path.is_dir():
        return path
    if not path.exists():
        raise UserError(f'there is no folder {path}{suggest_folder(path)}')
    suffix, parent = path.suffix.lower(), path.parent
    is_in_split = get_split(parent.name) is not None
    if suffix not in ('.yaml', '.yml', '.json') or (suffix == '.json' and is_in_split):
        folders = f'{parent.parent} or {parent}' if is_in_split else parent
        raise UserError(f'{path} is a file. Pass its folder, for example {folders}')
    is_in_annotations = suffix == '.json' and parent.name.lower() == 'annotations'
    return parent.parent if is_in_annotations else parent


def read_folder(path: str | Path, task: str | None = None) -> DatasetInfo:
    """Read a dataset of any known format, without images and annotations that cannot be used.

    Nothing is written into the folder. Boxes and polygons are in COCO's format.

    Args:
        path: The dataset's folder, or its data.yaml or COCO file (:func:`find_folder`).
        task: The option ``--task``: 'detect' (masks are not looked at), 'segment', 'semantic' or
            'classify'. Images with maps need 'semantic', or 'segment' or 'detect' for objects.

    Raises:
        UserError: The folder fits no layout or several, has too many errors, or is not read with
            the file ``path``.
    """
    path = Path(path).expanduser()
    folder = list_files(find_folder(path))
    data_format, match = find_match(folder)
    check_file(folder, path, match)
    dataset = data_format.read_dataset(folder, match, task)
    dataset = choose_annotation_types(dataset, task)
    if data_format in STAGES[0].values():  # the others name what they leave out
        dataset = dataset.add_notes(describe_unread(folder, dataset.splits.values()))
    return judge(dataset.add_notes(describe_left_out(folder)))


def find_match(folder: Folder) -> tuple[ModuleType, Match]:
    """Return the only format and layout that a folder fits.

    Raise a UserError if there is none or several.
    """
    misfits = []
    for formats in STAGES:
        # Folders that nearly fit another format are not those of classes.
        if misfits and 'class folders' in formats:
            break
        found = {}
        for data_format in formats.values():
            for match in data_format.match_layouts(folder):
                if match.misfit:
                    misfits.append(match)
                else:
                    found[match] = data_format
        match = choose_match(folder, list(found))
        if match:
            return found[match], match
    if misfits:
        nearest = max(misfits, key=lambda match: match.num_fitting)
        layout, hint = nearest.layout, ''
        top, *others = {file.parts[0] for file in folder.files}
        if not others and (folder.path / top).is_dir():
            hint = f' If the dataset is in {folder.path / top}, pass that folder.'
        raise UserError(
            f'{folder.path}: {nearest.misfit}.{hint} The layout of {layout.tools}:\n{layout.tree}'
        )
    count = format_count(len(folder.images), 'image')
    others = shorten(folder.list_files('.json', '.csv', '.txt', '.zip'))
    what = ' but no annotations'
    if others:
        what = f'. These files are not annotations of a known format: {others}'
    raise UserError(
        f'the folder {folder.path} has {count}{what}. Expected one of these: {KNOWN_FORMATS}'
    )


def check_file(folder: Folder, path: Path, match: Match) -> None:
    """Raise a UserError if a dataset is given by a file with which it is not read."""
    if path.is_dir() or any(path.samefile(folder.path / file) for file in match.files):
        return
    names = shorten(match.files) or 'no annotation file in YAML or JSON'
    raise UserError(
        f'{folder.path} is read with {names}, not with {path}. Pass the folder, or move them out '
        'of it'
    )


def choose_annotation_types(dataset: DatasetInfo, task: str | None) -> DatasetInfo:
    """Return the dataset with masks if more than nine of ten objects have one.

    The judge leaves out the others, which have only a box.
    """
    objects = [entry for split in dataset.splits.values() for entry in split.objects]
    num_masks = sum(bool(entry.get('segmentation')) for entry in objects)
    if num_masks == 0 or task == DETECT or dataset.annotation_types != ('boxes',):
        return dataset
    if num_masks > 0.9 * len(objects):
        return replace(dataset, annotation_types=('masks', 'boxes'))
    return dataset.add_notes(
        [f'only {num_masks} of {len(objects)} objects have a mask, so boxes are read']
    )
