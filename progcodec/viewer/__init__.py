"""One page that shows a stream at every cut: the picture, the answers, and where each level's bytes
lie.

frames.py   which cuts are worth a look, and what each gives: a stream is decoded once, in pieces
page.py     all of it as one HTML file that asks for nothing else (page.html, page.css, page.js)
server.py   that file on localhost
demo.py     some cuts side by side, in one picture
"""
