"""Proofs about the tables that outlive the process, in a file and on a server."""
