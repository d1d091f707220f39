"""The tests of Atelier; the folders mirror the packages they test."""
