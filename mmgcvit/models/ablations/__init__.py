"""Ablation variants of GC ViT, those of the paper's tables.

Each variant replaces one part of the paper's network. docs/ablations.md lists them by table. The
configs in configs/ablations import this folder through ``custom_imports``; nothing else in the
package imports it.
"""

from . import gcvit_variants  # noqa: F401
