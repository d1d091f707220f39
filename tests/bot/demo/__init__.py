"""Tests of the pictures that come with Atelier."""
