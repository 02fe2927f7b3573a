"""Read COCO annotations as labelling tools export them: the split of each JSON file, and the folder of its images."""

from pathlib import Path
from typing import Any

from ...errors import UserError, shorten
from .dataset_info import DatasetInfo, Split, find_split, list_files

# How many images are looked for to find their folder.
SAMPLE = 20


def load_contents(folder: Path, files: list[Path]) -> dict[Path, dict[str, Any]]:
    """The contents of those JSON files that are COCO annotations."""
    if not files:
        return {}
    # The checks import mmengine; other formats, and folders that are not there, need none of it.
    from ..checks.coco import KEYS, read_json, select_entries
    from ..checks.report import Report

    # COCO itself has captions and keypoints of the same images beside them.
    files = [file for file in files if file.name.startswith('instances')] or files
    contents = {}
    for file in files:
        report = Report()
        content = read_json(str(folder / file), report)
        if isinstance(content, dict) and KEYS.keys() <= content.keys():
            contents[file] = select_entries(str(folder / file), content, False, report)
        if report.found:
            raise UserError('\n'.join(report.format_sentences()))
    return contents


def read_coco(folder: Path, contents: dict[Path, dict[str, Any]]) -> DatasetInfo:
    """Read a folder's COCO files, one for each split."""
    files = {find_split(file) or 'train': file for file in contents}
    if 'train' not in files or len(files) < len(contents):
        raise UserError(
            f'{folder} has the COCO annotations {shorten([*map(str, contents)])}; expected one file for train, and '
            'maybe one for val and test, with this word in its name or folder, as train.json; or name another folder'
        )
    classes = [each['name'] for each in drop_root_category(contents[files['train']])]
    splits = {}
    for split, file in files.items():
        content = normalize(contents[file], classes)
        own_file = folder / file if content == contents[file] else None
        splits[split] = Split(find_images(folder, file, content), content, own_file)
    return DatasetInfo(folder, 'COCO (JSON)', ('boxes',), tuple(classes), splits)


def drop_root_category(content: dict[str, Any]) -> list[dict[str, Any]]:
    """The categories without the one that Roboflow puts first: no object has it, all others are below it."""
    categories = content['categories']
    used = {each['category_id'] for each in content['annotations']}
    is_root = len(categories) > 1 and categories[0]['id'] not in used
    is_root &= all(each.get('supercategory') == categories[0]['name'] for each in categories[1:])
    return categories[is_root:]


def normalize(content: dict[str, Any], classes: list[str]) -> dict[str, Any]:
    """The content as mmdet and pycocotools need it; equal to what it was where nothing had to be changed."""
    annotations, order = content['annotations'], {name: number for number, name in enumerate(classes)}
    # pycocotools ignores an object of id 0, and reads iscrowd of all.
    if any(each['id'] == 0 or 'iscrowd' not in each for each in annotations):
        annotations = [{'iscrowd': 0, **each, 'id': number} for number, each in enumerate(annotations, start=1)]
    # mmdet numbers labels by the order of the categories.
    categories = sorted(drop_root_category(content), key=lambda each: order.get(each['name'], len(order)))
    return {**content, 'annotations': annotations, 'categories': categories}


def find_images(folder: Path, file: Path, content: dict[str, Any]) -> Path:
    """The folder that the images' names are relative to: the one with most of some images, the split's own first."""
    names = [image['file_name'] for image in content['images'][:SAMPLE]]
    below = (folder / parent for file in list_files(folder) for parent in file.parents)

    def rate(place: Path) -> tuple[int, bool]:
        return sum((place / name).is_file() for name in names), find_split(place.relative_to(folder)) == find_split(
            file
        )

    place = max(dict.fromkeys([(folder / file).parent, folder, *below]), key=rate)
    if not rate(place)[0]:
        raise UserError(f'{folder / file} names no images in {folder}, but {shorten(names) or "none"}')
    return place.resolve()
