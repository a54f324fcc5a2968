"""Download or import datasets, check them against the catalogue, and install them."""
