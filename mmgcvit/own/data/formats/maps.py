"""Find images with a map each: of classes (semantic) or of objects (instances).

A map is an image of one channel with a number in each pixel, or of CVAT with a colour. In a
semantic map, a number stands for a class. In a map of instances, it stands for an object, and each
object of an image has another one. The numbers do not tell which of both they are, so the layout or
``--task`` must say it.
"""

from dataclasses import dataclass, replace
from functools import partial

from ....datasets.rules.rule import make_findings
from ....errors import UserError, shorten
from ..folders import Folder
from ..layouts import Fit, Layout, Match, Misfit, Pairs, pair_files, read_image_sets
from ..records import DatasetInfo
from ..rules.findings import make_split_findings
from ..rules.parsing import UNKNOWN_LINES, UNPAIRED
from .instance_maps import read_instance_maps
from .semantic_maps import COLOURS, NAMES_TABLE, read_classes, read_semantic_maps

MAP_SUFFIXES = ('.png', '.bmp', '.tif', '.tiff')
LOSSY_SUFFIXES = ('.jpg', '.jpeg', '.gif', '.webp')  # JPEG changes values
ULTRALYTICS = 'https://docs.ultralytics.com/datasets/semantic'


@dataclass(frozen=True)
class MapFolders:
    """A tool, its documentation, and its folders of images and of maps."""

    tools: str
    source: str
    images: str
    maps: str


FOLDERS = (
    MapFolders(
        tools='Ultralytics and Kaggle (maps)',
        source=ULTRALYTICS,
        images='images',
        maps='masks',
    ),
    MapFolders(
        tools='FiftyOne (maps)',
        source='https://docs.voxel51.com/user_guide/export_datasets.html',
        images='data',
        maps='labels',
    ),
    MapFolders(
        tools='images and labels (maps)',
        source=ULTRALYTICS,
        images='images',
        maps='labels',
    ),
    MapFolders(
        tools='ADE20K (maps)',
        source='https://github.com/open-mmlab/mmsegmentation/blob/main/docs/en/user_guides/2_dataset_prepare.md',
        images='images',
        maps='annotations',
    ),
    MapFolders(
        tools='mmsegmentation (maps)',
        source='https://github.com/open-mmlab/mmsegmentation/blob/main/docs/en/advanced_guides/add_datasets.md',
        images='img_dir',
        maps='ann_dir',
    ),
    MapFolders(
        tools='labelme (maps)',
        source='https://github.com/wkentaro/labelme/tree/main/examples/semantic_segmentation',
        images='JPEGImages',
        maps='SegmentationClass',
    ),
)
# Values of --task, which say what the numbers stand for.
SEMANTIC = 'semantic'
INSTANCES = 'segment'
SPLIT_PLACES = ('{}', '{}/{{split}}', '{{split}}/{}')  # without splits, inside or outside


def make_layout(folders: MapFolders, place: str) -> Layout:
    """Return the layout of two folders, with the folders of splits in a place of SPLIT_PLACES."""
    images = place.format(folders.images)
    maps = place.format(folders.maps)
    tree = f'{images}/a.jpg\n{maps}/a.png'.replace('{split}', 'train')
    return Layout(
        tools=folders.tools, source=folders.source, tree=tree, images=images, annotations=maps
    )


CVAT = Layout(
    tools='CVAT (segmentation masks)',
    source='https://docs.cvat.ai/docs/dataset_management/formats/format-smask',
    tree=f'{COLOURS}\nJPEGImages/a.jpg\nSegmentationClass/a.png\n'
    'ImageSets/Segmentation/train.txt (or default.txt)',
    images='JPEGImages',
    annotations='SegmentationClass',
    task=SEMANTIC,
)
LAYOUTS = (
    *(make_layout(folders, place) for folders in FOLDERS for place in SPLIT_PLACES),
    CVAT,
    Layout(
        tools='Roboflow (semantic segmentation masks)',
        source='https://roboflow.com/formats/semantic-segmentation-masks',
        tree=f'train/a.jpg\ntrain/a_mask.png\ntrain/{NAMES_TABLE}',
        images='{split}',
        annotations='{split}',
        endings=('_mask',),
        task=SEMANTIC,
    ),
    *(
        Layout(
            tools='cellpose',
            source='https://cellpose.readthedocs.io/en/latest/train.html',
            tree=f'{folder}a_img.png or {folder}a.png\n{folder}a_masks.png or {folder}a_cp_masks.png',
            images=place,
            annotations=place,
            endings=('_cp_masks', '_masks'),
            task=INSTANCES,
        )
        for folder, place in (('', ''), ('train/', '{split}'))
    ),
)
ASK = (
    'do the numbers in its maps stand for classes of pixels or for single objects? Add --task '
    'semantic for classes (a number means the same in all maps), or --task segment for objects '
    '(instances: each object of an image has a number of its own)'
)


def match_layouts(folder: Folder) -> Fit:
    """Return the layouts of images with maps that a folder fits or, if there is none, the first one
    that it nearly fits.

    A layout fits if an image in its folder has a map of the same name.
    """
    is_of_cvat = (folder.path / COLOURS).is_file()
    matches = []
    misfits = []
    for layout in LAYOUTS:
        # CVAT's and labelme's folders have the same names.
        if layout.annotations == CVAT.annotations and is_of_cvat != (layout == CVAT):
            continue
        pairs = pair_files(folder, layout, MAP_SUFFIXES)
        if pairs.all:
            matches.append(Match(layout, partial(read_dataset, folder, layout, pairs)))
        elif pairs.unpaired_annotations and pairs.unpaired_images and not layout.endings:
            names = shorten([pairs.unpaired_images[0], pairs.unpaired_annotations[0]])
            misfits.append(Misfit(layout, f'no image has a map of its name ({names})'))
        elif pair_files(folder, layout, LOSSY_SUFFIXES).all:
            reason = 'its maps are not PNG, BMP or TIFF files. Save them as PNG'
            misfits.append(Misfit(layout, reason))
    if matches or not misfits:
        return Fit(matches)
    return Fit(misfit=misfits[0])


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
    listed = read_image_sets(folder, layout, pairs.by_split, subfolder='Segmentation')
    if task == SEMANTIC:
        dataset = read_semantic_maps(folder.path, listed.by_split, names=names, labels=labels)
    else:
        dataset = read_instance_maps(folder.path, listed.by_split, names)
    unpaired = [*pairs.unpaired_images, *pairs.unpaired_annotations]
    return replace(
        dataset,
        maps=[file for _, file in pairs.all],
        findings=[
            *make_findings(UNPAIRED, [str(folder.path / path) for path in unpaired]),
            *make_split_findings(UNKNOWN_LINES, listed.unknown_lines),
            *dataset.findings,
        ],
    )
