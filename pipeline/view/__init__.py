"""The live view in a browser, and metrics for monitoring.

The server is a process of its own. It gets frames from the encode workers, which send one
whenever it asks, and the status of the run from the hub, which never waits for it.
"""
