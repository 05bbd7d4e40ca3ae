"""An RTSP camera for tests: a moving test image in H.264, by GStreamer.

It runs with the system's own Python, which has GStreamer: /usr/bin/python3 rtsp_server.py PORT
[--size WIDTHxHEIGHT] [--login USER:PASSWORD]
"""

import argparse

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer  # noqa: E402  # only once the versions are set


def demand_login(server: GstRtspServer.RTSPServer, login: str) -> None:
    """Require the login of a user."""
    user, password = login.split(":")
    auth = GstRtspServer.RTSPAuth()
    token = GstRtspServer.RTSPToken()
    token.set_string("media.factory.role", user)
    auth.add_basic(GstRtspServer.RTSPAuth.make_basic(user, password), token)
    server.set_auth(auth)


def main() -> None:
    """Serve until killed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("port")
    parser.add_argument("--size", default="160x120")
    parser.add_argument("--rate", type=int, default=10)
    parser.add_argument("--key-every", type=int, default=10)
    parser.add_argument("--login")
    arguments = parser.parse_args()
    width, height = arguments.size.split("x")
    Gst.init(None)
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service(arguments.port)
    factory = GstRtspServer.RTSPMediaFactory()
    factory.set_shared(True)
    factory.set_launch(
        f"( videotestsrc is-live=true pattern=ball"
        f" ! video/x-raw,format=I420,width={width},height={height},framerate={arguments.rate}/1"
        f" ! x264enc tune=zerolatency speed-preset=ultrafast key-int-max={arguments.key_every}"
        f" ! rtph264pay name=pay0 pt=96 config-interval=1 )"
    )
    if arguments.login:
        demand_login(server, arguments.login)
        permissions = GstRtspServer.RTSPPermissions()
        permissions.add_permission_for_role(
            arguments.login.split(":")[0], "media.factory.access", True
        )
        permissions.add_permission_for_role(
            arguments.login.split(":")[0], "media.factory.construct", True
        )
        factory.set_permissions(permissions)
    server.get_mount_points().add_factory("/cam", factory)
    server.attach(None)
    print("ready", flush=True)
    GLib.MainLoop().run()


main()
