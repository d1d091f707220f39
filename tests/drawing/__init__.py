"""The code that draws the project's own pictures: those of the demo, and those of the benchmarks."""
