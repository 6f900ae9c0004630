"""Where events go and as whose: the team of a destination, and the context that their requests carry."""

from collections.abc import Iterable
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Context:
    """What a request says of its events: query (`team_id`, `slug`) and headers (`ci`, `interactive`)."""

    team_id: str | None = None
    slug: str | None = None
    ci: str | None = None
    interactive: bool | None = None

    @property
    def team(self) -> str:
        """The team that a destination is known by: the slug, else the id, else nothing."""
        return self.slug or self.team_id or ""


@dataclass(frozen=True, slots=True)
class Overrides:
    """What every request says, whatever the log has (None keeps that), and the team where the log names none."""

    team_id: str | None = None
    slug: str | None = None
    ci: str | None = None
    interactive: bool | None = None
    default_team_id: str | None = None
    default_slug: str | None = None

    def apply(self, context: Context) -> Context:
        """Return the context that events of `context` are sent with.

        >>> Overrides(slug="new").apply(Context(team_id="team_1", slug="old", ci="GITLAB"))
        Context(team_id=None, slug='new', ci='GITLAB', interactive=None)
        """
        if self.team_id or self.slug:
            context = replace(context, team_id=self.team_id, slug=self.slug)
        elif not context.team:
            context = replace(context, team_id=self.default_team_id, slug=self.default_slug)
        interactive = context.interactive if self.interactive is None else self.interactive
        return replace(context, ci=self.ci or context.ci, interactive=interactive)


def distinct(contexts: Iterable[Context]) -> list[Context]:
    """Return the contexts without repeats, in the order of their teams."""
    return sorted(set(contexts), key=lambda c: (c.team, c.team_id or "", c.ci or "", str(c.interactive)))
