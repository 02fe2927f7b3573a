"""mmdet's Grounding DINO learns and finds on the backbone, with a small BERT. Run by make test-grounding."""

import pytest

pytest.importorskip('transformers', reason='beside the environment: make test-grounding')

import torch
from mmengine.registry import MODELS
from transformers import BertConfig, BertModel, __version__

import mmgcvit
from mmgcvit.config import enter_scope
from mmgcvit.experiments.complexity import count_macs, count_parameters, model_parts

from ..configs.models import ENTRIES, read
from ..conftest import ROOT
from ..tools.commands import call

pytestmark = pytest.mark.skipif(not __version__.startswith('4.'), reason="mmdet's BERT is of transformers 4")
NAME = 'other_heads/grounding_dino_gcvit_t'
WORDS = ('[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]', '.', '?', 'nut', 'bolt', 'person')
SMALL = {'vocab_size': len(WORDS), 'num_hidden_layers': 1, 'intermediate_size': 64}


def bert(sizes):
    """The base one but for these; mmdet takes none of what it pools."""
    return BertModel(BertConfig(**sizes), add_pooling_layer=False)


@pytest.fixture(scope='module')
def small_bert(tmp_path_factory):
    """A folder such as the Hub's, with weights by chance; most words are unknown."""
    folder = tmp_path_factory.mktemp('bert')
    torch.manual_seed(0)
    bert(SMALL).save_pretrained(folder)
    (folder / 'vocab.txt').write_text('\n'.join(WORDS))
    return folder


def costs(sizes):
    """A BERT's parameters, and its multiply-adds for a text of 256 tokens."""
    with torch.device('meta'):
        model = bert(sizes)
        tokens, seen = torch.zeros(1, 256, dtype=torch.long), torch.ones(1, 256, 256)
        found = count_parameters(model), count_macs(lambda: model(tokens, attention_mask=seen))
    return torch.tensor(found)


def test_parameters_and_multiply_adds_with_berts_base_are_those_of_the_metafile(small_bert):
    cfg, metadata = read(NAME), ENTRIES[NAME]['Metadata']
    cfg.model.language_model.name = str(small_bert)
    enter_scope(cfg)
    model = MODELS.build(cfg.model)
    parts = model_parts(model, tuple(map(int, metadata['FLOPs Input Size'].split('x'))))
    found = torch.tensor([count_parameters(model), sum(part.macs for part in parts)])
    assert (found - costs(SMALL) + costs({})).tolist() == [metadata['Parameters'], metadata['FLOPs']]


def test_the_dry_run_goes_through_it_and_what_is_loaded_finds_the_classes_that_it_is_told(small_bert, tmp_path):
    config = ROOT / 'configs' / f'{NAME}.py'
    small = (f'language_model.name={small_bert}', 'encoder.num_layers=1', 'decoder.num_layers=1')
    options = ['--shrink', 16, '--keep', tmp_path, '--cfg-options', *(f'model.{setting}' for setting in small)]
    output = call('', '-m', 'mmgcvit', 'dry-run', config, *options)
    assert 'all steps OK' in output

    model = mmgcvit.load(tmp_path / 'run')
    assert len(model.classes) == 80
    model.score_thr = 0
    scores = {}
    for names in (['nut'], ['bolt'], ['nut', 'unknown thing']):
        model.classes = names
        found = model(str(ROOT / 'docs' / 'images' / 'digits.jpg'))
        assert set(found.class_names) <= set(names)
        scores[names[-1]] = found.scores.max()
    assert scores['nut'] != scores['bolt']
