"""Layouts: where tools and public datasets put images, annotations and splits in a folder.

Each format declares its layouts in a table (``LAYOUTS`` in ``formats/*.py``). A folder fits exactly
one with annotation files, else one of maps, else class folders, or it is rejected, with the tree of
the nearest layout if there is one. A new layout of COCO, Pascal VOC or maps is a row of a table.
The tables of YOLO, whose data.yaml has the paths, and of class folders are for messages and docs.
"""

import re
from collections.abc import Callable
from functools import cache
from typing import NamedTuple

from .records import DatasetInfo

# Names of splits (in lower case) for folders, files and keys: train, Training, train2017, val_set.
SPLIT_NAME = re.compile(
    r'(?:(?P<train>train(?:ing)?)|(?P<val>val(?:id(?:ation)?)?|dev)|(?P<test>test(?:ing)?))'
    r'[_\- ]?(?:set|data|images)?\d*'
)
# Other names of annotation files and lists for training, by CVAT, VOC and MMYOLO.
TRAIN_NAMES = ('default', 'trainval')


class Layout(NamedTuple):
    """Where a tool puts files. In paths, ``{split}`` stands for the name of a split."""

    tools: str  # which write it
    source: str  # a URL that describes it
    tree: str  # for messages and docs
    images: str = ''  # the folder of the images; '': the dataset's
    annotations: str = ''  # the annotation file, or the folder of annotation files or maps
    endings: tuple[str, ...] = ()  # of the names of maps that are beside their images
    task: str = ''  # what maps are by this layout: 'semantic' or 'segment'; '' where it is asked


class Match(NamedTuple):
    """A layout, and the function that reads a folder that fits it for a value of ``--task``.

    All of these functions take the task. Those of COCO, YOLO and Pascal VOC do not need it.
    """

    layout: Layout
    read: Callable[[str | None], DatasetInfo] | None = None
    misfit: str = ''  # why the folder does not fit
    # How much of it fits: the number of folders of images (COCO), of labelled images (YOLO) or of
    # pairs (VOC). The misfit that is closest is shown.
    closeness: int = 0


def get_split(name: str) -> str | None:
    """Return the split that a name stands for: 'train', 'val' or 'test'; None for other names."""
    match = SPLIT_NAME.fullmatch(name.lower())
    return match.lastgroup if match else None


@cache
def compile_pattern(pattern: str) -> re.Pattern[str]:
    """Return an expression for paths in any case, with the group ``split`` for ``{split}``."""
    text = re.escape(pattern).replace(re.escape('{split}'), r'(?P<split>[^/]+)', 1)
    return re.compile(text, re.IGNORECASE)
