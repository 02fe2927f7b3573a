"""Values of any type in a COCO file are faults that a folder and a config find alike.

Modules: `mmgcvit/own/data/formats`, `mmgcvit/datasets/checks`.
"""

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from mmgcvit.errors import UserError
from mmgcvit.own.data.formats import read_folder

from ..own.data.formats.made import QUICK, write_example
from .checks.made import check, config

# Values of the wrong type or size, for any key of a COCO file.
VALUES = st.sampled_from(
    [10**400, 1e308, float('nan'), -1, True, '1', None, [], {}, [[]], [[[1, 2]]], [[1, 2, 3, 4]]]
)
KEYS = [
    ('annotations', 'bbox'),
    ('annotations', 'area'),
    ('annotations', 'segmentation'),
    ('images', 'width'),
    ('images', 'height'),
]


@settings(QUICK, max_examples=60)
@given(st.sampled_from(KEYS), VALUES, st.booleans())
def test_values_of_any_type_are_faults_in_folders_and_in_configs(
    tmp_path_factory, key, value, is_first
):
    """A config's check finds a fault if ``read_folder`` finds one. Both say it in sentences."""
    root, (part, name) = tmp_path_factory.mktemp('data'), key
    write_example(root, 'coco')
    for path in root.rglob('*.json'):
        content = json.loads(path.read_text())
        for entry in content[part][: 1 if is_first else None]:
            entry[name] = value
        path.write_text(json.dumps(content))
    try:
        dataset = read_folder(root)
        has_masks = dataset.annotation_types[0] == 'masks'
        messages = [note for note in dataset.notes if 'so boxes are read' not in note]
    except UserError as error:
        has_masks = True
        messages = [str(error)]
    assert len(''.join(messages)) < 5000
    loading = {'type': 'LoadAnnotations', 'with_bbox': True, 'with_mask': has_masks}
    settings = {
        'type': 'CocoDataset',
        'metainfo': {'classes': ('disc', 'square')},
        'pipeline': [{'type': 'LoadImageFromFile'}, loading],
        'ann_file': f'{root}/annotations/train.json',
        'data_prefix': {'img': f'{root}/train'},
    }
    assert bool(messages) == bool(check(config(settings)).issues)
