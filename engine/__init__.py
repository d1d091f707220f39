"""Painting: recipe, decoding, VGG19, losses, optimisation, and the executor that runs it on workers.

Importing this package, its recipe or its executor never imports torch. Only modules that compute import it.
"""
