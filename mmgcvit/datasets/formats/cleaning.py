"""Leave out images and annotations that cannot be used."""

import unicodedata
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from ...errors import MANY, UserError, escape_controls, format_count, get_first_line
from ..decoding import decode_image
from .dataset_info import DatasetInfo, Split

# Maximum of the number of problems (unusable images and annotations) divided by the number of images, in which each
# annotation problem counts as an image too. Datasets with more problems are rejected.
MAX_UNUSABLE = 0.1


def leave_out_unusable(dataset: DatasetInfo) -> None:
    """Leave out missing and unreadable images of a dataset and, if it is one of masks, objects without a mask.

    A note names them, and the annotations that cannot be used (``dataset.problems``). Raise a UserError if there are
    more problems than :data:`MAX_UNUSABLE` allows, or a split has no image left.
    """
    problems = list(dict.fromkeys(dataset.problems))
    num_annotation_problems, num_images = len(problems), 0
    for name, split in dataset.splits.items():
        with ThreadPoolExecutor() as pool:
            errors = [*pool.map(partial(find_problem, split.image_folder), split.image_names)]
        num_images += len(errors)
        problems += filter(None, errors)
        if any(errors):
            dataset.splits[name] = split.select({i for i, error in enumerate(errors) if error is None})
        if dataset.annotation_types[0] == 'masks':
            problems += leave_out_boxes(dataset.splits[name])
    if not problems:
        return
    more = ['...'] if len(problems) > MANY else []
    count = f'{format_count(len(problems), "problem")} in {format_count(num_images, "image")}'
    named = escape_controls('\n  '.join(['', *problems[:MANY], *more]))
    too_many = len(problems) > MAX_UNUSABLE * (num_images + num_annotation_problems)
    empty = [name for name, split in dataset.splits.items() if not split.image_names]
    if too_many or empty:
        limit = f'No image of {empty[0]} can be used' if empty else 'mmgcvit leaves out at most a tenth of the data'
        raise UserError(f'{dataset.folder}: {count}. {limit}. Repair or remove these:{named}')
    dataset.notes.append(f'{count}. These images and annotations are left out:{named}')


def check_class_names(folder: Path, classes: Sequence[str]) -> None:
    """Raise a UserError for empty names, and for names that differ only in case, blanks or their Unicode form.

    Such names are nearly always one class. macOS, for example, writes an umlaut as two characters.
    """
    seen: dict[str, str] = {}
    for name in classes:
        form = ' '.join(unicodedata.normalize('NFKC', name).casefold().split())
        if not form or form in seen:
            same = f'{seen[form]!r} and {name!r}, equal but for case, blanks or Unicode form' if form else repr(name)
            raise UserError(f'{folder} has the classes {same}. Give each class a name of its own')
        seen[form] = name


def find_problem(folder: Path, name: str) -> str | None:
    """Return a message if an image is missing or cannot be decoded, or its name cannot be in a list of files."""
    if not {*name}.isdisjoint('\t\n\r') or name.encode(errors='replace').decode() != name:
        return f'{folder / name} has a tab, a line break or invalid UTF-8 in its name'
    try:
        decode_image(folder / name)
    except FileNotFoundError:
        return f'{folder / name} is missing'
    # Decoders raise errors of any class on damaged files.
    except Exception as error:
        return f'{folder / name} cannot be read ({get_first_line(error)})'
    return None


def leave_out_boxes(split: Split) -> list[str]:
    """Remove the objects of a split that have a box but no mask, in place. Return a message for each object."""
    objects = split.content['annotations']
    boxes = [obj for obj in objects if not obj.get('segmentation')]
    if not boxes:
        return []
    names = {image['id']: image['file_name'] for image in split.content['images']}
    split.content = {**split.content, 'annotations': [obj for obj in objects if obj.get('segmentation')]}
    unlisted = 'an image that is not listed'
    return [f'annotation {obj["id"]} of {names.get(obj["image_id"], unlisted)} has no mask' for obj in boxes]
