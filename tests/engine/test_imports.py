"""The bot's process and the command line start without torch. `lint-imports` checks all other rules on imports."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
COLD = """
import sys
import bot.app, bot.cli.main
import engine.cli.stylize, engine.executor.executor, engine.images.decoder_process, engine.worker.tasks
print(*sorted({"torch", "torchvision"} & sys.modules.keys()))
import engine.runtime.devices
print("torch" in sys.modules)  # else the line above could not fail
"""


def test_nothing_that_the_bot_loads_at_start_brings_torch() -> None:
    done = subprocess.run([sys.executable, "-c", COLD], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["", "True"]
