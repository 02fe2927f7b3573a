"""Find the layout of the dataset in a folder, and read it."""

from dataclasses import replace
from pathlib import Path

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

# The layouts of each format, how a folder is recognised, and how it is read. Annotation files count
# before maps, and both before class folders, as which the folders of other formats look.
ANNOTATION_FORMATS = {
    'COCO': (coco.LAYOUTS, coco.match_coco, coco.read_coco),
    'YOLO': (yolo.LAYOUTS, yolo.match_yolo, yolo.read_yolo),
    'Pascal VOC': (voc.LAYOUTS, voc.match_voc, voc.read_voc),
}
MAPS = {'maps': (maps.LAYOUTS, maps.match_maps, maps.read_maps)}
CLASS_FOLDERS = {
    'class folders': (
        class_folders.LAYOUTS,
        class_folders.match_class_folders,
        class_folders.read_class_folders,
    )
}
FORMATS = ANNOTATION_FORMATS | MAPS | CLASS_FOLDERS
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
    suffix = path.suffix.lower()
    is_in_split = get_split(path.parent.name) is not None
    if suffix not in ('.yaml', '.yml', '.json') or (suffix == '.json' and is_in_split):
        folders = f'{path.parent.parent} or {path.parent}' if is_in_split else path.parent
        raise UserError(f'{path} is a file. Pass its folder, for example {folders}')
    is_in_annotations = suffix == '.json' and path.parent.name.lower() == 'annotations'
    return path.parent.parent if is_in_annotations else path.parent


def read_folder(path: str | Path, task: str | None = None) -> DatasetInfo:
    """Read a dataset of any known format, without images and annotations that cannot be used.

    Nothing is written into the folder. Boxes and polygons are in COCO's format.

    Args:
        path: The dataset's folder, or its data.yaml or COCO file (:func:`find_folder`).
        task: The option ``--task``: 'detect' (masks are not looked at), 'segment', 'semantic' or
            'classify'. Images with maps need 'segment' or 'semantic'.

    Raises:
        UserError: The folder fits no layout or several, has too many errors, or is not read with
            the file ``path``.
    """
    path = Path(path).expanduser()
    folder = list_files(find_folder(path))
    name, match = find_match(folder)
    check_file(folder, path, match)
    _, _, read = FORMATS[name]
    dataset, problems, box_format = read(folder, match, task)
    if name in ANNOTATION_FORMATS:
        dataset = choose_annotation_types(dataset, task)
    if name in ('COCO', 'Pascal VOC'):  # the others name what they leave out
        dataset = dataset.add_notes(describe_unread(folder, dataset.splits.values()))
    dataset = dataset.add_notes(describe_left_out(folder))
    return judge(dataset, problems, box_format)


def find_match(folder: Folder) -> tuple[str, Match]:
    """Return the only format and layout that a folder fits.

    Raise a UserError if there is none or several.
    """
    misfits = []
    for formats in (ANNOTATION_FORMATS, MAPS, CLASS_FOLDERS):
        if formats is CLASS_FOLDERS and misfits:
            break
        matches, names = [], {}
        for name, (_, match_layouts, _) in formats.items():
            found = match_layouts(folder)
            misfits += [match for match in found if match.misfit]
            matches += [match for match in found if not match.misfit]
            names |= dict.fromkeys([match.layout for match in found], name)
        match = choose_match(folder, matches)
        if match:
            return names[match.layout], match
    choose_match(folder, misfits)
    count = format_count(len(folder.images), 'image')
    others = shorten([str(file) for file in folder.list_files('.json', '.csv', '.txt', '.zip')])
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
    names = shorten([str(file) for file in match.files]) or 'no annotation file in YAML or JSON'
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
    if task == DETECT or num_masks <= 0.9 * len(objects):
        return dataset
    return replace(dataset, annotation_types=('masks', 'boxes'))
