"""Other codecs as peers: each in two modes, with what its own libraries offer, and nothing in its file that need not be.

base.py       what a peer is
raster.py     JPEG, JPEG progressive, WebP, AVIF
jpeg2000.py   JPEG 2000: one rate, or layers for cuts
jpegxl.py     JPEG XL: through imagecodecs, and its library for what imagecodecs leaves out
learned.py    compressai's models, with weights from the user's files
registry.py   which of them this installation has
"""
