"""Fixtures for all tests."""

import os
from pathlib import Path

import pytest
import torch
from hypothesis import settings

# How long an example takes says nothing on a machine that others use too.
settings.register_profile('shared machine', deadline=None)
settings.load_profile('shared machine')

ROOT = Path(__file__).parent.parent


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


@pytest.fixture(scope='session', autouse=True)
def in_project_root():
    """Configs name their data relative to the project, as users start them."""
    before = Path.cwd()
    os.chdir(ROOT)
    yield
    os.chdir(before)


@pytest.fixture(scope='session')
def root():
    return ROOT
