"""The only doors out of the process: each a small protocol and one real class."""
