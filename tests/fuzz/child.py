"""Run targets on damaged samples in a process with limits on memory and time.

python tests/fuzz/child.py SEED COUNT FOUND TARGET...

Prints one line of JSON for each completed target. An input that kills this process, takes too long
or raises an undocumented error is left in the folder FOUND, named after its target.
"""

import json
import random
import resource
import signal
import sys
import time
import traceback
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from support.fuzz.edits import drawn_edits, edited
from support.fuzz.targets import TARGETS, Target

MEMORY_BYTES = 3 * 2**30
INPUT_S = 30
"""The longest time for one input; SIGALRM then ends the process."""


def try_target(target: Target, dice: random.Random, count: int, found: Path) -> dict[str, object]:
    """Run a target on a number of damaged samples, and return the outcome."""
    seeds = target.seeds()
    faults: list[str] = []
    longest_s = 0.0
    for seed in seeds:
        target.run(seed)  # intact samples must be readable
    for number in range(count):
        data = edited(dice.choice(seeds), drawn_edits(dice))
        path = found / f"{target.name}-{number}"
        path.write_bytes(data)
        begin = time.monotonic()
        signal.alarm(INPUT_S)
        try:
            target.run(data)
            path.unlink()
        except Exception as error:
            place = traceback.extract_tb(error.__traceback__)[-1]
            faults.append(f"{path.name}: {type(error).__name__} in {place.name}: {error}"[:300])
        finally:
            signal.alarm(0)
        longest_s = max(longest_s, time.monotonic() - begin)
    return {"target": target.name, "done": count, "faults": faults, "longest_s": longest_s}


def main() -> None:
    """Parse the command line and run."""
    seed, count, found, *names = sys.argv[1:]
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY_BYTES, MEMORY_BYTES))
    for name in names:
        dice = random.Random(f"{name} {seed}")
        print(json.dumps(try_target(TARGETS[name], dice, int(count), Path(found))), flush=True)


if __name__ == "__main__":
    main()
