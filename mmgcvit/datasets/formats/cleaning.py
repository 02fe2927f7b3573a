"""Leave out images and annotations that cannot be used."""

import unicodedata
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np

from ...errors import MANY, UserError, escape_controls, format_count, get_first_line
from ..decoding import decode_image, read_sizes
from .dataset_info import DatasetInfo, Split
from .identity import leave_out_copies
from .plausible import ObjectProblem, are_inside, are_too_many, cut_objects, find_faults, get_corners


def leave_out_unusable(dataset: DatasetInfo) -> None:
    """Leave out images that cannot be read or have another size than annotated, copies, and objects that must be wrong.

    Notes name them. Copies are looked for among readable images, since unreadable ones may all be the same error page.
    Raise a UserError if :func:`.are_too_many` of the images or of the objects are left out, except copies, or a split
    has no image left.
    """
    problems, looks = list(dict.fromkeys(dataset.problems)), []
    num_objects = sum(isinstance(problem, ObjectProblem) for problem in problems)
    num_images = len(problems) - num_objects
    for name, split in dataset.splits.items():
        with ThreadPoolExecutor() as pool:
            errors = [*pool.map(partial(find_problem, split.image_folder), split.image_names, split.sizes)]
        num_images += len(errors)
        problems += filter(None, errors)
        dataset.splits[name] = split.select({i for i, error in enumerate(errors) if error is None})
    problems += leave_out_copies(dataset)
    for name, split in dataset.splits.items() if dataset.has_objects else ():
        split, rotated = leave_out_rotated(split)
        num_objects += len(split.content['annotations'])
        dataset.splits[name], faulty, look = leave_out_objects(split, dataset)
        problems += rotated + faulty
        looks += [f' They look like {look}.'] if look else []
    if not problems:
        return
    counts = Counter('object' if isinstance(problem, ObjectProblem) else 'image' for problem in problems)
    numbers = {'image': num_images, 'object': num_objects}
    texts = [f'{format_count(counts[noun], "problem")} in {format_count(n, noun)}' for noun, n in numbers.items()]
    count = ', '.join(text for text in texts if text[0] != '0')
    more = ['...'] if len(problems) > MANY else []
    named = escape_controls('\n  '.join(['', *problems[:MANY], *more]))
    empty = [name for name, split in dataset.splits.items() if not split.image_names]
    if empty or any(are_too_many(counts[noun], numbers[noun]) for noun in numbers):
        limit = 'mmgcvit leaves out at most a tenth of the images and of the objects'
        limit = f'No image of {empty[0]} can be used' if empty else limit
        raise UserError(f'{dataset.folder}: {count}. {limit}.{"".join(looks[:1])} Repair or remove these:{named}')
    dataset.notes.append(f'{count}. These images and annotations are left out:{named}')


def check_class_names(folder: Path, classes: Sequence[str]) -> None:
    """Raise a UserError for empty names, control characters, and names that differ in case, blanks or Unicode form.

    Such names are nearly always one class. macOS, for example, writes an umlaut as two characters.
    """
    seen: dict[str, str] = {}
    for name in classes:
        form = ' '.join(unicodedata.normalize('NFKC', name).casefold().split())
        if any(unicodedata.category(character) == 'Cc' for character in name):
            raise UserError(f'{folder} has the class {name!r}, with control characters. Rename it')
        if not form or form in seen:
            same = f'{seen[form]!r} and {name!r}, equal but for case, blanks or Unicode form' if form else repr(name)
            raise UserError(f'{folder} has the classes {same}. Give each class a name of its own')
        seen[form] = name


def find_problem(folder: Path, name: str, annotated_size: tuple[int, int] | None = None) -> str | None:
    """Return a message if an image is missing, undecodable or of another size, or its name cannot be in a list."""
    if not {*name}.isdisjoint('\t\n\r') or name.encode(errors='replace').decode() != name:
        return f'{folder / name} has a tab, a line break or invalid UTF-8 in its name'
    try:
        sizes = decode_image(folder / name)
    except FileNotFoundError:
        return f'{folder / name} is missing'
    # Decoders raise errors of any class on damaged files.
    except Exception as error:
        return f'{folder / name} cannot be read ({get_first_line(error)})'
    if annotated_size not in (None, *sizes):
        width, height = (f'{side!s:.20}' for side in annotated_size)
        return f'{folder / name} is {sizes[1][0]} x {sizes[1][1]}, annotated as {width} x {height}'
    return None


def leave_out_rotated(split: Split) -> tuple[Split, list[str]]:
    """Leave out images with the size before their EXIF rotation, if their boxes are of the picture after it.

    They are if more boxes fit only the picture after the rotation than only that before. Also return messages.
    """
    objects, images = split.content['annotations'], split.content['images']
    corners, sides = get_corners(objects), np.reshape(split.list_sizes(objects), (-1, 2)).astype(float)
    fits = are_inside(corners, sides[:, ::-1]).astype(int) - are_inside(corners, sides)
    if not (fits > 0).any():
        return split, []
    with ThreadPoolExecutor() as pool:
        found = [*pool.map(read_sizes, [split.image_folder / name for name in split.image_names])]
    sizes = zip(split.sizes, found, strict=True)
    rotated = {i for i, (annotated, (before, after)) in enumerate(sizes) if annotated == before != after}
    ids = {images[i]['id'] for i in rotated}
    if fits[[obj['image_id'] in ids for obj in objects]].sum() <= 0:
        return split, []
    reason = 'is annotated with its size before the EXIF rotation, but such images have boxes of the picture after it'
    messages = [f'{split.image_folder / images[i]["file_name"]} {reason}' for i in sorted(rotated)]
    return split.select({*range(len(images))} - rotated), messages


def leave_out_objects(split: Split, dataset: DatasetInfo) -> tuple[Split, list[str], str]:
    """Leave out objects that cannot be right, and cut the others at the edges of their images.

    Also return a message for each object, and what the boxes look like (:func:`.find_faults`).
    """
    objects = split.content['annotations']
    sizes = split.list_sizes(objects)
    faults, look = find_faults(objects, sizes, dataset.annotation_types[0] == 'masks', dataset.box_format)
    names = {image['id']: image['file_name'] for image in split.content['images']}
    faulty = [
        ObjectProblem(f'{names[obj["image_id"]]}: annotation {obj["id"]}, bbox {obj["bbox"]!s:.80}: {fault}')
        for obj, fault in zip(objects, faults, strict=True)
        if fault
    ]
    right = [index for index, fault in enumerate(faults) if not fault]
    kept = cut_objects([objects[index] for index in right], [sizes[index] for index in right])
    return Split(split.image_folder, {**split.content, 'annotations': kept}), faulty, look
