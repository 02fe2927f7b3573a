"""Read COCO annotations as labelling tools export them: find the split and the image folder of each
JSON file.
"""

from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

from ...errors import UserError, get_first_line, shorten
from ...files import make_absolute
from .dataset_info import DatasetInfo, Split
from .folders import IMAGE_FOLDERS, MAP_FOLDERS
from .paths import count_steps, find_split, list_files
from .plausible import FLAGS, MAX_ID, ObjectProblem, get_corners

# Beginnings of the names of COCO's files of other tasks, which are next to instances*.json.
OTHER_TASKS = ('captions', 'person_keypoints', 'stuff', 'panoptic', 'image_info')
NUM_SAMPLES = 20  # how many of a JSON file's images are looked for in each folder
EMPTY_MASKS = (None, [], [[]])  # how files write that an object has no mask


def load_contents(folder: Path, files: list[Path]) -> tuple[dict[Path, dict[str, Any]], list[str]]:
    """Return contents by COCO file, and notes of files that are not JSON, which must not be named
    as a split.
    """
    if not files:
        return {}, []
    # Import the checks only if there are JSON files, because they import mmengine, which is slow.
    from ..checks.coco_file import KEYS, check_content, read_json
    from ..checks.image_files import Report

    files = [file for file in files if not file.name.startswith(OTHER_TASKS)] or files
    contents, problems = {}, []
    for file in files:
        report = Report()
        content = read_json(str(folder / file), report)
        if isinstance(content, dict) and len(KEYS.keys() & content.keys()) > 1:
            contents[file] = check_content(str(folder / file), content, False, report)
        problems += report.format_messages()
        if report.issues and (content is not None or find_split(file)):
            raise UserError(problems[-1])
    if problems and not contents:
        raise UserError('\n'.join(problems))
    return contents, [f'was not read: {problem}' for problem in problems]


def read_coco(folder: Path, contents: dict[Path, dict[str, Any]]) -> DatasetInfo:
    """Read a folder's COCO files, one for each split."""
    files = {find_split(file) or 'train': file for file in contents}
    if 'train' not in files or len(files) < len(contents):
        advice = "Expected one with 'train' in its name or folder, and at most one each with 'val' and 'test'"
        raise UserError(
            f'{folder} has the COCO annotation files {shorten([*map(str, contents)])}. {advice}'
        )
    try:
        categories = contents[files['train']]['categories']
        used_ids = {obj['category_id'] for obj in contents[files['train']]['annotations']}
        # Roboflow's first category has no objects and is the supercategory of the others.
        has_root = len(categories) > 1 and categories[0]['id'] not in used_ids
        if has_root and all(
            other.get('supercategory') == categories[0]['name'] for other in categories[1:]
        ):
            categories = categories[1:]
        category_ids = number_entries(categories, folder / files['train'])
        categories = [{**category, 'id': category_ids[category['id']]} for category in categories]
        splits, problems = {}, []
        for split, file in files.items():
            content, found = normalize(contents[file], categories, folder / file)
            problems += found
            splits[split] = Split(find_image_folder(folder, file, content), content)
        classes = tuple(str(category['name']) for category in categories)
        return DatasetInfo(folder, 'COCO (JSON)', ('boxes',), classes, splits, problems=problems)
    except UserError:
        raise
    # A value has another type than in COCO's format, for example an id that is a list, or a file
    # name is too long.
    except (TypeError, AttributeError, KeyError, ValueError, OSError) as error:
        names = shorten([*map(str, files.values())])
        raise UserError(
            f"{folder}: {names}: not in COCO's format ({get_first_line(error)}). Export it again"
        ) from None


def normalize(
    content: dict[str, Any], categories: list[dict], file: Path
) -> tuple[dict[str, Any], list[str]]:
    """Return a file's content as pycocotools and mmdet expect it, and messages for annotations that
    are not usable.
    """
    image_ids, _ = (number_entries(content[name], file) for name in ('images', 'categories'))
    names = {category['id']: category['name'] for category in content['categories']}
    own = {category['name']: category['id'] for category in categories}
    annotations, others, problems = [], set(), []
    has_masks = any(obj.get('segmentation') not in EMPTY_MASKS for obj in content['annotations'])
    for index, obj in enumerate(content['annotations']):
        category, flags = (
            obj['category_id'],
            [FLAGS.get(str(obj.get(key)).lower()) for key in ('iscrowd', 'ignore')],
        )
        if obj['image_id'] not in image_ids or category not in names:
            reason = f'does not list the image_id or category_id of annotations[{index}] (id {obj["id"]!r:.60})'
            problems.append(ObjectProblem(f'{file} {reason}'))
        elif names[category] not in own:
            others.add(str(names[category]))
        elif None in flags:
            reason = f'iscrowd {obj.get("iscrowd")!r:.60} and ignore {obj.get("ignore")!r:.60}. Expected 0 or 1'
            problems.append(
                ObjectProblem(f'{file} annotations[{index}] (id {obj["id"]!r:.60}) has {reason}')
            )
        else:
            # pycocotools requires iscrowd, and scores objects with the key ignore.
            new = {'image_id': image_ids[obj['image_id']], 'category_id': own[names[category]]}
            new['iscrowd'] = max(flags)
            new |= {'ignore': 0} if obj.get('ignore') else {}
            if has_masks and new['iscrowd'] and obj.get('segmentation') in EMPTY_MASKS:
                left, top, right, bottom = get_corners([obj])[
                    0
                ].tolist()  # an ignored region needs no exact mask
                new['segmentation'] = [[left, top, right, top, right, bottom, left, bottom]]
            annotations.append(
                obj if all(obj.get(key) == value for key, value in new.items()) else {**obj, **new}
            )
    if others:
        problem = f'training has only {shorten([*map(str, own)])}. Add the classes to it, or remove their objects'
        raise UserError(
            f'{file} has objects of the classes {shorten(sorted(others))}, but {problem}'
        )
    # pycocotools reads id 0 as "no match".
    ids = {obj['id'] for obj in annotations if type(obj['id']) is int and 0 < obj['id'] < MAX_ID}
    if len(ids) < len(annotations):
        annotations = [{**obj, 'id': obj_id} for obj_id, obj in enumerate(annotations, start=1)]
    # On Windows, Label Studio writes paths with backslashes.
    images = [
        {**image, 'id': image_ids[image['id']], 'file_name': image['file_name'].replace('\\', '/')}
        for image in content['images']
    ]
    # mmdet numbers labels by the order of categories, and looks classes up by their names, which
    # must be strings.
    categories = [{**category, 'name': str(category['name'])} for category in categories]
    return {
        **content,
        'images': images,
        'annotations': annotations,
        'categories': categories,
    }, problems


def number_entries(entries: list[dict[str, Any]], file: Path) -> dict[Any, int]:
    """Return new ids by the ids of entries: 1, 2, ..., or the same if a float can hold them.

    Reject repeated ids.
    """
    ids = [entry['id'] for entry in entries]
    for value, count in Counter(ids).most_common(1):
        if count > 1:
            raise UserError(
                f'{file} lists {count} images or categories with the id {value!r:.60}. Export it '
                'again'
            )
    is_valid = all(type(value) is int and 0 <= value < MAX_ID for value in ids)
    return {value: value if is_valid else number for number, value in enumerate(ids, start=1)}


def find_image_folder(folder: Path, file: Path, content: dict[str, Any]) -> Path:
    """Return the folder that has most of the first images of a file's list. Raise a UserError for
    none or several.

    Prefer folders that are not of another split, then those of the file's split, then the nearest
    one.
    """
    names = [image['file_name'] for image in content['images']]
    parents = dict.fromkeys(
        [file.parent, Path(), *(parent for path in list_files(folder) for parent in path.parents)]
    )
    split = find_split(file) or 'train'
    ratings = defaultdict(list)
    for parent in parents:
        num_images = sum((folder / parent / name).is_file() for name in names[:NUM_SAMPLES])
        other = find_split(parent)
        parts = {name.lower() for name in parent.parts}
        is_image_folder, is_photo_folder = (
            not parts.isdisjoint(IMAGE_FOLDERS),
            parts.isdisjoint(MAP_FOLDERS),
        )
        fit = num_images > 0, is_photo_folder, other in (None, split), num_images, other == split
        ratings[fit, -count_steps(file.parent, parent), is_image_folder].append(parent)
    best = max(ratings)
    if not best[0][0]:
        listed, advice = (
            shorten(names) or 'no images',
            "Add the images, or change 'file_name' in the annotations",
        )
        raise UserError(
            f'{folder} has none of the images that {folder / file} lists ({listed}). {advice}'
        )
    if len(ratings[best]) > 1:
        folders, advice = (
            shorten([*map(str, ratings[best])]),
            "Write the right one into 'file_name', or remove others",
        )
        raise UserError(f'{folder}: the images of {file} are in {folders}. {advice}')
    image_folder = (folder / ratings[best][0]).resolve()
    leading_out = [name for name in names if name.startswith('/') or '..' in name]
    outside = [
        name
        for name in leading_out
        if not make_absolute(image_folder / name).is_relative_to(folder.resolve())
    ]
    if outside:
        raise UserError(
            f'{folder / file} lists images outside of {folder} ({shorten(outside)}). Move them '
            'into it'
        )
    return image_folder
