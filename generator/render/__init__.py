"""Renderers: from the model to each artefact, one folder per kind. Pure: no files, no clock, no network.

This folder itself holds `links`, the URLs that several artefacts show; it may import only `text`. The folders import
it, and never each other. Begin to read with `render.policy`, the simplest renderer.
"""
