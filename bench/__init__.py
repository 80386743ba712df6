"""The side-by-side benchmark: what one CPU-second of each chat server delivers. See README.md."""
