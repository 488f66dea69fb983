"""Pretext tasks: answers that the data gives by itself, such as how it was turned, shuffled or cut."""
