"""``mmgcvit export`` writes a file, says how far it is from the model, and replaces nothing by itself."""

import sys

import onnxruntime
import pytest

from mmgcvit.commands.main import run_command

from .conftest import DEMO

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings('ignore')]


def test_a_config_with_weights_becomes_a_file(monkeypatch, tmp_path, capsys):
    target = tmp_path / 'digits.onnx'
    arguments = ['mmgcvit export', str(DEMO / 'gcvit_digits_cls.py'), str(target)]
    monkeypatch.setattr(sys, 'argv', arguments)
    run_command('export')
    printed = capsys.readouterr().out
    assert f'{target}: classification, ' in printed
    assert 'largest difference from the model in onnxruntime: ' in printed
    content = target.read_bytes()
    assert onnxruntime.InferenceSession(content).get_modelmeta().custom_metadata_map['task'] == 'classification'
    with pytest.raises(SystemExit, match='exists; name another file'):
        run_command('export')
    assert target.read_bytes() == content
    assert list(tmp_path.iterdir()) == [target]
