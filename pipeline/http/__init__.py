"""What the view and the service share as HTTP servers: access control and sockets."""
