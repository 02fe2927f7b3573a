"""Point a config at miniature data of the kind that it reads."""

import inspect
import math
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

from mmengine.config import Config, ConfigDict

from ...datasets.checks import class_of, kind_of, leaf_datasets, type_name
from ...datasets.classes import coco_categories, imagenet_folders
from ...datasets.miniature import write_miniature_ade20k, write_miniature_coco, write_miniature_imagenet
from ...hosts.configs import enter_scope
from .configs import LOADERS, as_list, rewritten
from .schedule import BATCH_SIZE, ITERATIONS

NUM_TESTED = 3
MOST_CLASSES = 1000
ADE_FOLDERS = {'train': 'training', 'val': 'validation'}
ADE_PLACES = {'img_path': 'images', 'seg_map_path': 'annotations'}
CIFAR_SIDE = 32
# Laid out as ImageNet, with other folders.
OTHER_FOLDERS = 'ImageNetV2'
REMOTE = ('backend_args', 'file_client_args')


def limit_data(cfg: Config) -> list[str]:
    """Load few images in small batches, in the process itself."""
    for name in LOADERS:
        if not cfg.get(name):
            continue
        training = name == 'train_dataloader'
        loader = {key: value for key, value in cfg[name].items() if key not in ('prefetch_factor', 'timeout')}
        loader.update(num_workers=0, persistent_workers=False, batch_size=BATCH_SIZE if training else 1)
        loader['num_batch_per_epoch'] = ITERATIONS if training else NUM_TESTED
        cfg[name] = loader
    return [f'{NUM_TESTED} images validated and tested, no worker processes']


def use_miniature_data(cfg: Config, root: Path) -> list[str]:
    """Write miniature data with the config's classes, and have the config read that.

    Raises:
        SystemExit: A data set is of a kind that there is no miniature of, or its classes contradict another's.
    """
    enter_scope(cfg)
    for name in LOADERS:
        if cfg.get(name):
            # Loaders that are one and the same in the file get data sets of their own.
            cfg[name].dataset = rewritten(deepcopy(cfg[name].dataset), without_servers)
    found = list(datasets_of(cfg))
    kinds = {miniature_of(dataset) for _, dataset in found}
    notes = []
    for kind in sorted(kinds):
        members = [(split, dataset) for split, dataset in found if miniature_of(dataset) == kind]
        notes.append(MAKERS[kind](cfg, members, root))
    point_evaluators(cfg, root)
    return notes


def datasets_of(cfg: Config) -> Iterator[tuple[str, ConfigDict]]:
    """The innermost data sets of all loaders, each with its split."""
    for name, split in LOADERS.items():
        for dataset in leaf_datasets((cfg.get(name) or {}).get('dataset')):
            yield split, dataset


def miniature_of(dataset: ConfigDict) -> str:
    """The kind of data that stands in for what a data set reads.

    Raises:
        SystemExit: There is no miniature of that kind.
    """
    kind = kind_of(dataset)
    if kind is None or OTHER_FOLDERS in [base.__name__ for base in inspect.getmro(class_of(dataset))]:
        raise SystemExit(
            f'there is no miniature of what {type_name(dataset)} reads, only of data laid out as COCO, ADE20K, '
            'ImageNet or CIFAR; --own-data takes the first images of the data that the config names'
        )
    return kind


def classes_of(dataset: ConfigDict) -> tuple[str, ...] | None:
    """The classes that a data set's ``metainfo`` names, or else its own; None where only the data tells."""
    classes = (dataset.get('metainfo') or {}).get('classes') or (
        getattr(class_of(dataset), 'METAINFO', None) or {}
    ).get('classes')
    if isinstance(classes, str):
        return tuple(Path(classes).read_text().split('\n')) if Path(classes).is_file() else (classes,)
    return tuple(classes) if classes else None


def shared_classes(members: Sequence[tuple[str, ConfigDict]]) -> tuple[str, ...] | None:
    """The classes of several data sets.

    Raises:
        SystemExit: They contradict each other: ``metainfo`` belongs to each data set.
    """
    classes = [classes_of(dataset) for _, dataset in members]
    for (split, dataset), other in zip(members, classes, strict=True):
        if other != classes[0]:
            raise SystemExit(
                f"the {split} data set ({type_name(dataset)}) has {described(other)}, the first one's are "
                f'{described(classes[0])}; give every data set the same metainfo=dict(classes=...)'
            )
    return classes[0]


def described(classes: Sequence[str] | None) -> str:
    """How many classes, and the first of them."""
    return f'{len(classes)} classes ({", ".join(classes[:3])}, ...)' if classes else 'no classes'


def other_heads(cfg: Config, num_classes: int) -> str:
    """A warning where heads have another number of classes than the data; a single one is "object or not"."""
    numbers = set()

    def note(settings: dict[str, Any]) -> dict[str, Any]:
        numbers.add(settings.get('num_classes', 1))
        return settings

    rewritten(cfg.model, note)
    others = sorted(numbers - {1, num_classes})
    return f'\n  WARNING: num_classes of the model is {", ".join(map(str, others))}' if others else ''


def use_coco(cfg: Config, members: Sequence[tuple[str, ConfigDict]], root: Path) -> str:
    """Detection and instance segmentation."""
    classes = shared_classes(members) or ('object',)
    write_miniature_coco(root / 'coco', coco_categories(classes))
    for split, dataset in members:
        dataset.update(
            data_root=f'{root / "coco"}/',
            ann_file=f'annotations/instances_{split}2017.json',
            data_prefix={'img': f'{split}2017/'},
        )
    return f'data: miniature COCO with {described(classes)} at {root / "coco"}{other_heads(cfg, len(classes))}'


def use_ade20k(cfg: Config, members: Sequence[tuple[str, ConfigDict]], root: Path) -> str:
    """Semantic segmentation."""
    classes = shared_classes(members) or ('background', 'object')
    folder = root / 'ADEChallengeData2016'
    # Without "not labelled" the labels begin at 0.
    num_labels = len(classes) if all(reduces_zero_label(dataset) for _, dataset in members) else len(classes) - 1
    write_miniature_ade20k(folder, max(num_labels, 1))
    for split, dataset in members:
        dataset.update(
            data_root=str(folder),
            ann_file='',
            data_prefix={kind: f'{place}/{ADE_FOLDERS[split]}' for kind, place in ADE_PLACES.items()},
            img_suffix='.jpg',
            seg_map_suffix='.png',
        )
    return f'data: miniature ADE20K with {described(classes)} at {folder}{other_heads(cfg, len(classes))}'


def reduces_zero_label(dataset: ConfigDict) -> bool:
    """Whether label 0 is "not labelled" to a data set."""
    if 'reduce_zero_label' in dataset:
        return bool(dataset.reduce_zero_label)
    parameter = inspect.signature(class_of(dataset)).parameters.get('reduce_zero_label')
    return parameter is not None and parameter.default is True


def use_imagenet(cfg: Config, members: Sequence[tuple[str, ConfigDict]], root: Path) -> str:
    """Classification."""
    classes = shared_classes(members)
    num_classes = len(classes) if classes else cfg.model.head.num_classes
    if num_classes > MOST_CLASSES:
        raise SystemExit(f"there is no miniature with {num_classes} classes; --own-data takes the config's own data")
    official = num_classes == MOST_CLASSES
    folders = imagenet_folders() if official else [f'class_{number:03d}' for number in range(num_classes)]
    # As many images as the iterations take, of few classes too.
    per_folder = math.ceil(ITERATIONS * BATCH_SIZE / num_classes)
    write_miniature_imagenet(root / 'imagenet', folders, per_folder=per_folder)
    for split, dataset in members:
        dataset.update(data_root=str(root / 'imagenet'), ann_file='', data_prefix=split)
        dataset.pop('split', None)
    return f'data: miniature ImageNet with {num_classes} classes at {root / "imagenet"}'


def use_cifar(cfg: Config, members: Sequence[tuple[str, ConfigDict]], root: Path) -> str:
    """Classification of images of 32 px, read from folders: the files of CIFAR itself have fixed checksums."""
    classes = shared_classes(members)
    write_miniature_imagenet(root / 'cifar', classes)
    for split, dataset in members:
        pipeline = [{'type': 'LoadImageFromFile'}, {'type': 'Resize', 'scale': CIFAR_SIDE}, *dataset.pipeline]
        dataset.clear()
        dataset.update(
            type='CustomDataset',
            data_root=str(root / 'cifar'),
            data_prefix=split,
            metainfo={'classes': classes},
            pipeline=pipeline,
        )
    return f'data: folders of images with {described(classes)} at {root / "cifar"}; NOT rehearsed: reading CIFAR itself'


MAKERS = {'coco': use_coco, 'ade20k': use_ade20k, 'imagenet': use_imagenet, 'cifar': use_cifar}


def point_evaluators(cfg: Config, root: Path) -> None:
    """Have scores computed against the miniature's annotations."""
    for name in ('val_evaluator', 'test_evaluator'):
        if not cfg.get(name):
            continue
        for evaluator in as_list(cfg[name]):
            if evaluator.get('ann_file'):
                evaluator.ann_file = str(root / 'coco' / 'annotations' / 'instances_val2017.json')
        cfg[name] = rewritten(cfg[name], without_servers)


def without_servers(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings that read from the disk."""
    return {key: None if key in REMOTE else value for key, value in settings.items()}
