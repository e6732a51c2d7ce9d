"""Where bytes and networks meet.

codec.py        Codec: pictures to streams and back
walk.py         one generator of coding steps that both directions share
passes.py       networks over pictures in tiles
encode.py       pictures to the segments of their streams
decode.py       all that whole streams hold; incremental.py: a stream decoded while it arrives
region.py       which latents a part of a picture needs; latent.py: what was decoded
loaded.py       codecs by the stream that needs them, kept loaded
"""
