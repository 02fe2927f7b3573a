"""COCO's format as exported by tools of all kinds: which JSON file is what, and where the images are that it names."""

from pathlib import Path
from typing import Any

from ...errors import UserError, shorten
from ..checks.coco import KEYS, entries_of, read_json
from ..checks.problems import Outcome, Report
from .parts import Found, Part, files_below, part_of

# Images by which the right folder is known.
SAMPLE = 20


def read_coco(folder: Path, files: list[Path]) -> Found | None:
    """The data of annotation files, of which each part has one; None where no JSON file is one.

    Args:
        folder: The folder of the data.
        files: The JSON files in it, from it.
    """
    # Of COCO itself the others are captions and key points of the same images.
    files = [file for file in files if file.name.startswith('instances')] or files
    parts: dict[str, Part] = {}
    for file in files:
        content = content_of(folder / file)
        if content is None:
            continue
        part = part_of(file) or 'train'
        if part in parts:
            raise UserError(
                f'{folder}: {parts[part].file.relative_to(folder)} and {file} are both annotation files of COCO for '
                f"{part}; expected one each, with train, val or test in its name or its folder's, as train.json"
            )
        parts[part] = Part(images_of(folder, file, content), content, folder / file)
    if not parts:
        return None
    if 'train' not in parts:
        names = shorten([str(part.file) for part in parts.values()])
        raise UserError(f'{folder} has annotations of COCO, but none to train on ({names}); expected train.json')
    train = parts['train'].content
    used = {annotation['category_id'] for annotation in train['annotations']}
    if not train['categories']:
        raise UserError(f'{parts["train"].file} has no categories')
    # Roboflow's files begin with a category of no objects, above all others.
    is_above = train['categories'][0]['id'] not in used and all(
        each.get('supercategory') == train['categories'][0]['name'] for each in train['categories'][1:]
    )
    classes = [each['name'] for each in train['categories'][is_above and len(train['categories']) > 1 :]]
    has_masks = all(annotation.get('segmentation') for annotation in train['annotations'])
    kinds = ('masks', 'boxes') if has_masks and train['annotations'] else ('boxes',)
    notes = [f'the classes are those of {parts["train"].file}'] if len(parts) > 1 else []
    return Found(folder, 'COCO (JSON)', kinds, tuple(classes), parts, notes)


def content_of(file: Path) -> dict[str, Any] | None:
    """What an annotation file holds; None of a JSON file of something else."""
    report = Report()
    content = read_json(str(file), report)
    if content is not None:
        if not KEYS.keys() <= content.keys():
            return None
        entries_of(str(file), content, False, report)
        if not report.found:
            return content
    raise UserError('\n'.join(report.sentences(Outcome.STOPS)))


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
