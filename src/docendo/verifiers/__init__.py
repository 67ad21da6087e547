"""Is it right? One Verifier a file: `Exact`, `Choice`, `Numeric`, `Math`.

All four compare a sample's answer, which a Format has read off the text, with a Label's. What each takes for
the same answer is told in ``docs/verifiers.md``.
"""
