"""Videos for ssl-platform: MP4, WebM, MKV, AVI and folders of frames."""
