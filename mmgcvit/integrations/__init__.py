"""The backbones in other frameworks. Users import the module of their framework; the package itself imports none."""
