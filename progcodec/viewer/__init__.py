"""One page that shows a stream at every cut: the picture, the answers, and where each level's bytes
lie.

cuts.py     which cuts are worth a look
frames.py   what each of them gives: the stream is decoded once, piece by piece
page.py     all of it as one HTML file that asks for nothing else (page.html, page.css, page.js)
server.py   that file on localhost
"""
