"""Print the requirements in pyproject.toml, including those of given extras, one per line.

python requirements.py [EXTRA]...
"""

import sys
import tomllib
from pathlib import Path

project = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))["project"]
extras = [project["optional-dependencies"][name] for name in sys.argv[1:]]
print(
    "\n".join(requirement for group in [project["dependencies"], *extras] for requirement in group)
)
