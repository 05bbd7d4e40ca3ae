"""The live view in a browser, and figures for monitoring.

The server is a process of its own. It gets frames from the encode workers, which send one
whenever it asks, and figures from the hub, which never waits for it.
"""
