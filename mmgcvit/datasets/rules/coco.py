"""Rules for the content of COCO files: entries, ids, categories, sizes and flags."""

from collections import Counter
from collections.abc import Sequence

from ...errors import MANY, shorten
from ..annotations import Id, Unusable, get_sides
from ..coco_content import CocoCategory, CocoEntries, CocoImage
from .rule import ConfigEffect, Finding, FolderEffect, Rule, make_config_rule, make_findings

NOT_COCO = Rule(
    "is not an annotation file in COCO's format",
    'Export its images, annotations and categories again',
    in_folder=FolderEffect.REJECTED,
)
UNLISTED = Rule(
    'annotations of images or categories that the file does not list',
    'List them too',
    unit='object',
    in_config=ConfigEffect.STOPS_IF_MANY,
)
WRONG_FLAGS = Rule(
    'values of iscrowd and ignore other than 0 and 1',
    'Write 0, or 1 for groups of objects',
    unit='object',
)
# In a folder only repeated ids of images and categories: the reader renumbers all other ids.
DUPLICATE_IDS = Rule(
    'repeated ids of images or categories (with a CONFIG also of annotations), repeated category '
    'names, or ids that pycocotools cannot store',
    'Use ids from 1 on',
    in_folder=FolderEffect.REJECTED,
)
# Readers of folders order categories as training does, so this rule is for configs only.
OTHER_CATEGORIES = make_config_rule(
    'categories in another order than the classes of the config, or with other names',
    'Copy their names and order',
)
OTHER_ANNOTATIONS = make_config_rule(
    'an evaluator that reads other annotations than its dataset, so that scores say nothing',
    'Give val_evaluator and the dataset of val_dataloader the same ann_file, and so those of the '
    'test',
)
# Folders have images of another size instead.
NO_SIZE = make_config_rule(
    'images without a positive width and height', 'Write both in pixels, as integers'
)
NO_OBJECTS = Rule(
    'nothing to train on',
    "Label objects that are not crowds or difficult, or change a config's classes",
    in_folder=FolderEffect.REJECTED,
)

MAX_ID = 1 << 53  # ids are smaller: pycocotools stores those of annotations as floats


def has_size(image: CocoImage) -> bool:
    """Return whether an image's width and height are positive integers."""
    return not isinstance(image.size, Unusable) and min(image.size) >= 1


def find_content_problems(
    content: CocoEntries, classes: Sequence[str], is_scored: bool
) -> list[Finding]:
    """Return the problems of a config's COCO file with ids, categories, sizes and flags.

    Args:
        content: The content of the file.
        classes: The class names of the config.
        is_scored: Whether scores are computed on it, for which pycocotools must store the ids.
    """
    return [
        *make_findings(DUPLICATE_IDS, find_wrong_ids(content, is_scored)),
        *make_findings(WRONG_FLAGS, find_wrong_flags(content)),
        *make_findings(OTHER_CATEGORIES, find_other_categories(content.categories, classes)),
        *make_findings(NO_SIZE, find_images_without_size(content)),
        *make_findings(UNLISTED, find_unlisted(content)),
    ]


def find_wrong_flags(content: CocoEntries) -> list[str]:
    """Return the annotations whose iscrowd is neither 0 nor 1."""
    return [
        f'annotation {entry["id"]} iscrowd {entry["iscrowd"]!r:.60}'
        for entry in content.annotations
        if entry.get('iscrowd', 0) not in (0, 1)
    ]


def find_images_without_size(content: CocoEntries) -> list[str]:
    """Return the images whose width and height are not positive integers."""
    found = []
    for image in content.images:
        if not has_size(image):
            width, height = get_sides(image.size)
            found.append(f'{image.file_name} {width} x {height}')
    return found


def find_wrong_ids(content: CocoEntries, is_scored: bool) -> list[str]:
    """Return ids and category names that occur twice, and ids that scores cannot have."""
    values_of_keys: dict[str, list[Id]] = {
        'images id': [image.id for image in content.images],
        'annotations id': [annotation['id'] for annotation in content.annotations],
        'categories id': [category.id for category in content.categories],
        'categories name': [category.name for category in content.categories],
    }
    wrong = []
    for key, values in values_of_keys.items():
        for value, number in Counter(values).items():
            # pycocotools reads an object's 0 as "no match".
            is_object = key == 'annotations id'
            if number > 1 or (is_scored and not can_store(value, is_object)):
                wrong.append(f'{key} {str(value)[:60]}')
    return wrong


def can_store(value: Id, is_object: bool) -> bool:
    """Return whether pycocotools can store an id. Those of objects must be positive integers."""
    if type(value) is not int:
        return not is_object
    return 0 < value < MAX_ID if is_object else abs(value) < MAX_ID


def find_other_categories(categories: Sequence[CocoCategory], classes: Sequence[str]) -> list[str]:
    """Return both as text if the categories that a config uses are not its classes, in their order.

    Else, return nothing.
    """
    names = [category.name for category in categories]
    # DUPLICATE_IDS is for repeated names.
    used = [name for name in dict.fromkeys(names) if name in classes]
    if used == list(classes):
        return []
    return [f'the file has {shorten(names, MANY)}, the config {shorten(classes, MANY)}']


def find_unlisted(content: CocoEntries) -> list[str]:
    """Return annotations whose image or category is not listed."""
    image_ids = {image.id for image in content.images}
    category_ids = {category.id for category in content.categories}
    unlisted_images = [
        f'annotation {entry["id"]} image_id {entry["image_id"]}'
        for entry in content.annotations
        if entry['image_id'] not in image_ids
    ]
    unlisted_categories = [
        f'annotation {entry["id"]} category_id {entry["category_id"]}'
        for entry in content.annotations
        if entry['category_id'] not in category_ids
    ]
    return unlisted_images + unlisted_categories
