"""The command line: parses, calls `ssl_platform.api`, prints."""
