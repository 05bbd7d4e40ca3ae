"""Fuzz one target for any time, guided by the coverage of icstream's own code.

    pip install atheris
    python tests/fuzz/long.py annotation -max_total_time=3600 -rss_limit_mb=3000 runs/corpus

The arguments after the target are for libFuzzer: its options, and a folder for its corpus. A
failing input is saved as crash-..., timeout-... or oom-... in the current folder.
"""

import sys
from pathlib import Path

import atheris

sys.path.insert(0, str(Path(__file__).parents[1]))

with atheris.instrument_imports(include=["icstream"]):
    from support.fuzz.targets import TARGETS


def main() -> None:
    """Parse the command line and fuzz."""
    program, name, *options = sys.argv
    if name not in TARGETS:
        sys.exit(f"{name}: no such target; there are {', '.join(TARGETS)}")
    target = TARGETS[name]
    corpus = [Path(option) for option in options if not option.startswith("-")]
    if corpus:
        corpus[0].mkdir(parents=True, exist_ok=True)
        for number, seed in enumerate(target.seeds()):
            (corpus[0] / f"seed-{number}").write_bytes(seed)
    atheris.Setup([program, "-timeout=30", *options], target.run)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
