"""Renderers: from the model to each artefact. Pure."""
