"""The check, before a run begins, that masks can be published."""

from icstream.model import ConfigError
from icstream.pipeline.publish.forwarder import load_keys
from icstream.pipeline.settings.publish import PublishSettings
from icstream.pipeline.wire.bind import check_endpoint
from icstream.stages.loopback import is_loopback, port_number


def check_publish(settings: PublishSettings) -> None:
    """Check that masks can be published with these settings.

    Raises:
        ConfigError: the address cannot be used, or is not local and has no keys.
    """
    address = settings.address
    secret_key_file, clients = settings.secret_key_file, settings.clients
    kind, _, place = address.partition("://")
    if kind not in ("tcp", "ipc") or not place:
        raise ConfigError(
            f"output.publish.address: must be tcp://HOST:PORT or ipc://PATH, got {address!r}"
        )
    if kind == "tcp" and port_number(place.rpartition(":")[2]) is None:
        raise ConfigError(
            f"output.publish.address: got {address!r}, write it as tcp://HOST:PORT, with a port of"
            " 1 to 65535"
        )
    if kind == "ipc" and place[0] in "@*":
        raise ConfigError(
            f"output.publish.address: got {address!r}, which no permissions protect; use ipc://PATH"
        )
    if (secret_key_file is None) != (clients is None):
        raise ConfigError("output.publish: secret_key_file and clients must be set together")
    if secret_key_file is not None:
        load_keys(secret_key_file)
    if clients is not None and not any(clients.glob("*.key")):
        raise ConfigError(f"output.publish.clients: no *.key in {clients}")
    try:
        if kind == "tcp" and secret_key_file is None and not _is_local(place):
            raise ConfigError(
                f"output.publish.address {address}: other machines can reach it; set"
                " output.publish.secret_key_file and output.publish.clients to CURVE keys"
            )
        check_endpoint(address)
    except OSError as error:
        raise ConfigError(
            f"output.publish.address {address}: cannot be used ({error.strerror})"
        ) from error


def _is_local(place: str) -> bool:
    host = place.rpartition(":")[0]
    return host not in ("*", "") and is_loopback(host)
