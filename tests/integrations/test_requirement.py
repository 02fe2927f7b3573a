"""Without a framework, its door says in one sentence what to install, and the package does not miss it."""

import sys

import pytest

REFUSALS = {
    'timm': "mmgcvit.integrations.timm needs timm, not installed here: 'pip install timm', or mmgcvit[checkpoints]",
    'transformers': (
        "mmgcvit.integrations.transformers needs transformers, not installed here: 'pip install transformers', or "
        'mmgcvit[transformers]'
    ),
}


@pytest.mark.parametrize('package', REFUSALS)
def test_a_missing_framework_is_a_sentence(package, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.delitem(sys.modules, f'mmgcvit.integrations.{package}', raising=False)
    with pytest.raises(ImportError) as refusal:
        __import__(f'mmgcvit.integrations.{package}')
    assert str(refusal.value) == REFUSALS[package]
