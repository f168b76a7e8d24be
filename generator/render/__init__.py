"""Renderers: from the model to each generated file. Pure: no renderer reads or writes files.

Each folder renders one kind of artefact. Imports `model` and what lies below.
"""
