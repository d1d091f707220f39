"""The code that draws the project's own pictures: the demo's and the benchmarks'."""
