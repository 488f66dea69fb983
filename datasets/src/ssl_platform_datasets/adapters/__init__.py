"""One file a layout: a function of the downloaded folder that yields manifest rows."""
