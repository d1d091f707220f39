"""Everything about the picture: recipe, decoding, VGG19, losses, the optimisation loop, the executor.

Importing this package, its recipe or its executor never imports torch: only the modules that compute do.
"""
