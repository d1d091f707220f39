"""The bot's process loads no torch. A worker loads no compiler of torch. `lint-imports` checks all other rules."""

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
import torch
from PIL import Image
from engine.images.codec import Picture
from engine.painting.loop import paint
from engine.recipe import Inputs, Recipe
from engine.vgg.vgg19 import load_cached
picture = Picture(Image.effect_noise((64, 64), 90).convert("RGB"))
network = load_cached("embedded", torch.device("cpu"), torch.float32)
print([event.step for event in paint(Inputs(picture, (picture,)), Recipe(size=64, steps=1), network)])
print(*sorted({"torch._dynamo", "torchvision"} & sys.modules.keys()))
"""


def test_the_bot_loads_no_torch_and_a_worker_loads_no_compiler() -> None:
    """The compiler takes as long to load as everything else that a worker loads."""
    done = subprocess.run([sys.executable, "-c", COLD], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["", "True", "[1]", ""]
