"""The networks. Begin reading in gcvit/backbone.py."""
