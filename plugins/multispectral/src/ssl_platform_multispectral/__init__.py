"""Multispectral and radar satellite scenes for ssl-platform: GeoTIFF, COG, JP2, Sentinel and Landsat folders."""
