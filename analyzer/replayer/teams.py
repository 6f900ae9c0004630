"""Where events go and as whose: the team of a destination, and the context that their requests carry."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

TeamName = tuple[str, str]
"""A team as requests name it: its id and its slug, empty where they do not say it."""


@dataclass(frozen=True, slots=True)
class Context:
    """What a request says of its events: query (`team_id`, `slug`) and headers (`ci`, `interactive`)."""

    team_id: str | None = None
    slug: str | None = None
    ci: str | None = None
    interactive: bool | None = None

    @property
    def named(self) -> TeamName:
        """The team, as the request names it."""
        return self.team_id or "", self.slug or ""


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
        elif not any(context.named):
            context = replace(context, team_id=self.default_team_id, slug=self.default_slug)
        interactive = context.interactive if self.interactive is None else self.interactive
        return replace(context, ci=self.ci or context.ci, interactive=interactive)


def distinct_contexts(contexts: Iterable[Context]) -> list[Context]:
    """Return the contexts without repeats, in the order of their teams."""
    return sorted(set(contexts), key=lambda c: (c.slug or c.team_id or "", c.named, c.ci or "", str(c.interactive)))


class Teams:
    """Which names are of one team: all with its id, and a slug alone where it goes with one id only.

    >>> teams = Teams([("team_1", ""), ("team_1", "web"), ("", "web"), ("team_2", "docs"), ("team_3", "docs")])
    >>> [teams.of(named) for named in (("team_1", ""), ("", "web"), ("team_2", "docs"), ("", "docs"))]
    ['web', 'web', 'team_2', 'docs']
    """

    def __init__(self, names: Iterable[TeamName]) -> None:
        both = {(team_id, slug) for team_id, slug in names if team_id and slug}
        self._ids = {slug: {one for one, other in both if other == slug} for _, slug in both}
        self._slugs = {team_id: sorted(other for one, other in both if one == team_id) for team_id, _ in both}

    def may_be(self, named: TeamName, other: TeamName) -> bool:
        """Tell whether two names, of two teams by all that is known, may be of one: a slug alone, and an id with it.

        >>> Teams([("team_2", "docs"), ("team_3", "docs"), ("", "docs")]).may_be(("team_2", "docs"), ("", "docs"))
        True
        """
        return self.of(named) != self.of(other) and (self._goes_with(named, other) or self._goes_with(other, named))

    def _goes_with(self, named: TeamName, other: TeamName) -> bool:
        """Tell whether a name is a slug alone that goes with the other's id."""
        (team_id, slug), (its_id, its_slug) = named, other
        return bool(slug and its_id) and not team_id and slug in (its_slug, *self._slugs.get(its_id, ()))

    def of(self, named: TeamName) -> str:
        """Return what a team is known by: a slug that is its alone, else its id; empty where it has no name."""
        team_id, slug = named
        if not team_id:
            ids = self._ids.get(slug, set())
            return self.of((next(iter(ids)), slug)) if len(ids) == 1 else slug
        return next((one for one in self._slugs.get(team_id, []) if len(self._ids[one]) == 1), team_id)
