"""The live view in a browser, and metrics for monitoring.

The server is a separate process. It requests frames from the encode workers, and receives the
status
of the run from the hub, which never waits for it.
"""
