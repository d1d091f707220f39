"""The feature extractor: VGG19 and its weights."""
