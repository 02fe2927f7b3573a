"""Which layout a folder has; of one that is nearly right, what it lacks."""

import re
from collections import defaultdict
from pathlib import Path

from ...errors import UserError, shorten
from ...files import IMAGE_ENDINGS, text_of
from .images import is_part, read_class_folders, read_label_maps
from .parts import Found, files_below, part_of
from .voc import read_voc
from .yolo import distinct, labels_of, of_images, read_yolo, settings_in

# Files with the names of the classes, a line each, as labelling tools write them.
NAMES = ('classes.txt', 'obj.names', 'labels/classes.txt', 'images/classes.txt')
# What mmgcvit's commands write into the current folder, which may be that of the data.
OURS = ('predictions', 'work_dirs')
LABELS_BESIDE = re.compile(r'.+[_-](mask|masks|label|labels|gt|seg)')
KNOWN = (
    'annotations in JSON as of COCO; data.yaml with images and labels as of YOLO; Annotations/*.xml and JPEGImages as '
    'of Pascal VOC; train/CLASS/*.jpg; or images and labels with a PNG file for each image (docs/custom_dataset.md)'
)


def find_layout(folder: str | Path) -> Found:
    """Find out what a folder holds.

    Args:
        folder: A folder; nothing is written into it.

    Returns:
        What there is, in COCO's format where it is objects.

    Raises:
        UserError: It is of no layout that is known, or of more than one, or something in it is wrong.
    """
    folder = Path(folder).expanduser()
    if folder.suffix in ('.yaml', '.yml') and folder.is_file():
        folder = folder.parent  # as others' programs are given YOLO's
    if folder.is_file():
        raise UserError(f'{folder} is a file; name the folder with the data, for example {folder.parent}')
    if not folder.is_dir():
        raise UserError(f'{folder}: there is no such folder')
    files: dict[str, list[Path]] = defaultdict(list)
    for file in files_below(folder):
        if file.parts[0] in OURS:
            continue
        suffix = file.suffix.lower()
        files['image' if suffix in IMAGE_ENDINGS else suffix].append(file)
    images = files['image']
    if not images and not files['.yaml'] and not files['.json']:
        packed = [file.name for file in folder.iterdir() if file.suffix in ('.zip', '.tar', '.gz', '.tgz')]
        unpack = f', but {shorten(packed)}: unpack it' if packed else ''
        raise UserError(f'{folder} holds no images{unpack}; expected {KNOWN}')
    found = read_annotations(folder, files) or read_images(folder, files)
    if not found:
        raise UserError(f'{folder} holds {len(images)} images{nearest(folder, files)}; expected {KNOWN}')
    return found


def read_annotations(folder: Path, files: dict[str, list[Path]]) -> Found | None:
    """The data of files that say of themselves what they annotate: COCO's, YOLO's with its YAML file, Pascal VOC's."""
    yolo = [file for file in (*files['.yaml'], *files['.yml']) if describes_data(folder, file)]
    coco = {}
    if files['.json']:
        # With it comes what training needs.
        from .coco import contents_of, read_coco

        coco = contents_of(folder, files['.json'])
    # COCO's own file for validation may lie beside labels of YOLO's.
    is_coco = any(part_of(file) in (None, 'train') for file in coco)
    several = {'COCO (JSON)': is_coco, 'YOLO (YAML)': yolo, 'Pascal VOC (XML)': files['.xml']}
    several = [name for name, signs in several.items() if signs]
    if len(several) > 1 or len(yolo) > 1:
        what = ' and '.join(several) if len(several) > 1 else shorten([*map(str, yolo)])
        raise UserError(f'{folder} holds {what}: which is meant? Move what is not meant to another folder')
    if yolo:
        return read_yolo(folder, folder / yolo[0])
    if files['.xml']:
        return read_voc(folder, files['.xml'])
    return read_coco(folder, coco) if coco else None


def read_images(folder: Path, files: dict[str, list[Path]]) -> Found | None:
    """The data of images by what lies beside them, or by their folders."""
    images, names = files['image'], names_in(folder)
    found = read_label_maps(folder, images, names)
    if found:
        return found
    labelled = [file for file in images if labels_of(folder / file).is_file()]
    if labelled:
        if names is None:
            raise UserError(
                f'{folder} has label files as of YOLO ({labels_of(labelled[0])}) but no data.yaml; expected one with '
                f'train: {labelled[0].parent} and names: [the classes, in the order of their numbers]'
            )
        parts = defaultdict(list)
        for file in images:
            parts[part_of(file.parent) or 'train'].append(folder / file)
        return of_images(folder, f'YOLO ({NAMES[0]})', parts, names)
    # Beside the images of a class, below the folder of the data, nothing else says what is on them.
    folders = {file.parent for file in images} - {Path()}
    is_said = any(file.parent in folders for file in files['.json'] + files['.csv'])
    return None if is_said else read_class_folders(folder, images)


def names_in(folder: Path) -> list[str] | None:
    """The names of the classes, where a file has them."""
    file = next((folder / name for name in NAMES if (folder / name).is_file()), None)
    return file and distinct([line.strip() for line in text_of(file).splitlines() if line.strip()], file)


def describes_data(folder: Path, file: Path) -> bool:
    """Whether a YAML file is one of YOLO's: by its name, or beside the images by what it says."""
    if file.stem in ('data', 'dataset'):
        return True
    try:
        return len(file.parts) == 1 and 'train' in settings_in(folder / file)
    # Other programs' files may be of another YAML.
    except UserError:
        return False


def nearest(folder: Path, files: dict[str, list[Path]]) -> str:
    """What a folder of images has that is nearly a layout, and what is missing of that."""
    if (folder / 'JPEGImages').is_dir():
        return ' and JPEGImages as of Pascal VOC, but no Annotations/*.xml'
    named = next((file for file in files['image'] if LABELS_BESIDE.fullmatch(file.stem.lower())), None)
    if named:
        return f' such as {named}; a label file has the name of its image: masks/a.png for images/a.jpg'
    if files['.json']:
        return f' and {files[".json"][0]}, which has no lists of images, annotations and categories as COCO has'
    if files['.csv']:
        return f' and {files[".csv"][0]}, and tables of that kind are not read'
    flat = sorted({file.parts[0] for file in files['image'] if len(file.parts) == 2 and is_part(file.parts[0])})
    if flat:
        return f' directly in {" and ".join(flat)}; of classes each has a folder there, as {flat[0]}/CLASS/a.jpg'
    if files['.txt']:
        return f' and {files[".txt"][0]}, but YOLO has labels/a.txt for images/a.jpg, or a.txt beside a.jpg'
    tops = {file.parts[0] for file in files['image']}
    if len(tops) == 1 and len({file.parts[1] for file in files['image'] if len(file.parts) > 2}) > 1:
        return f' in one folder, {tops.pop()}: is that to be named'
    return ' and nothing that says what is on them'
