"""Model names that clients know as their own, served by another vendor's provider."""

from typing import NamedTuple


class Route(NamedTuple):
    # What the client asks for.
    name: str
    # Provider and script behind it; a vendor's name in the script's brings the rules of that family.
    provider: str
    model: str


CLAUDE_ON_GEMINI = Route("claude-sonnet-4-5", "gem", "claude-code:gemini-3.1-pro")
CODEX_ON_ANTHROPIC = Route("gpt-5.5", "ant", "codex")
ROUTES = [CLAUDE_ON_GEMINI, CODEX_ON_ANTHROPIC]
