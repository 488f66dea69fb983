"""What an encoder is worth: protocols x tasks x metrics, and the commands built of them."""
