"""Models behind HTTP: images in and masks out, the plugin's interface, inference protocol v2.

The page, the protocols and the limits stand in front of an `Engine`, whose threads decode images,
run the network and encode replies. `icstream serve` runs it.
"""
