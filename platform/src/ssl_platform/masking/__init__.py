"""From token coordinates to masks: which tokens are seen, which are predicted."""
