"""The edge: nginx and mtail configuration, rendered by `nginx.render` with the standard library alone."""
