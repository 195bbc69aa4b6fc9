"""Makes the training data and the test sets of the demo model from the texts in demo/texts (demo/README.md)."""
