"""A backbone saved as a folder comes back with all arguments, all weights, and maps that are equal to the bit."""

import copy
import json
import pickle
import re
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mmgcvit import LSA, GCViT
from mmgcvit.checkpoints import CheckpointError
from mmgcvit.errors import UserError
from mmgcvit.models.base import PyramidBackbone
from mmgcvit.registry import MODELS

from ..models.contract.backbones import BACKBONES, GCVIT, LSA_ARCH

SIDES = st.integers(1, 9)
WINDOWS = SIDES | st.tuples(SIDES, SIDES)
STAGES = st.sets(st.integers(0, 3), min_size=1).map(sorted).map(tuple)
IN_ALL = {
    'in_channels': st.integers(1, 4),
    'pretrain_img_size': st.integers(32, 99) | st.tuples(st.integers(32, 99), st.integers(32, 99)),
    'drop_path_rate': st.none() | st.floats(0, 1, exclude_max=True),
    'out_indices': STAGES,
    'frozen_stages': st.integers(-1, 1),
    'with_cp': st.booleans() | st.lists(st.booleans(), min_size=4, max_size=4),
}
GCVIT_ARGUMENTS = st.fixed_dictionaries(
    {},
    optional={
        **IN_ALL,
        'arch': st.builds(lambda scale: {**GCVIT, 'layer_scale': scale}, st.none() | st.floats(1e-6, 1)),
        'window_size': SIDES | st.tuples(WINDOWS, WINDOWS, WINDOWS, WINDOWS),
    },
)
LSA_ARGUMENTS = st.fixed_dictionaries(
    {},
    optional={
        **IN_ALL,
        'arch': st.builds(
            lambda **changed: {**LSA_ARCH, **changed},
            shifts=st.none() | st.just(LSA_ARCH['shifts']),
            shift_mode=st.sampled_from(('circular', 'reflect')),
            shared_conv=st.booleans(),
            shared_position=st.booleans(),
            num_kv_heads=st.none() | st.just((1, 1, 2, 4)),
        ),
        'window_size': st.none() | SIDES | st.tuples(*[st.none() | WINDOWS] * 4),
    },
)


@pytest.fixture
def saved(tmp_path):
    """A small GC ViT's folder, and what it was written from."""
    backbone = GCViT(GCVIT, window_size=(3, (4, 5), 6, 7))
    backbone.save_pretrained(tmp_path / 'saved')
    return tmp_path / 'saved', backbone


def maps_of(backbone, images=None):
    images = torch.rand(1, backbone.in_channels, 64, 75, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        return backbone.eval()(images)


def check_equal(loaded, built):
    assert type(loaded) is type(built)
    assert loaded.constructor_arguments() == built.constructor_arguments()
    weights, expected = loaded.state_dict(), built.state_dict()
    assert weights.keys() == expected.keys()
    assert all(torch.equal(weights[name], tensor) for name, tensor in expected.items())
    assert [p.requires_grad for p in loaded.parameters()] == [p.requires_grad for p in built.parameters()]
    for found, wanted in zip(maps_of(loaded), maps_of(built), strict=True):
        assert torch.equal(found, wanted)


def round_trip(built):
    with tempfile.TemporaryDirectory() as place:
        built.save_pretrained(place)
        return type(built).from_pretrained(place)


def edit(place, **changes):
    """Change a folder's config.json; a value of None takes the key out."""
    content = {**json.loads((place / 'config.json').read_text()), **changes}
    (place / 'config.json').write_text(json.dumps({key: value for key, value in content.items() if value is not None}))


@pytest.mark.parametrize(('network', 'arguments'), [(GCViT, GCVIT_ARGUMENTS), (LSA, LSA_ARGUMENTS)])
@settings(max_examples=8, deadline=None)
@given(data=st.data())
def test_whatever_a_backbone_was_built_with_comes_back(network, arguments, data):
    built = network(**{'arch': GCVIT if network is GCViT else LSA_ARCH, **data.draw(arguments)})
    check_equal(round_trip(built), built)


def test_every_kind_of_backbone_comes_back():
    for build, *_ in BACKBONES.values():
        built = build()
        check_equal(round_trip(built), built)


def test_a_network_derived_from_another_comes_back_by_its_own_name():
    class Unnormalised(GCViT):
        def output(self, i, x):
            return x.permute(0, 3, 1, 2)

    MODELS.register_module(module=Unnormalised)
    try:
        built = Unnormalised(GCVIT)
        with tempfile.TemporaryDirectory() as place:
            built.save_pretrained(place)
            check_equal(GCViT.from_pretrained(place), built)
            check_equal(PyramidBackbone.from_pretrained(place), built)
            with pytest.raises(CheckpointError, match=r'config\.json is of a Unnormalised; the model is LSA'):
                LSA.from_pretrained(place)
    finally:
        MODELS.module_dict.pop('Unnormalised')


def test_a_constructor_of_other_arguments_is_called_with_them_again():
    class Parted(GCViT):
        def __init__(self, arch='tiny', *, part=None, **others):
            self.part = part
            super().__init__(arch, **{'window_size': 5, **others})

    MODELS.register_module(module=Parted)
    try:
        built = Parted(GCVIT, part={'type': 'GCViT'}, out_indices=range(1, 3), frozen_stages=np.int64(1))
        loaded = round_trip(built)
        assert loaded.part == {'type': 'GCViT'}
        check_equal(loaded, built)
    finally:
        MODELS.module_dict.pop('Parted')


def test_the_config_can_be_read(tmp_path):
    GCViT('xxtiny', window_size=8, out_indices=[2]).save_pretrained(tmp_path)
    assert (tmp_path / 'config.json').read_text() == (
        '{\n  "arguments": {\n    "arch": "xxtiny",\n    "drop_path_rate": null,\n    "frozen_stages": -1,\n'
        '    "in_channels": 3,\n    "lora_rank": 0,\n    "out_indices": [\n      2\n    ],\n'
        '    "pretrain_img_size": 224,\n    "window_size": 8,\n    "with_cp": false\n  },\n'
        '  "mmgcvit_version": "0.1.0",\n  "model_type": "mmgcvit",\n  "network": "GCViT"\n}\n'
    )


def test_both_files_are_for_others_to_read(saved):
    place, _ = saved
    new = place / 'new'
    new.touch()
    assert {path.stat().st_mode for path in place.iterdir()} == {new.stat().st_mode}


def test_a_copy_knows_its_arguments_and_a_caller_changes_none():
    arch = dict(GCVIT)
    built = GCViT(arch, 4, window_size=5)
    arch['embed_dims'] = 32
    assert built.constructor_arguments()['arch']['embed_dims'] == 16
    for copied in (copy.deepcopy(built), pickle.loads(pickle.dumps(built))):
        check_equal(round_trip(copied), built)


def test_arguments_of_a_call_go_before_the_folders(saved):
    place, _ = saved
    loaded = GCViT.from_pretrained(place, out_indices=(1, 3), window_size=7)
    assert [found.shape[1] for found in maps_of(loaded)] == [32, 128]
    assert loaded.constructor_arguments()['window_size'] == 7
    with pytest.raises(CheckpointError, match=r'holds weights of GCViT .*; the model is GCViT'):
        GCViT.from_pretrained(place, arch={**GCVIT, 'embed_dims': 8})


def test_nothing_is_replaced_unless_that_is_wanted(saved):
    place, built = saved
    (place / 'README.md').write_text('mine')
    other = LSA(LSA_ARCH)
    with pytest.raises(FileExistsError, match=r'has config\.json and model\.safetensors already.*overwrite=True'):
        other.save_pretrained(place)
    check_equal(GCViT.from_pretrained(place), built)
    other.save_pretrained(place, overwrite=True)
    check_equal(LSA.from_pretrained(place), other)
    assert (place / 'README.md').read_text() == 'mine'
    with pytest.raises(FileExistsError, match=r'README\.md is a file; name a folder'):
        other.save_pretrained(place / 'README.md', overwrite=True)


def test_several_may_save_to_one_folder_at_once(tmp_path):
    """What is there afterwards is one of them, with its own digest and config."""
    built = [GCViT(GCVIT), LSA(LSA_ARCH)]
    for _ in range(3):
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda network: network.save_pretrained(tmp_path, overwrite=True), built * 4))
        loaded = PyramidBackbone.from_pretrained(tmp_path)
        check_equal(loaded, built[isinstance(loaded, LSA)])
        assert len(list(tmp_path.iterdir())) == 3


def test_a_folder_has_a_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        UserError, match=r"save_pretrained was given '' as the folder; name one \('\.' is the current one"
    ):
        GCViT(GCVIT).save_pretrained('')
    assert not list(tmp_path.iterdir())


def test_what_is_interrupted_is_not_taken_for_a_backbone(saved, monkeypatch):
    """From the first replaced file on; the weights' name is given first, then config.json's."""
    place, _ = saved

    def replace(path, target):
        raise OSError('No space left on device')

    monkeypatch.setattr(Path, 'replace', replace)
    with pytest.raises(OSError, match='No space left'):
        LSA(LSA_ARCH).save_pretrained(place, overwrite=True)
    assert not list(place.glob('*.unfinished'))
    with pytest.raises(CheckpointError, match=r'there is no config\.json in'):
        GCViT.from_pretrained(place)


def test_damage_of_the_weights_is_noticed(saved):
    place, _ = saved
    content = bytearray((place / 'model.safetensors').read_bytes())
    content[-5] ^= 1
    (place / 'model.safetensors').write_bytes(content)
    with pytest.raises(CheckpointError, match=r'has another SHA-256'):
        GCViT.from_pretrained(place)


REFUSED = [
    ({'model_type': 'resnet'}, "its model_type is not 'mmgcvit'"),
    ({'auto_map': {'AutoModel': 'code.Model'}}, r"unknown keys \['auto_map'\]"),
    ({'network': None}, r"missing keys \['network'\]"),
    ({'mmgcvit_version': '99.1'}, r'was written by mmgcvit 99\.1, and this is'),
    ({'mmgcvit_version': 'newest'}, r"mmgcvit_version is 'newest'; expected one such as"),
    ({'mmgcvit_version': [1]}, r'mmgcvit_version is \[1\]; expected one such as'),
    ({'network': ['GCViT']}, 'network must be a name, and arguments an object'),
    ({'arguments': [1]}, 'network must be a name, and arguments an object'),
    ({'network': 'torch.nn.Linear'}, "names the network 'torch.nn.Linear', which is not registered"),
    ({'network': 'ImageClassifier'}, "names the network 'ImageClassifier', which is not registered"),
    ({'arguments': {'init_cfg': {'type': 'Pretrained', 'checkpoint': 'x'}}}, 'must not have init_cfg'),
    ({'arguments': {'arch': {'type': 'os.system'}}}, r"names a type 'os\.system', which is not registered"),
    ({'arguments': {'part': [{'type': 'Conv2d'}]}}, "names a type 'Conv2d', which is not registered"),
    ({'arguments': {'colour': 1}}, "describes no GCViT: .*unexpected keyword argument 'colour'"),
    ({'arguments': {'arch': 'enormous'}}, "describes no GCViT: unknown arch 'enormous'"),
    ({'arguments': {'arch': 5}}, 'describes no GCViT: arch must be a name or a dict'),
    ({'arguments': {'arch': GCVIT, 'frozen_stages': 9}}, 'describes no GCViT: frozen_stages is 9'),
    ({'arguments': {'arch': 'xxtiny'}}, r'does not belong to config\.json beside it'),
    ({'arguments': {'arch': GCVIT}}, r'does not belong to config\.json beside it'),
    ({'network': 'LSA', 'arguments': {}}, r'is of a LSA; the model is GCViT'),
]


def test_a_config_that_is_none_is_refused_in_a_sentence(saved):
    place, _ = saved
    before, wrong = (place / 'config.json').read_text(), []
    for changes, message in REFUSED:
        (place / 'config.json').write_text(before)
        edit(place, **changes)
        try:
            GCViT.from_pretrained(place)
            wrong.append((changes, 'accepted'))
        except CheckpointError as refusal:
            if not re.search(message, str(refusal)) or '\n' in str(refusal):
                wrong.append((changes, str(refusal)))
    assert not wrong


def test_a_config_cannot_ask_for_memory_that_the_weights_do_not_fill(saved):
    place, _ = saved
    for arguments in (
        {'arch': {**GCVIT, 'depths': [10**9] * 4}},
        {'arch': {**GCVIT, 'embed_dims': 8 * 10**12}},
        {'arch': GCVIT, 'window_size': 10**9},
        {'arch': GCVIT, 'in_channels': 10**30},
    ):
        edit(place, arguments=arguments)
        with pytest.raises(CheckpointError, match=r'describes no GCViT|does not belong to'):
            GCViT.from_pretrained(place)


def test_what_is_no_config_is_refused(saved):
    place, _ = saved
    for text in ('', '{', 'null', '[' * 50_000, '{"a": ' * 9_000, '9' * 5_000, '\udcff', ' ' * 70_000):
        (place / 'config.json').write_bytes(text.encode('utf-8', 'surrogateescape'))
        with pytest.raises(CheckpointError, match=r'config\.json (is no|is refused)'):
            GCViT.from_pretrained(place)


def test_a_folder_without_either_file_is_named(saved):
    place, _ = saved
    (place / 'model.safetensors').unlink()
    with pytest.raises(CheckpointError, match=r'there is no checkpoint .*model\.safetensors'):
        GCViT.from_pretrained(place)
    (place / 'config.json').unlink()
    with pytest.raises(CheckpointError, match=r'there is no config\.json in .*saved, which save_pretrained writes'):
        GCViT.from_pretrained(place)


def test_what_could_not_come_back_is_not_written(tmp_path):
    class Unregistered(GCViT):
        pass

    with pytest.raises(ValueError, match=r'Unregistered is not registered.*register_module'):
        Unregistered(GCVIT).save_pretrained(tmp_path)
    changed = GCViT(GCVIT)
    changed.stages[0].blocks[0].mlp = torch.nn.Identity()
    with pytest.raises(ValueError, match=r'other tensors than one built'):
        changed.save_pretrained(tmp_path)
    with pytest.raises(TypeError, match=r'out_indices was given <generator.* takes finite numbers'):
        GCViT(GCVIT, out_indices=(i for i in (0, 1))).save_pretrained(tmp_path)
    with pytest.raises(TypeError, match='arch was given inf'):
        GCViT({**GCVIT, 'layer_scale': float('inf')}).save_pretrained(tmp_path)
    broken = GCViT(GCVIT)
    broken.norm0.weight.data[0] = float('nan')
    with pytest.raises(CheckpointError, match=r'norm0\.weight \(values that are not finite\)'):
        broken.save_pretrained(tmp_path)
    assert not list(Path(tmp_path).iterdir())


def test_without_safetensors_a_sentence_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, 'safetensors', None)
    with pytest.raises(CheckpointError, match=r'needs safetensors: .pip install safetensors'):
        GCViT(GCVIT).save_pretrained(tmp_path)
