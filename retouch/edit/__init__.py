"""`retouch edit`: run an operation on files and folders, in this process or on a server."""
