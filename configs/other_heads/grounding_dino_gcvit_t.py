"""MM-Grounding-DINO, GC ViT-T, COCO 2017, 12 epochs: finds what a text names. Needs BERT: docs/other_heads.md.

mmdet's mm_grounding_dino/coco/grounding_dino_swin-t_finetune_16xb4_1x_coco with another backbone. Two things differ. It
starts from ImageNet and BERT, with the warm-up of mmdet's pretraining, as nobody has trained one with GC ViT on
Objects365 and captions. The encoder keeps its activations (mmdet's num_cp needs fairscale).
"""

_base_ = [
    '../_base_/models/dino_gcvit.py',
    '../_base_/datasets/coco_detection.py',
    '../_base_/schedules/dino_12e_adamw.py',
    '../_base_/runtime_det.py',
]

# A data set gives the names of its classes as text with each image.
keys_of_tests = ('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor', 'text', 'custom_entities')
packed = dict(type='PackDetInputs', meta_keys=(*keys_of_tests, 'flip', 'flip_direction'))
train_pipeline = [*_base_.train_pipeline[:-1], packed]
test_pipeline = [*_base_.test_pipeline[:-1], dict(type='PackDetInputs', meta_keys=keys_of_tests)]
*before_views, views = _base_.tta_pipeline
tta_pipeline = [*before_views, dict(type='TestTimeAug', transforms=[*views.transforms[:-1], [packed]])]
train_dataloader = dict(batch_size=8, dataset=dict(pipeline=train_pipeline, return_classes=True))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline, return_classes=True))
test_dataloader = val_dataloader

lang_model_name = 'bert-base-uncased'
released = 'https://huggingface.co/nvidia/GCViT/resolve/main/gcvit_1k_tiny.pth.tar'
text_attention = dict(num_heads=4, embed_dims=256, dropout=0.0)
model = dict(
    type='mmgcvit.GroundingDINO',
    backbone=dict(init_cfg=dict(type='Pretrained', checkpoint=released)),
    language_model=dict(
        type='BertModel',
        name=lang_model_name,
        max_tokens=256,
        pad_to_max=False,
        use_sub_sentence_represent=True,
        special_tokens_list=['[CLS]', '[SEP]', '.', '?'],
        add_pooling_layer=False,
    ),
    neck=dict(bias=True),
    encoder=dict(
        text_layer_cfg=dict(
            self_attn_cfg=text_attention, ffn_cfg=dict(embed_dims=256, feedforward_channels=1024, ffn_drop=0.0)
        ),
        fusion_layer_cfg=dict(v_dim=256, l_dim=256, embed_dim=1024, num_heads=4, init_values=1e-4),
    ),
    decoder=dict(layer_cfg=dict(cross_attn_text_cfg=dict(embed_dims=256, num_heads=8, dropout=0.0))),
    bbox_head=dict(type='GroundingDINOHead', contrastive_cfg=dict(max_text_len=256, log_scale='auto', bias=True)),
    train_cfg=dict(
        assigner=dict(
            match_costs=[
                dict(type='BinaryFocalLossCost', weight=2.0),
                dict(type='BBoxL1Cost', weight=5.0, box_format='xywh'),
                dict(type='IoUCost', iou_mode='giou', weight=2.0),
            ]
        )
    ),
)

param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, by_epoch=False, begin=0, end=1000),
    dict(type='MultiStepLR', begin=0, end=12, by_epoch=True, milestones=[8, 11], gamma=0.1),
]
optim_wrapper = dict(
    optimizer=dict(lr=2e-4, weight_decay=1e-4),
    paramwise_cfg=dict(_delete_=True, custom_keys=dict(backbone=dict(lr_mult=0.1), language_model=dict(lr_mult=0.1))),
)
auto_scale_lr = dict(base_batch_size=64)
