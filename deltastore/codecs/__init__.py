"""One codec per file behind one protocol; the registry is a table; `choose.py` measures."""
