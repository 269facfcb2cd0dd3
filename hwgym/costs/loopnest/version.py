"""The version of the model."""

VERSION = 3
"""Of the model and its lattice: tables of another are not read."""
