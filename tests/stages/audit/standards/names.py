"""A name that would be markup, a formula, a table or a head, wherever it stands."""

HOSTILE = (
    "=cmd|' /C calc'!A0\n---\n# x <script>alert(1)</script> [a](javascript:b) `c` | ![d](https://e.example) \u202e"
)
