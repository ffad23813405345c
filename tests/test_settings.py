"""Where configuration values come from, which one wins, and what a wrong one is told."""

import tomllib
from pathlib import Path

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from arena.errors import ConfigError
from lineage import settings, settings_rules, settings_text
from lineage.config import RunConfig
from lineage.scenarios import scenario_names, scenario_path, scenario_summary


def load(scenario: str | None = None, **given: object) -> settings.Settings:
    """Load without this process's environment."""
    return settings.load(scenario, **{"environment": {}, **given})  # type: ignore[arg-type]


def refusal(scenario: str | None = None, **given: object) -> str:
    """Return the message that a wrong configuration gets."""
    with pytest.raises(ConfigError) as caught:
        load(scenario, **given)
    message = str(caught.value)
    assert "\n" not in message
    return message


def written(folder: Path, text: str) -> Path:
    """Return a file with this text."""
    path = folder / "my.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_every_built_in_scenario_is_valid_and_described() -> None:
    """All six load, know their own name, and say in a sentence what they are for."""
    assert scenario_names() == ["default", "crisis", "crowd", "easy", "null", "small"]
    for name in scenario_names():
        assert load(name).config.scenario == name
        assert len(scenario_summary(name)) > 20


@pytest.mark.parametrize("name", scenario_names())
def test_scenario_files_hold_only_what_differs_and_explain_it(name: str) -> None:
    """A value without a comment behind it equals the default."""
    path = scenario_path(name)
    lines = path.read_text(encoding="utf-8").splitlines()
    for given_value in settings.read_file(path):
        line = lines[int(given_value.source.rpartition(":")[2]) - 1]
        default: object = RunConfig()
        for part in given_value.key.split("."):
            default = getattr(default, part)
        assert "#" in line or given_value.value == default, line


def test_precedence_is_defaults_scenario_file_environment_flags(tmp_path: Path) -> None:
    """Each layer beats the ones before it."""
    file = written(tmp_path, "[market]\ndrift = 0.003\n")
    environment = {"LINEAGE_ARENA_MARKET_DRIFT": "0.004"}
    assignments = ["market.drift=0.005"]
    flags = {"market.drift": (0.006, "--drift")}
    assert load("default").config.market.drift == RunConfig().market.drift
    assert load("easy").config.market.drift == 0.0028
    assert load("easy", file=file).config.market.drift == 0.003
    assert load("easy", file=file, environment=environment).config.market.drift == 0.004
    assert load("easy", file=file, environment=environment, assignments=assignments).config.market.drift == 0.005
    everything = load("easy", file=file, environment=environment, assignments=assignments, flags=flags)
    assert everything.config.market.drift == 0.006
    assert everything.origins["market.drift"] == "--drift"


def test_origins_name_file_and_line(tmp_path: Path) -> None:
    """A value from a file is traced to its line, dotted and sectioned keys alike."""
    file = written(tmp_path, "# a comment\nrounds = 7\nbody.fee_bps = 1\n\n[market]\n# drift = 1\ndrift = 0.003\n")
    origins = load(file=file).origins
    assert origins["rounds"].endswith("my.toml:2")
    assert origins["body.fee_bps"].endswith("my.toml:3")
    assert origins["market.drift"].endswith("my.toml:7")


def test_the_scenario_may_come_from_argument_file_or_environment(tmp_path: Path) -> None:
    """The argument wins, then the environment, then the file."""
    file = written(tmp_path, 'scenario = "null"\n')
    assert load(file=file).config.scenario == "null"
    assert load(file=file, environment={"LINEAGE_ARENA_SCENARIO": "crisis"}).config.scenario == "crisis"
    assert load("easy", file=file).config.scenario == "easy"


def test_a_resolved_configuration_reads_back_equal(tmp_path: Path) -> None:
    """What a run writes into its directory is a configuration file that gives the same run."""
    config = load("crisis", assignments=["population.hold=3", "market.tape_name=", "life.patron=true"]).config
    for text in (settings_text.to_toml(config), settings_text.to_toml(config, explain=True)):
        assert load(file=written(tmp_path, text)).config == config


@given(st.text(max_size=40))
def test_any_text_survives_the_toml_writer(text: str) -> None:
    """Strings with quotes, escapes, control characters and umlauts come back as they were."""
    if all(not 0xD800 <= ord(char) < 0xE000 for char in text):  # TOML has no lone surrogates
        assert tomllib.loads(f"value = {settings_text.toml_value(text)}")["value"] == text


@given(st.text(max_size=60))
@example("0\n0=")
def test_any_assignment_is_accepted_or_refused_in_one_line(text: str) -> None:
    """No text after --set gives anything but settings or one line."""
    try:
        load(assignments=[text])
    except ConfigError as error:
        assert "\n" not in str(error)


@given(
    st.sampled_from(sorted(settings_text.leaves())),
    st.text(alphabet="0123456789.eE+-_truefalsninf[], '\"", max_size=20),
)
def test_any_value_of_any_key_is_accepted_or_refused(key: str, value: str) -> None:
    """A value that passes is in range afterwards: reading its own TOML back changes nothing."""
    try:
        config = load(assignments=[f"{key}={value}"]).config
    except ConfigError as error:
        assert "--set" in str(error) or "scenario" in str(error)
        return
    assert msgspec.convert(tomllib.loads(settings_text.to_toml(config)), RunConfig) == config


@pytest.mark.parametrize(
    ("assignment", "needles"),
    [
        ("market.drft=1", ["market.drft", "did you mean 'market.drift'"]),
        ("drift=1", ["'drift'", "did you mean 'market.drift'"]),
        ("mrket.drift=1", ["did you mean 'market.drift'"]),
        ("agents.gamma=1", ["did you mean 'genome.gamma'"]),
        ("zzz=1", ["unknown key 'zzz'", "config show"]),
        ("market=1", ["is a section", "drift"]),
        ("market.drift", ["section.key=value"]),
        ("market.drift=-1", ["-1", "a number >= 0", "0.002"]),
        ("market.source=yahoo", ["'yahoo'", "'franke_westerhoff', 'gbm', 'tape'"]),
        ("life.patron=1", ["true or false"]),
        ("mind.hidden=[64]", ["a list of 2"]),
        ("arena.seats=0", ["whole number >= 1 and <= 65536"]),
    ],
)
def test_a_wrong_assignment_names_place_value_rule_and_cure(assignment: str, needles: list[str]) -> None:
    """Each message holds the flag, the offending value, and what would be right."""
    message = refusal(assignments=[assignment])
    assert message.startswith("--set")
    for needle in needles:
        assert needle in message


def test_a_wrong_value_in_a_file_names_its_line(tmp_path: Path) -> None:
    """The place is file:line: key."""
    message = refusal(file=written(tmp_path, "rounds = 5\n[market]\ncollar = 0.1\ndrift = 'fast'\n"))
    assert "my.toml:4: market.drift: 'fast' is not a number" in message


def test_a_toml_error_names_its_line(tmp_path: Path) -> None:
    """A file that is no TOML is refused with the line of the first mistake."""
    assert "my.toml:2: not valid TOML" in refusal(file=written(tmp_path, "rounds = 5\nseats == 3\n"))


def test_a_rule_between_values_names_where_the_value_was_given() -> None:
    """A cross-field rule points at the flag or file that broke it, not at the defaults."""
    message = refusal(assignments=["mind.batch=400"])
    assert message.startswith("--set mind.batch: batch 400 is larger than learn_start 200")


@pytest.mark.parametrize(
    "assignments",
    [
        ["population.random=40", "population.hold=25"],
        ["mind.learn_start=12288"],
        ["mind.batch=201"],
        ["mind.n_step=200"],
        ["mind.adam_beta1=1.0"],
        ["mind.prioritised=true", "mind.replay=false"],
        ["scars.minor_points=6"],
        ["scars.moderate_points=21"],
        ["scars.severe_points=101"],
        ["life.spawn_wealth=1.5"],
        ["genome.gamma=[0.9, 0.8, 0.99]"],
        ["genome.gamma=[0.9, 0.95, 1.5]"],
        ["genome.learning_rate=[-0.1, 0.1, 0.2]"],
        ["arena.seats=65536", "arena.markets=17"],
        ["market.drift=1.0"],
        ["market.start_price=1e300"],
        ["body.endowment=1e-9"],
        ["market.source=tape"],
        ["market.tape_name=x.csv"],
        ["mind.hidden=[100000, 3]"],
    ],
)
def test_rules_between_values_refuse_what_cannot_live(assignments: list[str]) -> None:
    """Each rule can fail; and without the checker the same values would pass."""
    section_dot_key = assignments[0].partition("=")[0]
    assert section_dot_key.partition(".")[0] in refusal(assignments=assignments)


def test_without_its_rules_a_wrong_combination_would_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sabotage: with the rule checker taken out, the batch that is too large gets through."""
    monkeypatch.setattr(settings, "check_rules", lambda config, places: None)
    assert load(assignments=["mind.batch=400"]).config.mind.batch == 400


def test_the_environment_is_read_by_section_and_key() -> None:
    """LINEAGE_ARENA_<SECTION>_<KEY>; seed, threads and device are left to the command line."""
    environment = {"LINEAGE_ARENA_ROUNDS": "3", "LINEAGE_ARENA_MIND_HIDDEN": "[8, 8]", "LINEAGE_ARENA_SEED": "9"}
    loaded = load(environment=environment | {"PATH": "/bin"})
    assert (loaded.config.rounds, loaded.config.mind.hidden) == (3, (8, 8))
    assert loaded.origins["rounds"] == "LINEAGE_ARENA_ROUNDS"


def test_an_unknown_variable_names_the_nearest() -> None:
    """A typo in a variable is an error, not silence."""
    message = refusal(environment={"LINEAGE_ARENA_MARKET_DRFT": "1"})
    assert "did you mean LINEAGE_ARENA_MARKET_DRIFT?" in message


def test_a_leading_dot_is_a_number() -> None:
    """Shell users write .002; TOML does not."""
    assert load(assignments=["market.drift=.002"]).config.market.drift == 0.002
    assert load(assignments=["genome.gamma=[.5,.9,.99]"]).config.genome.gamma == (0.5, 0.9, 0.99)


def test_the_schema_describes_every_key() -> None:
    """The JSON schema has all sections, and a description for each documented field."""
    schema = settings_text.json_schema()
    market = schema["$defs"]["MarketConfig"]["properties"]
    assert market["drift"]["minimum"] == 0.0
    assert "Markov" in market["drift"]["description"]
    assert set(schema["$defs"]["RunConfig"]["properties"]) == {key.partition(".")[0] for key in settings_text.leaves()}


def test_gene_limits_cover_every_gene() -> None:
    """A new gene has to say what it can mean."""
    genes = {key.partition(".")[2] for key in settings_text.leaves() if key.startswith("genome.")}
    assert genes - {"founder_spread"} == set(settings_rules.GENE_LIMITS)
