"""Classification: images in a folder for each class, or listed with their labels."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mmengine.dataset import BaseDataset

from ...errors import first_line
from .images import Picture, check_all_listed, check_presence
from .labels import NO_IMAGES
from .problems import NUM_EXAMPLES, Kind, Outcome, Report
from .sources import place_of

NO_LIST = Kind('cannot be listed', Outcome.STOPS, 'look at data_prefix, ann_file and classes in the config')
OUT_OF_RANGE = Kind('labels beyond the classes', Outcome.STOPS, 'look at the classes')
OTHER_NAME = Kind(
    'folders whose label is another class than they are named after',
    Outcome.STOPS,
    'sort metainfo.classes as the folders, or leave it out: labels are numbers of sorted folders',
)


def check_folders(dataset: BaseDataset, report: Report) -> list[Picture]:
    """Report what is wrong with a classification set as it is listed; its images that are there.

    Args:
        dataset: mmpretrain's CustomDataset or one derived from it, not yet loaded. Its classes are known afterwards.
        report: Gets the problems.
    """
    place = place_of(dataset)
    try:
        listed = dataset.load_data_list()
    # Whatever the hosts find wrong: their own assertions, a label that is no number, a line without one.
    except Exception as error:
        report.add(NO_LIST, place, [first_line(error)])
        return []
    if not listed:
        report.add(NO_IMAGES, place)
    if dataset.with_label and dataset.CLASSES is not None:
        check_labels(place, listed, dataset, report)
    paths = [entry['img_path'] for entry in listed]
    if dataset.ann_file:
        absent = check_presence(place, paths, report)
        return [Picture(path) for path in paths if path not in absent]
    check_all_listed(place, dataset.img_prefix, paths, report)
    return [Picture(path) for path in paths]


def check_labels(place: str, listed: Sequence[Mapping[str, Any]], dataset: BaseDataset, report: Report) -> None:
    """Compare labels with the classes, and where folders are named after classes, with these."""
    classes = dataset.CLASSES
    beyond = [entry for entry in listed if not 0 <= entry['gt_label'] < len(classes)]
    if beyond:
        report.add(OUT_OF_RANGE, place, [f'{entry["img_path"]} has label {entry["gt_label"]}' for entry in beyond])
        return
    labels = labels_of_folders(listed, dataset.img_prefix)
    wrong = list(swapped_names(labels, classes))
    if wrong:
        report.add(OTHER_NAME, place, wrong)
    are_published = (type(dataset).METAINFO or {}).get('classes') is not None
    if not are_published and not any(alike(folder) in map(alike, classes) for folder, _ in labels):
        called = ', '.join(f'{folder!r} {classes[label]!r}' for folder, label in list(labels)[:NUM_EXAMPLES])
        report.note(f'{place}: no folder is named after a class; look whether the names are right: {called}')


def labels_of_folders(listed: Sequence[Mapping[str, Any]], prefix: str) -> dict[tuple[str, int], None]:
    """Each folder of the first level with each of its images' labels, in order."""
    parts = ((entry['img_path'].removeprefix(prefix).lstrip('/').split('/'), entry['gt_label']) for entry in listed)
    return dict.fromkeys((folders[0], label) for folders, label in parts if len(folders) > 1)


def swapped_names(labels: Mapping[tuple[str, int], None], classes: Sequence[str]) -> Iterator[str]:
    """The folders that have the name of a class and the label of another, in words."""
    class_of_name = {alike(name): name for name in classes}
    for folder, label in labels:
        named_after = class_of_name.get(alike(folder))
        if named_after is not None and classes[label] != named_after:
            yield f'{folder!r} would be called {classes[label]!r}'


def alike(name: str) -> str:
    """A name as it is compared: folders are often written with other capitals, and without spaces."""
    return name.casefold().replace('_', ' ').replace('-', ' ')
