"""What pyproject.toml cannot say: the folder ``agents/`` is installed as ``hwgym_agents``."""

from setuptools import find_packages, setup

setup(
    packages=[*find_packages(include=["hwgym", "hwgym.*"]), "hwgym_agents"],
    package_dir={"hwgym_agents": "agents"},
)
