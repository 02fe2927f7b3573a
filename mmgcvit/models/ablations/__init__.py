"""Ablation variants of GC ViT and LSA, those of the papers' tables.

Each variant replaces one part of its paper's network. docs/ablations.md lists them by table. The
configs in configs/ablations import this folder through ``custom_imports``; nothing else in the
package imports it.
"""

from . import gcvit_variants, lsa_first_block  # noqa: F401
