"""Backbones saved with save_pretrained: arguments, weights and feature maps are the same after loading."""

import copy
import json
import pickle
import tempfile

import numpy as np
import pytest
import torch

from mmgcvit import LSA, GCViT
from mmgcvit.errors import CheckpointError
from mmgcvit.models.base import PyramidBackbone
from mmgcvit.registry import MODELS

from ..models.contract.backbones import BACKBONES, GCVIT, LSA_ARCH

ARGUMENTS = {
    'in_channels': 4,
    'pretrain_img_size': (64, 75),
    'drop_path_rate': 0.3,
    'out_indices': (1, 3),
    'frozen_stages': 1,
    'with_cp': True,
}
BUILT = {
    **{name: build for name, (build, *_) in BACKBONES.items()},
    'all arguments': lambda: GCViT({**GCVIT, 'layer_scale': 0.1}, window_size=((4, 5), 3, (2, 7), 5), **ARGUMENTS),
    'all arguments of LSA': lambda: LSA({**LSA_ARCH, 'shifts': None}, window_size=(None, 4, 5, 6), **ARGUMENTS),
}


@pytest.fixture
def saved(tmp_path):
    """Save a small GC ViT and return the folder."""
    GCViT(GCVIT, window_size=(3, 4, 6, 7)).save_pretrained(tmp_path / 'saved')
    return tmp_path / 'saved'


def maps_of(backbone):
    images = torch.rand(1, backbone.in_channels, 64, 75, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        return backbone.eval()(images)


def check_equal(loaded, built):
    assert type(loaded) is type(built)
    assert loaded.get_constructor_arguments() == built.get_constructor_arguments()
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


@pytest.mark.parametrize('name', BUILT)
def test_loading_a_saved_backbone_restores_arguments_weights_and_outputs(name):
    built = BUILT[name]()
    check_equal(round_trip(built), built)


def test_a_registered_subclass_is_loaded_with_its_own_constructor(monkeypatch, tmp_path):
    class Parted(GCViT):
        def __init__(self, arch='tiny', *, part=None, **others):
            self.part = part
            super().__init__(arch, **{'window_size': 5, **others})

    monkeypatch.setitem(MODELS.module_dict, 'Parted', Parted)
    built = Parted(GCVIT, part={'type': 'GCViT'}, out_indices=range(1, 3), frozen_stages=np.int64(1))
    built.save_pretrained(tmp_path)
    for network in (Parted, GCViT, PyramidBackbone):
        loaded = network.from_pretrained(tmp_path)
        assert loaded.part == {'type': 'GCViT'}
        check_equal(loaded, built)
    with pytest.raises(CheckpointError, match=r'config\.json is for Parted, not for LSA'):
        LSA.from_pretrained(tmp_path)


def test_copies_keep_their_arguments_callers_cannot_change_them_and_files_have_default_permissions(tmp_path):
    arch = dict(GCVIT)
    built = GCViT(arch, 4, window_size=5)
    arch['embed_dims'] = 32
    for copied in (copy.deepcopy(built), pickle.loads(pickle.dumps(built))):
        check_equal(round_trip(copied), built)
    built.save_pretrained(tmp_path)
    content = json.loads((tmp_path / 'config.json').read_text())
    assert (content['network'], content['model_type']) == ('GCViT', 'mmgcvit')
    assert content['arguments']['arch']['embed_dims'] == 16
    (tmp_path / 'any').touch()
    assert len({path.stat().st_mode for path in tmp_path.iterdir()}) == 1


def test_arguments_of_from_pretrained_override_the_folders(saved):
    loaded = GCViT.from_pretrained(saved, out_indices=(1, 3), window_size=7)
    assert [found.shape[1] for found in maps_of(loaded)] == [32, 128]
    assert loaded.get_constructor_arguments()['window_size'] == 7
    with pytest.raises(CheckpointError, match=r'has weights of GCViT .*, but the model is GCViT'):
        GCViT.from_pretrained(saved, arch={**GCVIT, 'embed_dims': 8})


def test_saving_replaces_a_folder_only_with_overwrite(saved):
    built, other = GCViT.from_pretrained(saved), LSA(LSA_ARCH)
    with pytest.raises(FileExistsError, match=r'already has config\.json and model\.safetensors.*overwrite=True'):
        other.save_pretrained(saved)
    check_equal(GCViT.from_pretrained(saved), built)
    other.save_pretrained(saved, overwrite=True)
    check_equal(LSA.from_pretrained(saved), other)
    with pytest.raises(FileExistsError, match=r'config\.json is a file\. Choose a folder'):
        other.save_pretrained(saved / 'config.json', overwrite=True)


@pytest.mark.parametrize(
    ('changes', 'error', 'message'),
    [
        ({'model_type': 'resnet'}, CheckpointError, "its model_type is 'resnet'"),
        ({'arguments': [1]}, CheckpointError, 'is not a config of mmgcvit'),
        ({'network': 'torch.nn.Linear'}, CheckpointError, "the network 'torch.nn.Linear', which is not registered"),
        ({'network': 'ImageClassifier'}, CheckpointError, "the network 'ImageClassifier', which is not registered"),
        ({'network': 'LSA', 'arguments': {}}, CheckpointError, r'is for LSA, not for GCViT\. Use LSA\.from_pretrained'),
        ({'arguments': {'arch': {'type': 'os.system'}}}, CheckpointError, r"names the type 'os\.system', which is not"),
        ({'arguments': {'part': [{'type': 'Conv2d'}]}}, CheckpointError, "names the type 'Conv2d', which is not"),
        ({'arguments': {'colour': 1}}, TypeError, "unexpected keyword argument 'colour'"),
        ({'arguments': {'init_cfg': {'checkpoint': 'x'}}}, TypeError, 'init_cfg'),
    ],
)
def test_an_invalid_config_is_rejected_in_one_sentence(changes, error, message, saved):
    content = json.loads((saved / 'config.json').read_text())
    (saved / 'config.json').write_text(json.dumps(content | changes))
    with pytest.raises(error, match=message) as refusal:
        GCViT.from_pretrained(saved)
    assert '\n' not in str(refusal.value)


def test_missing_and_invalid_files_of_a_folder_are_named(saved):
    (saved / 'model.safetensors').unlink()
    with pytest.raises(CheckpointError, match=r'there is no checkpoint .*model\.safetensors'):
        GCViT.from_pretrained(saved)
    (saved / 'config.json').write_text('{')
    with pytest.raises(CheckpointError, match=r'config\.json is not a config of mmgcvit: Expecting'):
        GCViT.from_pretrained(saved)
    (saved / 'config.json').unlink()
    with pytest.raises(CheckpointError, match=r'saved has no config\.json\. Choose a folder'):
        GCViT.from_pretrained(saved)


def test_backbones_that_could_not_be_loaded_again_are_not_saved(tmp_path):
    class Unregistered(GCViT):
        pass

    with pytest.raises(ValueError, match=r'Unregistered is not registered.*register_module'):
        Unregistered(GCVIT).save_pretrained(tmp_path)
    backbone = GCViT(GCVIT)
    backbone.norm0.weight.data[0] = float('nan')
    with pytest.raises(CheckpointError, match=r'with NaN or infinity \(norm0\.weight\)'):
        backbone.save_pretrained(tmp_path)
    assert not list(tmp_path.iterdir())
