"""Tests of the operator's HTTP side."""
