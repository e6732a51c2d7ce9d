"""Many images with one loaded codec: crops of one size are encoded as a batch, then decoded as
coarse previews.

python examples/many_images.py [PHOTO]
"""

import sys

from progcodec import Codec, truncate
from progcodec.image import open_image
from progcodec.viewer.demo import photograph

picture = open_image(sys.argv[1]) if len(sys.argv) > 1 else photograph()
codec = Codec.load(device="auto")
print(codec)

side = min(picture.size) // 2
tiles = [picture.crop((x, y, x + side, y + side)) for x in (0, side) for y in (0, side)]
streams = codec.encode_batch(tiles)
previews = codec.decode_batch([truncate(stream, level="coarse") for stream in streams])
for number, (stream, preview) in enumerate(zip(streams, previews, strict=True)):
    coarse = len(truncate(stream, level="coarse"))
    print(f"tile {number}: {len(stream):,} bytes, of which coarse {coarse:,}")
    preview.save(f"tile-{number}.png")
