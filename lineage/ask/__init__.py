"""Read-only questions to a run's database.

    reading              open a run, one snapshot, people's names for agents
    tree, kinship        who descends from whom, as arrays and by look-ups
    branches, phylogeny  the tree of the living and its metrics (docs/phylogeny.md)
    population, neutral  lineages, clans and diversity through time; success against luck
    lives, survival      what became of everybody; curves and hazards
    scars, facts         damage along lines of descent; single agents
    query, canned        SQL that can only read
    export*, picture*    other tools' formats, drawings
    prove*               proofs that need no database
    archive, frames,     the newest state, single lives and lists of runs, for views
    dossiers, runs
    trace, retrace, why  what happened within a round, computed again; the chain of causes
"""
