"""Tests of the page of the local Discord."""
