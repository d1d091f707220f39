"""Tests of what members can say."""
