"""LSA with the mean over its tokens and a linear head, trained as gcvit_classifier.py: as DeiT."""

_base_ = 'gcvit_classifier.py'

model = dict(backbone=dict(type='mmgcvit.LSA', arch='imagenet-tiny'), head=dict(in_channels=192))
