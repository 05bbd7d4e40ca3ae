"""The HTTP service: a page, images in and masks out, the plugin's interface, inference protocol v2.

The page, the interfaces and the limits are in front of an `Engine`, whose threads decode images,
run
the network and encode responses. `icstream serve` runs it.
"""
