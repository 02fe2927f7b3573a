"""Use the backbones in other frameworks. Import the module of your framework. This package imports none."""
