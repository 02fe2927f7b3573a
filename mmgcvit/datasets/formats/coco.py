"""Read COCO annotations as labelling tools export them: find the split and the image folder of each JSON file."""

from pathlib import Path
from typing import Any

from ...errors import UserError, shorten
from .dataset_info import DatasetInfo, Split, find_split, list_files

# How many of a JSON file's images are looked for in each folder.
NUM_SAMPLES = 20


def load_contents(folder: Path, files: list[Path]) -> dict[Path, dict[str, Any]]:
    """Return the contents of the JSON files that are COCO annotations, by file."""
    if not files:
        return {}
    # Import the checks only if there are JSON files, because they import mmengine, which is slow.
    from ..checks.coco import KEYS, check_content, read_json
    from ..checks.report import Report

    # The COCO dataset has files of captions and keypoints next to its instances*.json.
    files = [file for file in files if file.name.startswith('instances')] or files
    contents = {}
    for file in files:
        report = Report()
        content = read_json(str(folder / file), report)
        if isinstance(content, dict) and KEYS.keys() <= content.keys():
            contents[file] = check_content(str(folder / file), content, False, report)
        if report.issues:
            raise UserError('\n'.join(report.format_messages()))
    return contents


def read_coco(folder: Path, contents: dict[Path, dict[str, Any]]) -> DatasetInfo:
    """Read a folder's COCO files, one for each split."""
    files = {find_split(file) or 'train': file for file in contents}
    if 'train' not in files or len(files) < len(contents):
        raise UserError(
            f"{folder} has the COCO annotation files {shorten([*map(str, contents)])}. Expected one with 'train' in "
            "its name or folder, for example train.json, and at most one each with 'val' and 'test'. Rename the files, "
            'or move some of them out of the folder'
        )
    classes = [category['name'] for category in drop_root_category(contents[files['train']])]
    splits = {}
    for split, file in files.items():
        content = normalize(contents[file], classes)
        ann_file = folder / file if content == contents[file] else None
        splits[split] = Split(find_image_folder(folder, file, content), content, ann_file)
    return DatasetInfo(folder, 'COCO (JSON)', ('boxes',), tuple(classes), splits)


def drop_root_category(content: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the categories without Roboflow's first one: it has no objects and is the supercategory of the rest."""
    categories = content['categories']
    used_ids = {obj['category_id'] for obj in content['annotations']}
    has_root = len(categories) > 1 and categories[0]['id'] not in used_ids
    has_root &= all(category.get('supercategory') == categories[0]['name'] for category in categories[1:])
    return categories[has_root:]


def normalize(content: dict[str, Any], classes: list[str]) -> dict[str, Any]:
    """Return the content with ids, ``iscrowd`` and an order of categories that suit pycocotools and mmdet."""
    annotations, order = content['annotations'], {name: index for index, name in enumerate(classes)}
    # pycocotools reads id 0 as "no match", and requires iscrowd of all objects.
    if any(obj['id'] == 0 or 'iscrowd' not in obj for obj in annotations):
        annotations = [{'iscrowd': 0, **obj, 'id': obj_id} for obj_id, obj in enumerate(annotations, start=1)]
    # mmdet numbers labels by the order of the categories.
    categories = sorted(drop_root_category(content), key=lambda category: order.get(category['name'], len(order)))
    return {**content, 'annotations': annotations, 'categories': categories}


def find_image_folder(folder: Path, file: Path, content: dict[str, Any]) -> Path:
    """Look for the first images of a file's list in each folder. Return the folder that has the largest number of them.

    If several folders have as many, prefer one that is named after the file's split.
    """
    names = [image['file_name'] for image in content['images'][:NUM_SAMPLES]]
    subfolders = (folder / parent for path in list_files(folder) for parent in path.parents)
    split = find_split(file)

    def rate(candidate: Path) -> tuple[int, bool]:
        num_images = sum((candidate / name).is_file() for name in names)
        return num_images, find_split(candidate.relative_to(folder)) == split

    best = max(dict.fromkeys([(folder / file).parent, folder, *subfolders]), key=rate)
    if not rate(best)[0]:
        raise UserError(
            f'{folder} has none of the images that {folder / file} lists ({shorten(names) or "no images"}). Add the '
            "images, or change 'file_name' in the annotations"
        )
    return best.resolve()
