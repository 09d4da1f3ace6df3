"""The headers that every answer of a server carries: a page asks its own server alone, and no other page embeds it."""

__all__ = ["HEADERS", "LOOPBACK"]

LOOPBACK = frozenset({"127.0.0.1", "localhost", "[::1]"})
"""What a browser may call this machine. A page of another name that was made to lead here (DNS rebinding) is refused; the
port may be another one, as behind `ssh -L`."""

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "X-Robots-Tag": "noindex",
    "Cache-Control": "no-store",
}
