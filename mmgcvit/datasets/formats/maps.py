"""Find images with a map each: of classes (semantic) or of objects (instances).

A map is an image of one channel with a number in each pixel, or of CVAT with a colour. In a
semantic map, a number stands for a class. In a map of instances, it stands for an object, and each
object of an image has another one. The numbers do not tell which of both they are, so the layout or
``--task`` must say it.
"""

from collections.abc import Iterator
from functools import partial

from ...errors import UserError, shorten
from ..folders import Folder
from ..layouts import Layout, Match, Pairs, pair_files, read_image_sets
from ..records import DatasetInfo
from ..rules.parsing import UNKNOWN_LINES, UNPAIRED
from .instance_maps import read_instance_maps
from .semantic_maps import COLOURS, NAMES_TABLE, read_classes, read_semantic_maps

MAP_SUFFIXES = ('.png', '.bmp', '.tif', '.tiff')
LOSSY_SUFFIXES = ('.jpg', '.jpeg', '.gif', '.webp')  # JPEG changes values
ULTRALYTICS = 'https://docs.ultralytics.com/datasets/semantic'
# Tools, their documentation, and their folders of images and of maps.
FOLDERS = (
    ('Ultralytics and Kaggle (maps)', ULTRALYTICS, 'images', 'masks'),
    (
        'FiftyOne (maps)',
        'https://docs.voxel51.com/user_guide/export_datasets.html',
        'data',
        'labels',
    ),
    ('images and labels (maps)', ULTRALYTICS, 'images', 'labels'),
    (
        'ADE20K (maps)',
        'https://github.com/open-mmlab/mmsegmentation/blob/main/docs/en/user_guides/2_dataset_prepare.md',
        'images',
        'annotations',
    ),
    (
        'mmsegmentation (maps)',
        'https://github.com/open-mmlab/mmsegmentation/blob/main/docs/en/advanced_guides/add_datasets.md',
        'img_dir',
        'ann_dir',
    ),
    (
        'labelme (maps)',
        'https://github.com/wkentaro/labelme/tree/main/examples/semantic_segmentation',
        'JPEGImages',
        'SegmentationClass',
    ),
)
# Values of --task, which say what the numbers stand for.
SEMANTIC = 'semantic'
INSTANCES = 'segment'
SPLIT_PLACES = ('{}', '{}/{{split}}', '{{split}}/{}')  # without splits, inside or outside


def make_layout(tools: str, source: str, images: str, maps: str, place: str) -> Layout:
    """Return the layout of two folders, with the folders of splits in a place of SPLIT_PLACES."""
    images = place.format(images)
    maps = place.format(maps)
    tree = f'{images}/a.jpg\n{maps}/a.png'.replace('{split}', 'train')
    return Layout(tools, source, tree, images, maps)


CVAT = Layout(
    'CVAT (segmentation masks)',
    'https://docs.cvat.ai/docs/dataset_management/formats/format-smask',
    f'{COLOURS}\nJPEGImages/a.jpg\nSegmentationClass/a.png\n'
    'ImageSets/Segmentation/train.txt (or default.txt)',
    'JPEGImages',
    'SegmentationClass',
    task=SEMANTIC,
)
LAYOUTS = (
    *(make_layout(*row, place) for row in FOLDERS for place in SPLIT_PLACES),
    CVAT,
    Layout(
        'Roboflow (semantic segmentation masks)',
        'https://roboflow.com/formats/semantic-segmentation-masks',
        f'train/a.jpg\ntrain/a_mask.png\ntrain/{NAMES_TABLE}',
        '{split}',
        '{split}',
        ('_mask',),
        SEMANTIC,
    ),
    *(
        Layout(
            'cellpose',
            'https://cellpose.readthedocs.io/en/latest/train.html',
            f'{folder}a_img.png or {folder}a.png\n{folder}a_masks.png or {folder}a_cp_masks.png',
            place,
            place,
            ('_cp_masks', '_masks'),
            INSTANCES,
        )
        for folder, place in (('', ''), ('train/', '{split}'))
    ),
)
ASK = (
    'do the numbers in its maps stand for classes of pixels or for single objects? Add --task '
    'semantic for classes (a number means the same in all maps), or --task segment for objects '
    '(instances: each object of an image has a number of its own)'
)


def match_layouts(folder: Folder) -> Iterator[Match]:
    """Yield the layouts of images with maps that a folder fits or nearly fits.

    A layout fits if an image in its folder has a map of the same name.
    """
    is_of_cvat = (folder.path / COLOURS).is_file()
    for layout in LAYOUTS:
        # CVAT's and labelme's folders have the same names.
        if layout.annotations == CVAT.annotations and is_of_cvat != (layout == CVAT):
            continue
        pairs = pair_files(folder, layout, MAP_SUFFIXES)
        if any(pairs.by_split.values()):
            yield Match(layout, partial(read_dataset, folder, layout, pairs))
        elif pairs.unpaired_annotations and pairs.unpaired_images and not layout.endings:
            names = shorten([pairs.unpaired_images[0], pairs.unpaired_annotations[0]])
            yield Match(layout, misfit=f'no image has a map of its name ({names})')
        elif any(pair_files(folder, layout, LOSSY_SUFFIXES).by_split.values()):
            yield Match(layout, misfit='its maps are not PNG, BMP or TIFF files. Save them as PNG')


def read_dataset(folder: Folder, layout: Layout, pairs: Pairs, task: str | None) -> DatasetInfo:
    """Read images with maps, which are semantic or of instances as ``task`` or the layout says.

    Raises:
        UserError: Nothing says what the maps are, or their values do not fit the classes.
    """
    names, labels = read_classes(folder)
    if task not in (SEMANTIC, INSTANCES):
        # Without names for its values, a map of classes and one of objects look the same.
        task = layout.task if names or layout.task == INSTANCES else ''
    if not task:
        raise UserError(f'{folder.path}: {ASK}')
    by_split, unknown = read_image_sets(folder, layout, pairs.by_split, 'Segmentation')
    if task == SEMANTIC:
        dataset = read_semantic_maps(folder.path, by_split, names, labels)
    else:
        dataset = read_instance_maps(folder.path, by_split, names)
    unpaired = [
        str(folder.path / path) for path in (*pairs.unpaired_images, *pairs.unpaired_annotations)
    ]
    return dataset._replace(
        maps=[file for each in pairs.by_split.values() for _, file in each],
        problems={UNPAIRED: unpaired, UNKNOWN_LINES: unknown, **dataset.problems},
    )
