"""What a representation knows: `ssl-platform analyze`. One analysis a file; the maths is in `ssl_platform.measures`."""
