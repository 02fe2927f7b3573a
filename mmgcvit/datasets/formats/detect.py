"""Detect the format of a folder of data, and read it."""

from collections import defaultdict
from pathlib import Path

from ...errors import UserError, counted, shorten
from ...files import IMAGE_ENDINGS, text_of
from .coco import load_contents, read_coco
from .dataset_info import DatasetInfo, find_split, list_files
from .folders import read_class_folders, read_segmentation_maps
from .voc import read_voc
from .yolo import find_label_file, read_yaml, read_yolo

# Folders that mmgcvit's commands write.
OWN_FOLDERS = ('predictions', 'work_dirs')
KNOWN = (
    'COCO annotations (.json); YOLO (data.yaml, images and labels); Pascal VOC (Annotations/*.xml and JPEGImages); '
    'train/CLASS/*.jpg; or images and segmentation maps of the same names (docs/custom_dataset.md)'
)


def read_folder(folder: str | Path) -> DatasetInfo:
    """Read data of any known format.

    Args:
        folder: A folder, or the YAML file of YOLO in it; nothing is written into it.

    Returns:
        What there is, objects in COCO's format.

    Raises:
        UserError: Its format is not known, or there is more than one, or something in it is wrong.
    """
    folder = Path(folder).expanduser()
    if folder.suffix in ('.yaml', '.yml') and folder.is_file():
        folder = folder.parent
    if not folder.is_dir():
        what = f'a file; name its folder, for example {folder.parent}' if folder.exists() else 'not there'
        raise UserError(f'{folder} is {what}')
    files: dict[str, list[Path]] = defaultdict(list)
    for file in list_files(folder):
        if file.parts[0] not in OWN_FOLDERS:
            suffix = file.suffix.lower()
            files['image' if suffix in IMAGE_ENDINGS else suffix].append(file)
    dataset = read_annotations(folder, files) or read_image_folders(folder, files)
    if not dataset:
        raise UserError(f'{folder} holds {counted(len(files["image"]), "image")}{describe(files)}; expected {KNOWN}')
    return dataset


def read_annotations(folder: Path, files: dict[str, list[Path]]) -> DatasetInfo | None:
    """Read annotation files that say what they are; None where there are none."""
    yolo = [file for file in files['.yaml'] + files['.yml'] if is_yolo(folder, file)]
    coco = load_contents(folder, files['.json'])
    # COCO's val annotations may lie beside YOLO labels.
    has_coco = any(find_split(file) in (None, 'train') for file in coco)
    formats = {'COCO (JSON)': has_coco, 'YOLO (YAML)': yolo, 'Pascal VOC (XML)': files['.xml']}
    formats = [name for name, is_there in formats.items() if is_there]
    if len(formats) > 1 or len(yolo) > 1:
        what = ' and '.join(formats) if len(formats) > 1 else shorten([*map(str, yolo)])
        raise UserError(f'{folder} holds {what}: move what is not to be used to another folder')
    if yolo:
        return read_yolo(folder, folder / yolo[0])
    if files['.xml']:
        return read_voc(folder, files['.xml'])
    return read_coco(folder, coco) if coco else None


def read_image_folders(folder: Path, files: dict[str, list[Path]]) -> DatasetInfo | None:
    """Read images by the files beside them, or by their folders; None where these say nothing."""
    images, names = files['image'], folder / 'classes.txt'
    dataset = read_segmentation_maps(folder, images, text_of(names).strip().splitlines() if names.is_file() else None)
    if dataset:
        return dataset
    labelled = next((file for file in images if find_label_file(folder / file).is_file()), None)
    if labelled:
        raise UserError(
            f'{folder} has YOLO labels ({find_label_file(folder / labelled)}) but no data.yaml; expected one with '
            f'train: {labelled.parent} and names: [the classes, in the order of their numbers]'
        )
    # Annotations of an unknown format lie beside the images.
    folders = {file.parent for file in images} - {Path()}
    if any(file.parent in folders for file in files['.json'] + files['.csv']):
        return None
    return read_class_folders(folder, images)


def is_yolo(folder: Path, file: Path) -> bool:
    """Whether a YAML file describes YOLO data: by its name, or at the top by its content."""
    if file.stem in ('data', 'dataset'):
        return True
    try:
        return len(file.parts) == 1 and 'train' in read_yaml(folder / file)
    except UserError:  # a YAML file of another program
        return False


def describe(files: dict[str, list[Path]]) -> str:
    """What there is of a known format, for the message that rejects a folder."""
    if any('JPEGImages' in file.parts for file in files['image']):
        return ' and JPEGImages as in Pascal VOC, but no Annotations/*.xml'
    others = [str(file) for suffix in ('.json', '.csv', '.txt', '.zip') for file in files[suffix]]
    return f' and {shorten(others)}, which do not say what is on them' if others else ''
