"""Agents that search hwgym's environments, and a demonstration of one."""
