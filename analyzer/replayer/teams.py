"""Determines the context that requests send with their events, and which names stand for the same team."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from analyzer.replayer.options import ReplayOptions

TeamName = tuple[str, str]  # id and slug of a team as a request names it, each empty if the request leaves it out


@dataclass(frozen=True, slots=True)
class Context:
    """What a request says about its events: query (`team_id`, `slug`) and headers (`ci`, `interactive`)."""

    team_id: str | None = None
    slug: str | None = None
    ci: str | None = None
    interactive: bool | None = None

    @property
    def team_name(self) -> TeamName:
        """The team as the request names it."""
        return self.team_id or "", self.slug or ""


def request_context(logged: Context, options: ReplayOptions, default_team: TeamName = ("", "")) -> Context:
    """Return the context to send events with: the logged one, unless the options or the default team replace it.

    >>> request_context(Context(team_id="team_1", slug="old", ci="GITLAB"), ReplayOptions(slug="new"))
    Context(team_id=None, slug='new', ci='GITLAB', interactive=None)
    """
    team = (logged.team_id, logged.slug)
    if options.team_id or options.slug:
        team = (options.team_id, options.slug)
    elif not any(team):
        team = (default_team[0] or None, default_team[1] or None)
    interactive = logged.interactive if options.as_interactive is None else options.as_interactive
    return replace(logged, team_id=team[0], slug=team[1], ci=options.as_ci or logged.ci, interactive=interactive)


class Teams:
    """Decides which names are one team. A team is an id; a slug alone is the team that has it, if only one team does.

    >>> teams = Teams([("team_1", ""), ("team_1", "web"), ("", "web"), ("team_2", "docs"), ("team_3", "docs")])
    >>> [teams.team_of(name) for name in (("team_1", ""), ("", "web"), ("team_2", "docs"), ("", "docs"))]
    ['web', 'web', 'team_2', 'docs']
    """

    def __init__(self, names: Iterable[TeamName]) -> None:
        self._ids: dict[str, set[str]] = {}
        self._slugs: dict[str, list[str]] = {}
        for team_id, slug in sorted({*names}):
            if team_id and slug:  # only a name with both parts shows which slug an id has
                self._ids.setdefault(slug, set()).add(team_id)
                self._slugs.setdefault(team_id, []).append(slug)

    def team_of(self, name: TeamName) -> str:
        """Return the key of a team: its slug if no other team has it, else its id; empty for a name without either."""
        team_id, slug = name
        if not team_id:
            ids = self._ids.get(slug, set())
            return self.team_of((next(iter(ids)), slug)) if len(ids) == 1 else slug
        return next((slug for slug in self._slugs.get(team_id, ()) if len(self._ids[slug]) == 1), team_id)

    def may_be_same(self, name: TeamName, other: TeamName) -> bool:
        """Return whether the names of two teams may still mean one: a slug alone, and an id that has this slug.

        >>> teams = Teams([("team_2", "docs"), ("team_3", "docs"), ("", "docs")])
        >>> teams.may_be_same(("team_2", "docs"), ("", "docs"))
        True
        """
        # In this order, a name without an id comes first.
        (first_id, slug), (team_id, other_slug) = sorted((name, other))
        is_slug_of_id = slug in (other_slug, *self._slugs.get(team_id, ()))
        return bool(slug and team_id) and not first_id and is_slug_of_id and self.team_of(name) != self.team_of(other)
