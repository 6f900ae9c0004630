"""Works out which team events go to, under which of its names, and the context that their requests carry."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from analyzer.replayer.options import ReplayOptions

TeamName = tuple[str, str]
"""A team as requests name it: its id and its slug, each empty where the request leaves it out."""


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
    """Return the context that events logged with `logged` are sent with.

    The options replace what the log says; `default_team` is the team of events whose log names none.

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


def distinct_contexts(contexts: Iterable[Context]) -> list[Context]:
    """Return the contexts without repeats, in the order of their teams."""
    return sorted(set(contexts), key=lambda c: (c.slug or c.team_id or "", c.team_name, c.ci or "", str(c.interactive)))


class Teams:
    """Decides which names are one team: all names with its id, and a slug alone where only one id has that slug.

    >>> teams = Teams([("team_1", ""), ("team_1", "web"), ("", "web"), ("team_2", "docs"), ("team_3", "docs")])
    >>> [teams.team_of(name) for name in (("team_1", ""), ("", "web"), ("team_2", "docs"), ("", "docs"))]
    ['web', 'web', 'team_2', 'docs']
    """

    def __init__(self, names: Iterable[TeamName]) -> None:
        # Only a name with both parts tells which slug an id has.
        pairs = {(team_id, slug) for team_id, slug in names if team_id and slug}
        self._ids = {slug: {one for one, other in pairs if other == slug} for _, slug in pairs}
        self._slugs = {team_id: sorted(slug for one, slug in pairs if one == team_id) for team_id, _ in pairs}

    def team_of(self, name: TeamName) -> str:
        """Return the key of a team: a slug that is its alone, else its id; empty for a name without either."""
        team_id, slug = name
        if not team_id:
            ids = self._ids.get(slug, set())
            return self.team_of((next(iter(ids)), slug)) if len(ids) == 1 else slug
        return next((one for one in self._slugs.get(team_id, []) if len(self._ids[one]) == 1), team_id)

    def may_be_same(self, name: TeamName, other: TeamName) -> bool:
        """Return whether names of two teams may be one after all: a slug alone, and an id that has this slug.

        >>> teams = Teams([("team_2", "docs"), ("team_3", "docs"), ("", "docs")])
        >>> teams.may_be_same(("team_2", "docs"), ("", "docs"))
        True
        """
        differ = self.team_of(name) != self.team_of(other)
        return differ and (self._is_slug_of(name, other) or self._is_slug_of(other, name))

    def _is_slug_of(self, name: TeamName, other: TeamName) -> bool:
        """Return whether `name` is a slug alone and the id of `other` has this slug."""
        (team_id, slug), (other_id, other_slug) = name, other
        return bool(slug and other_id) and not team_id and slug in (other_slug, *self._slugs.get(other_id, ()))
