"""Define key mappings of LSA checkpoints: tables of the authors' and of this package's state dict keys.

Only the keys differ; values and shapes are equal. :class:`KeyMapping` explains the rows.
"""

from ...checkpoints.translating import SAME, KeyMapping, make_own_mapping

ORIGINAL_ATTENTION = 'layers.{number}.0.layers.{number}.0.'
ATTENTION = 'stages.{number}.blocks.{number}.attn.'
POSITION_AND_NORMS = {'pos_emb': 'position.pos_embed', 'norm1.': 'norm1.', 'norm2.': 'norm2.'}

ORIGINAL = KeyMapping(
    name='the original LSA',
    signature_key='to_patch_embedding.projections.0.weight',
    rows=(
        ('to_patch_embedding.projections.', 'stem.convs.', SAME),
        ('layers.{number}.0.', 'stages.{number}.', POSITION_AND_NORMS),
        # Only the first block, which attends to the shifted copies, has the keys Wq_even and Wkv_even.
        ('layers.0.0.layers.0.0.', 'stages.0.blocks.0.attn.', {'Wq_even.': 'q.', 'Wkv_even.': 'kv.', 'proj.': 'proj.'}),
        (ORIGINAL_ATTENTION, ATTENTION, {'Wq_odd.': 'q.', 'Wkv_odd.': 'kv.', 'proj.': 'proj.'}),
        ('layers.{number}.0.layers.{number}.1.', 'stages.{number}.blocks.{number}.mlp.', SAME),
        ('layers.{number}.1.', 'downsamplers.{number}.', SAME),
        ('norm{number}.', 'norm{number}.', SAME),
        ('norm.', 'final_norm.', SAME),
        ('mlp_head.', 'head.fc.', SAME),
    ),
    short_name='original',
)

OWN = make_own_mapping(signature_key='stem.convs.0.weight')

KEY_MAPPINGS = (ORIGINAL, OWN)
