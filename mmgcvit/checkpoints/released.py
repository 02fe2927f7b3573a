"""The files of GC ViT that its authors, timm and NVIDIA TAO released: their names, the revision of
the authors' repository, and the SHA-256 that they have.
"""

# On Hugging Face's hub. Configs name the branch main, which can change. These are the files of its
# revision of 22 July 2023, as the hub listed them on 29 November 2026.
REPOSITORY = 'nvidia/GCViT'
REVISION = '7258362c7ffd1a9b5927e5f180b0a2ab543e11f8'
# By the name of a file, '' where it is not known
SHA256 = {
    'gcvit_1k_xxtiny.pth.tar': '',
    'gcvit_1k_xtiny.pth.tar': 'd7754bac609e72e3381d6c2455424ba266bd295924eaa787188a4be40f7d394f',
    'gcvit_1k_tiny.pth.tar': '30ac1c312765a6fea8fff75d7e15b18f675d923f8c1af041d226041865add8b7',
    'gcvit_1k_tiny2.pth.tar': 'aed13457a55f56a6f8107598ab255dc86576417361e6518553447438e136e4c5',
    'gcvit_1k_small.pth.tar': '',
    'gcvit_1k_small2.pth.tar': '2252d049e127dcbb4d97e641c6fc345c8304e0e0bff6e2243065554826e52f60',
    'gcvit_1k_base.pth.tar': '068b5af7c13234fe3cbee7f4e5a622d1545a706d92bdb6bf69cd0f922aa444ec',
    'gcvit_1k_large.pth.tar': '180dabb77950bf2f8a778fc947d6cbf21a21e2cd14af4751b6ce3862c01e36ba',
    'gcvit_21k_large_224.pth.tar': (
        '59c5a785b45d9babc40eb818feebdc32a848ac62da13cb1716aacc8c66873956'
    ),
    'gcvit_21k_large_384.pth.tar': (
        '9ee1f5e378e208f4ae41c4643da205d819879a1906d72fdd87771ad965e22ebd'
    ),
    'gcvit_21k_large_512.pth.tar': (
        'dbc633d63bd234ae32d5636fdbc860df3a445c3b22b4c41699dc780c812be890'
    ),
}
# The authors' first files, as timm's release v0.1-weights-morevit has them, and the first digits of
# the SHA-256, which their names end in. timm's repositories on the hub have the same weights.
TIMM_SHA256 = {
    f'gcvit_{size}_224_nvidia-{digits}.pth': digits
    for size, digits in {
        'xxtiny': 'd1d86009',
        'xtiny': '274b92b7',
        'tiny': 'ac783954',
        'small': '4e98afa2',
        'base': 'f009139b',
    }.items()
}
# Of NVIDIA TAO, in NVIDIA's catalogue NGC
TAO_FILES = (
    *(f'gcvit_{size}_nvimagenet.pth' for size in ('xxtiny', 'xtiny', 'tiny', 'small', 'base')),
    'dino_gcvit_tiny0_ep12.pth',
    'dd_gcvit_tiny_ep50.pth',
)
