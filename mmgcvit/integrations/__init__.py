"""The backbones in other frameworks, one file each: transformers, timm, and torchvision's detectors.

Each is a module to import where its framework is used; nothing else in the package imports them.
"""
