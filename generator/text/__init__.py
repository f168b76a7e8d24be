"""Writes plain data as text: the same data always gives the same bytes.

This wing may import only `units`. Begin to read with `yaml_text`, which writes every YAML artefact.
"""
