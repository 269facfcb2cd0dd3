"""No family: what those share that map a layer."""

from hwgym.families.mapped.layers import find_layer

__all__ = ["find_layer"]
