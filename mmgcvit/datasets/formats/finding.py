"""Detect the format of the dataset in a folder, and read it."""

import os
from collections import defaultdict
from functools import cache
from pathlib import Path

from ...errors import UserError, format_count, shorten
from ...files import IMAGE_SUFFIXES, read_text, suggest_folder
from .cleaning import check_class_names, leave_out_unusable
from .coco import load_contents, read_coco
from .dataset_info import DatasetInfo
from .folders import read_class_folders, read_maps
from .paths import SPLIT_NAME, find_split, list_files
from .voc import NO_IMAGE_FOLDERS, read_voc
from .yolo import find_label_file, read_yolo

AUXILIARY = '.aux.xml'  # files that GDAL writes beside images
KNOWN_FORMATS = (
    'COCO annotations (.json); YOLO (data.yaml, images and labels); Pascal VOC (Annotations/*.xml '
    'and JPEGImages); '
    'train/CLASS/*.jpg; or images and maps of the same names, semantic or of instances '
    '(docs/custom_dataset.md)'
)


def find_folder(path: str | Path) -> Path:
    """Return the folder of a dataset, given by itself, its data.yaml or its COCO file.

    Raise a UserError for others.
    """
    path = Path(path).expanduser()
    if path.is_dir():
        return path
    if not path.exists():
        raise UserError(f'there is no folder {path}{suggest_folder(path)}')
    in_split = SPLIT_NAME.fullmatch(path.parent.name.lower())
    suffix = path.suffix.lower()
    if suffix not in ('.yaml', '.yml', '.json') or (suffix == '.json' and in_split):
        folders = f'{path.parent.parent} or {path.parent}' if in_split else path.parent
        raise UserError(f'{path} is a file. Pass its folder, for example {folders}')
    return (
        path.parent.parent
        if suffix == '.json' and path.parent.name.lower() == 'annotations'
        else path.parent
    )


def read_folder(path: str | Path, task: str | None = None) -> DatasetInfo:
    """Read a dataset of any known format, and leave out images and annotations that cannot be used.

    ``path`` is its folder, or its data.yaml or COCO file (:func:`find_folder`). Nothing is written
    into the folder. Boxes and polygons of the dataset are in COCO's format. If ``task`` is
    'detect', the masks of objects are not looked at. Where images have maps, ``task`` says whether
    these are semantic or of instances (:func:`.are_instances`). Raise a UserError if the folder has
    no known format, several, or too many errors, or is not read with the file ``path``.
    """
    folder, path = find_folder(path), Path(path).expanduser()
    files: dict[str, list[Path]] = defaultdict(list)
    left_out: list[Path] = []
    for file in list_files(folder, left_out):
        suffix = file.suffix.lower()
        if (folder / file).is_file() and not file.name.lower().endswith(AUXILIARY):
            files['image' if suffix in IMAGE_SUFFIXES else suffix].append(file)
    # YOLO's YAML files are called data or dataset, or are directly in the folder and have the key
    # `train`.
    yolo = [
        file
        for file in files['.yaml'] + files['.yml']
        if file.stem in ('data', 'dataset')
        or (len(file.parts) == 1 and '\ntrain:' in f'\n{read_text(folder / file)}')
    ]
    coco, notes = load_contents(folder, files['.json'])
    # With YOLO labels there may be a COCO file for validation only. It does not make this a COCO
    # dataset.
    has_coco = any(find_split(file) in (None, 'train') for file in coco)
    if len(yolo) + bool(files['.xml']) + has_coco > 1:
        format_files = {'YOLO': yolo, 'Pascal VOC': files['.xml'], 'COCO': list(coco)}
        names = '; '.join(
            f'{name}: {shorten([*map(str, paths)], 2)}'
            for name, paths in format_files.items()
            if paths
        )
        advice = 'Keep one of them, and move the others out of the folder'
        raise UserError(
            f'{folder} has annotations in several formats or places ({names}). {advice}'
        )
    used = yolo or (list(coco) if has_coco and not files['.xml'] else [])
    if path.is_file() and not any(path.samefile(folder / file) for file in used):
        names = shorten([*map(str, used)]) or 'no annotation file in YAML or JSON'
        raise UserError(
            f'{folder} is read with {names}, not with {path}. Pass the folder, or move them out of '
            'it'
        )
    if yolo:
        dataset = read_yolo(folder, folder / yolo[0])
    elif files['.xml']:
        dataset = read_voc(folder, files['.xml'])
    else:
        dataset = (
            read_coco(folder, coco) if coco else read_maps_or_class_folders(folder, files, task)
        )
    check_class_names(folder, dataset.classes)
    if dataset.has_objects:
        objects = [obj for split in dataset.splits.values() for obj in split.objects]
        # leave_out_objects leaves out the others, which have only a box.
        has_masks = task != 'detect' and sum(
            bool(obj.get('segmentation')) for obj in objects
        ) > 0.9 * len(objects)
        dataset.annotation_types = ('masks', 'boxes') if has_masks else ('boxes',)
    # YOLO images need no label file. Readers of folders without annotation files name the images
    # that they leave out.
    images = files['image'] if not yolo and (files['.xml'] or coco) else []
    dataset.notes += notes + describe_unread(
        dataset, images, left_out, with_links=not yolo
    )  # YOLO names its folders
    leave_out_unusable(dataset)
    return dataset


def describe_unread(
    dataset: DatasetInfo, images: list[Path], left_out: list[Path], with_links: bool
) -> list[str]:
    """Return notes about ``images`` without annotations, outputs of commands, and links from one
    split into another.
    """
    root, resolve = (
        dataset.folder.resolve(),
        cache(os.path.realpath),
    )  # of folders, which may be links
    paths = (
        split.image_folder / name for split in dataset.splits.values() for name in split.image_names
    )
    read = {(resolve(path.parent), path.name) for path in paths}
    photos = [
        file for file in images if NO_IMAGE_FOLDERS.isdisjoint(name.lower() for name in file.parts)
    ]
    unread = [
        str(file)
        for file in photos
        if (resolve(dataset.folder / file.parent), file.name) not in read
    ]
    links = {
        path: target for path in left_out if (target := (root / path).resolve()) != root / path
    }
    outputs = [str(path) for path in left_out if path not in links]
    count = format_count(len(unread), 'image')
    notes = (
        [f'left out, because no annotations name them: {count} ({shorten(unread)})']
        if unread
        else []
    )
    notes += (
        [f'left out, because commands of mmgcvit wrote them: {shorten(outputs)}'] if outputs else []
    )
    for path, target in links.items() if with_links else ():
        split = find_split(target.relative_to(root)) if target.is_relative_to(root) else None
        if split not in (None, find_split(path)):
            notes.append(f'{path} is a link to {target}, and is not read again')
    return notes


def read_maps_or_class_folders(
    folder: Path, files: dict[str, list[Path]], task: str | None
) -> DatasetInfo:
    """Read a dataset without annotation files: images with maps, or class folders."""
    images, names = files['image'], folder / 'classes.txt'
    lines = read_text(names).strip() if names.is_file() else None
    dataset = read_maps(
        folder, images, lines and [line.strip() for line in lines.split('\n')], task
    )
    labelled = next((file for file in images if find_label_file(folder / file).is_file()), None)
    if labelled and not dataset:
        raise UserError(
            f'{folder} has YOLO labels ({find_label_file(folder / labelled)}) but no data.yaml. '
            'Write one with '
            f'two lines: "train: {labelled.parent}" and "names: [first class, second class, ...]"'
        )
    # If JSON or CSV files are next to the images, they are annotations of an unknown format, so
    # folders are no classes.
    folders, stems = {file.parent for file in images} - {Path()}, {file.stem for file in images}
    others = files['.json'] + files['.csv'] + [file for file in files['.txt'] if file.stem in stems]
    if not any(file.parent in folders or file.stem in stems for file in others):
        dataset = dataset or read_class_folders(folder, images)
    if not dataset:
        others = shorten(
            [str(file) for suffix in ('.json', '.csv', '.txt', '.zip') for file in files[suffix]]
        )
        others = (
            f'. These files are not annotations of a known format: {others}'
            if others
            else ' but no annotations'
        )
        count = format_count(len(images), 'image')
        raise UserError(
            f'the folder {folder} has {count}{others}. Expected one of these: {KNOWN_FORMATS}'
        )
    return dataset
