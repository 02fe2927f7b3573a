"""Folders of tools whose own files are not read: what to do with them."""

import shlex
from pathlib import Path

from ..folders import Folder

CONVERT_LABELME = (
    'Convert them, and pass the folder YOLODataset that this writes: pip install labelme2yolo; '
    'labelme2yolo --json_dir {} --output_format polygon --val_size 0'
)
EXPORT_LABEL_STUDIO = (
    'Import them into Label Studio (predict --labels writes such a folder; docs/predict.md), '
    'correct the labels, export them as COCO or YOLO with images, and pass the unpacked export'
)
EXPORT_MOT = (
    'Convert it to COCO, for example with CVAT: import it as MOT 1.1, export it as COCO 1.0 with '
    'images, and pass the unpacked export'
)


def explain_label_studio(folder: Folder) -> str:
    """Return what to do if the only JSON file of a folder has the tasks of Label Studio, or ''."""
    files = [folder.path / file for file in folder.list_files('.json')]
    # from_name is the key of their labels.
    if len(files) != 1 or not has_text(files[0], '"from_name"'):
        return ''
    return f'{folder.path} has the tasks of Label Studio. {EXPORT_LABEL_STUDIO}'


def explain_mot(folder: Folder) -> str:
    """Return what to do if a folder has a file of the MOT Challenge, or ''."""
    for file in folder.list_files('.txt'):
        if file.parts[-2:] == ('gt', 'gt.txt'):
            return (
                f'{folder.path} has the file {file} of the MOT Challenge, with tracks. {EXPORT_MOT}'
            )
    return ''


def explain_labelme(folder: Folder) -> str:
    """Return what to do if the first JSON file of a folder is labelme's, or ''."""
    for file in folder.list_files('.json')[:1]:
        path = folder.path / file
        if has_text(path, '"shapes"'):
            way_out = CONVERT_LABELME.format(shlex.quote(str(path.parent)))
            return f'{folder.path} has the JSON files of labelme. {way_out}'
    return ''


def has_text(file: Path, text: str) -> bool:
    """Return whether there is such a file, with a text in it."""
    return file.is_file() and text in file.read_text(errors='replace')
