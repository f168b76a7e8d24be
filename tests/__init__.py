"""Tests, and the helpers they share (waiting, tools)."""
