"""Without a framework, its door says in one sentence what to install, and the package does not miss it."""

import subprocess
import sys

import pytest

from ..conftest import ROOT

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


@pytest.mark.slow
def test_the_package_imports_none_of_them():
    code = 'import sys, mmgcvit; print([n for n in ("timm", "transformers", "huggingface_hub") if n in sys.modules])'
    ended = subprocess.run([sys.executable, '-c', code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert ended.stdout.strip().splitlines()[-1] == '[]'
