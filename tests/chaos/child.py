"""The real command line at thumbnail sizes. The chaos test starts it where an operator starts ``atelier``.

Only the sizes, the steps and the time between checkpoints are smaller, so that a thousand jobs take about two hours.
"""

import importlib
from typing import Final, cast

from engine import presets

CHECKPOINT_EVERY: Final = 0.5
"""Seconds of work, instead of ten."""
PRESETS: Final[dict[presets.Quality, presets.Preset]] = {
    "instant": presets.Preset(64, 6, "instant"),
    "quick": presets.Preset(64, 12),
    "standard": presets.Preset(96, 50),
    "fine": presets.Preset(96, 300),
}
"""About 0.3 s, 1.5 s and 10 s on two free cores."""


def shrink() -> None:
    """Make every job a thumbnail in this process."""
    rows = cast(dict[presets.Tier, dict[presets.Quality, presets.Preset]], presets.PRESETS)
    rows.update(dict.fromkeys(rows, PRESETS))
    for name in ("engine.executor.executor", "engine.worker.tasks"):
        module = importlib.import_module(name)
        if hasattr(module, "CHECKPOINT_EVERY"):
            vars(module)["CHECKPOINT_EVERY"] = CHECKPOINT_EVERY


# Not under the condition below: a worker process that Dask spawns imports this module under another name.
shrink()

if __name__ == "__main__":
    from bot.cli.main import main

    main()
