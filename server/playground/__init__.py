"""The playground: the web page at `/`."""
