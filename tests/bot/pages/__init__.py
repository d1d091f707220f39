"""Tests of the pages in a real browser, with the real bot and a real worker."""
