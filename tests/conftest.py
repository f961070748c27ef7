"""What all tests share: children that keep their compiled modules, and the longest files first.

Without the first a machine that sets ``PYTHONDONTWRITEBYTECODE`` compiles the whole house anew in each of a hundred
processes. Without the second one worker ends with the real processes while the other is idle.
"""

import os
import sys

import pytest

os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.path.parent.name != "whole")
