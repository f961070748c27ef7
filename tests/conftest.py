"""Real processes are started a hundred times: they may keep their compiled modules, whatever the environment says.

Without this a machine that sets ``PYTHONDONTWRITEBYTECODE`` compiles the whole house anew in each of them.
"""

import os
import sys

os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False
