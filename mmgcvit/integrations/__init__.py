"""Use the backbones in other frameworks. Import the module of your framework; the package itself imports none."""
