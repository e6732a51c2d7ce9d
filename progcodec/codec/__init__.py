"""Where bytes and networks meet.

codec.py        Codec: pictures to streams and back
walk.py         one generator of coding steps that both directions share
passes.py       networks over pictures in tiles
encode.py       pictures to the segments of their streams; detail.py: those a model cannot carry
decode.py       all that whole streams hold; incremental.py: a stream decoded while it arrives
latent.py       what was decoded, and a segment as it is coded
loaded.py       codecs by the stream that needs them, kept loaded
"""
