"""COCO's format as exported by tools of all kinds: which JSON file is what, and where the images are that it names."""

from pathlib import Path
from typing import Any

from ...errors import UserError, shorten
from ..checks.coco import KEYS, NO_OBJECT, entries_of, read_json
from ..checks.problems import Outcome, Report
from .parts import Found, Part, files_below, part_of

# Images by which the right folder is known.
SAMPLE = 20


def read_coco(folder: Path, contents: dict[Path, dict[str, Any]]) -> Found:
    """The data of a folder's annotation files, of which each part has one, as :func:`contents_of` reads them."""
    files: dict[str, Path] = {}
    for file in contents:
        part = part_of(file) or 'train'
        if part in files:
            apart = len(file.parts) > 1 and file.parts[0] != files[part].parts[0]
            raise UserError(
                f'{folder}: {files[part]} and {file} are both annotation files of COCO for {part}; expected one each, '
                "with train, val or test in its name or its folder's, as train.json"
                + (f'; or name one of the folders, as {folder / file.parts[0]}' if apart else '')
            )
        files[part] = file
    if 'train' not in files:
        raise UserError(
            f'{folder} has annotations of COCO, but none to train on ({shorten([*map(str, contents)])}); expected '
            'train.json'
        )
    train = folder / files['train']
    classes = [each['name'] for each in categories_of(contents[files['train']])]
    parts = {}
    for part, file in files.items():
        content = fitted(contents[file], classes)
        own_file = folder / file if content == contents[file] else None
        parts[part] = Part(images_of(folder, file, content), content, own_file)
    if not classes:
        raise UserError(f'{train} has no categories')
    notes = [f'the classes are those of {train}'] if len(parts) > 1 else []
    return Found(folder, 'COCO (JSON)', ('boxes',), tuple(classes), parts, notes)


def contents_of(folder: Path, files: list[Path]) -> dict[Path, dict[str, Any]]:
    """What those of a folder's JSON files hold that are annotation files."""
    # Of COCO itself the others are captions and key points of the same images.
    files = [file for file in files if file.name.startswith('instances')] or files
    contents = {}
    for file in files:
        report = Report()
        content = read_json(str(folder / file), report)
        if content is not None and KEYS.keys() <= content.keys():
            entries_of(str(folder / file), content, False, report)
            contents[file] = content
        if any(kind is not NO_OBJECT for _, kind in report.found):
            raise UserError('\n'.join(report.sentences(Outcome.STOPS)))
    return contents


def categories_of(content: dict[str, Any]) -> list[dict[str, Any]]:
    """The categories without the one of no objects above all others with which Roboflow's files begin."""
    categories = content['categories']
    used = {annotation['category_id'] for annotation in content['annotations']}
    is_above = len(categories) > 1 and categories[0]['id'] not in used
    is_above &= all(each.get('supercategory') == categories[0]['name'] for each in categories[1:])
    return categories[is_above:]


def fitted(content: dict[str, Any], classes: list[str]) -> dict[str, Any]:
    """The content as hosts and pycocotools want it: equal to what it was where it is so already."""
    annotations, order = content['annotations'], {name: number for number, name in enumerate(classes)}
    # pycocotools takes an object of id 0 for none; of one without the key it knows not whether it is a crowd.
    if any(each['id'] == 0 or 'iscrowd' not in each for each in annotations):
        annotations = [{'iscrowd': 0, **each, 'id': number} for number, each in enumerate(annotations, start=1)]
    return {
        **content,
        # As written on Windows.
        'images': [{**each, 'file_name': each['file_name'].replace('\\', '/')} for each in content['images']],
        'annotations': annotations,
        # By the order hosts number labels.
        'categories': sorted(categories_of(content), key=lambda each: order.get(each['name'], len(order))),
    }


def images_of(folder: Path, file: Path, content: dict[str, Any]) -> Path:
    """The folder from which the images are named: where most of some are found, its part's before others."""
    names = [image['file_name'] for image in content['images'][:SAMPLE]]
    if not names:
        raise UserError(f'{folder / file} lists no images')
    own, part = (folder / file).parent, part_of(file)
    folders = dict.fromkeys(
        [own, folder, *(folder / parent for file in files_below(folder) for parent in file.parents)]
    )

    def found_in(place: Path) -> tuple[int, bool]:
        return sum((place / name).is_file() for name in names), part_of(place.relative_to(folder)) == part

    place = max(folders, key=found_in)
    if not found_in(place)[0]:
        raise UserError(f'{folder / file} names images that are nowhere in {folder}: {shorten(names)}')
    return place.resolve()
