"""stack/swarm_stages.py: the stores' servers are replaced host by host, everything else at the end."""

from __future__ import annotations

from copy import deepcopy

from stack.swarm_file import Config
from stack.swarm_stages import differs, mixed, stages

STORES = ("postgres", "valkey", "sentinel", "postgres-exporter")


def _config(image: str = "one", ca: str = "portcullis_ca_1") -> Config:
    """A stack of an app and of stores that all know one authority."""
    names = ["app", *(f"{kind}-{number}" for kind in STORES for number in (1, 2, 3))]
    service = {"image": image, "secrets": [{"source": "ca", "target": "/run/ca.pem"}]}
    return {
        "version": "3.9",
        "services": {name: deepcopy(service) for name in names},
        "secrets": {"ca": {"name": ca, "file": "/ca.pem"}},
        "networks": {"backend": {"external": True}},
        "volumes": {},
    }


def _changed(config: Config, before: Config) -> set[str]:
    """Whom Swarm would replace, were it handed this after that."""
    return {name for name in config["services"] if differs(name, before, config)}


def test_the_first_time_everything_is_handed_over_at_once() -> None:
    """There is nobody to be replaced."""
    assert list(stages(None, _config())) == [_config()]


def test_what_is_the_same_takes_no_steps() -> None:
    """One file, which changes nothing."""
    assert list(stages(_config(), _config())) == [_config()]


def test_servers_are_replaced_host_by_host_and_the_app_at_the_end() -> None:
    """A new image: in each step those of one host, in the last the rest."""
    steps = list(stages(_config(), _config(image="two")))
    replaced = [_changed(step, before) for before, step in zip([_config(), *steps], steps, strict=False)]
    assert replaced == [*({f"{kind}-{number}" for kind in STORES} for number in (1, 2, 3)), {"app"}]
    assert steps[-1] == _config(image="two")


def test_another_secret_is_another_server() -> None:
    """Its name says what is in it, and whoever has it is replaced as with another image."""
    wanted = _config(ca="portcullis_ca_2")
    steps = list(stages(_config(), wanted))
    assert len(steps) == 4
    assert _changed(steps[0], _config()) == {f"{kind}-1" for kind in STORES}


def test_who_stays_keeps_the_secret_that_it_has() -> None:
    """By the name that Swarm knows it by; the file of that name has something else in it by now."""
    made = mixed(_config(), _config(ca="portcullis_ca_2"), ["valkey-1"])
    assert made["services"]["app"]["secrets"] == [{"source": "former_ca", "target": "/run/ca.pem"}]
    assert made["secrets"]["former_ca"] == {"name": "portcullis_ca_1", "external": True}
    assert made["services"]["valkey-1"]["secrets"] == [{"source": "ca", "target": "/run/ca.pem"}]
    assert made["secrets"]["ca"] == {"name": "portcullis_ca_2", "file": "/ca.pem"}


def test_a_change_that_was_cut_off_goes_on_where_it_was() -> None:
    """What was handed over last is what there is: who has been replaced is not touched again."""
    wanted = _config(ca="portcullis_ca_2")
    first, *_ = stages(_config(), wanted)
    again = list(stages(first, wanted))
    assert len(again) == 3
    assert _changed(again[0], first) == {f"{kind}-2" for kind in STORES}
