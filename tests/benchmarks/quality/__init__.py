"""The quality of pictures: Atelier, candidates for its defaults, and peers, on the same contents and styles.

``python -m tests.benchmarks.quality`` paints each content in each style, judges the paintings by measures that nobody
optimised (:mod:`tests.benchmarks.measures`), paints some again at each of several strengths, and leaves contact sheets
and crops for the eye.
"""
