"""`make image-check`: the image and the compose file as they are shipped, in a Docker engine of their own."""
