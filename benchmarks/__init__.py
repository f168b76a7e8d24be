"""Measurements, each a module run by `./dev bench NAME`; they print what they measured and beside what."""
