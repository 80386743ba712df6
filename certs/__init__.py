"""A local certificate authority for one stack, and the server certificate it signs."""
