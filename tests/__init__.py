"""The tests of Atelier; the folders mirror the packages they test."""

from engine.runtime.openmp import spin_briefly

spin_briefly()  # here, because tests and benchmarks import torch first
