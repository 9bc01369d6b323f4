"""`retouch parity`: send the same pictures to two servers of the API and compare what they answer."""
