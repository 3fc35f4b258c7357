"""`make demo`: a real model, two real fine-tunes and what deltastore does with them."""
