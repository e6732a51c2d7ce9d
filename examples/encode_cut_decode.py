"""Encode a photograph, cut the stream at a byte budget, decode both, and look at what the cut cost.

python examples/encode_cut_decode.py [PHOTO] [BYTES]
"""

import sys

import progcodec
from progcodec.image import open_image, to_array
from progcodec.metrics import psnr
from progcodec.viewer.demo import photograph

picture = open_image(sys.argv[1]) if len(sys.argv) > 1 else photograph()
budget = int(sys.argv[2]) if len(sys.argv) > 2 else 4000

data = progcodec.encode(picture)
cut = progcodec.truncate(data, max_bytes=budget)  # the same bytes as data[:budget]
for name, stream in (("whole", data), ("cut", cut)):
    decoded = progcodec.decode(stream)
    quality = psnr(to_array(picture), to_array(decoded))
    print(
        f"{name:6} {len(stream):8,} bytes  {progcodec.info(stream).bits_per_pixel:6.3f} bpp  "
        f"{quality:6.2f} dB"
    )
    decoded.save(f"{name}.png")
