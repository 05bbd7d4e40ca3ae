"""Parts shared by the HTTP servers of the view and the service: access control and sockets."""
