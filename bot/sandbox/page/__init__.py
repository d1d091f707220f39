"""The local Discord as a page in a browser. `contract.py` documents what page and server say to each other."""
