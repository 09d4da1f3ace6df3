"""Runs that are killed, over and over, and end as if nobody had touched them."""
