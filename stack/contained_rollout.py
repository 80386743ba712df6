"""`make rollout`: the running stack gets a new app, edge configuration and certificate, and no socket is dropped."""

from __future__ import annotations

from stack import compose, contained_machine, lock, rollout
from stack.contained_start import ContainedStart
from stack.problem import Problem

FILES = ("compose.env", "app.env")


class ContainedRollout(ContainedStart):
    """One run of `make rollout`, step by step; what fails is taken back."""

    def run(self) -> None:
        """All steps, then what is left for `make up`."""
        found = compose.states(self.place)
        if compose.ill(found):
            raise Problem("There is nothing well to roll out over:\n  " + "\n  ".join(compose.ill(found)) + "\nmake up")
        print(f"Roll-out over {compose.project(self.place)}, state in {self.place.state}", flush=True)
        wrong = contained_machine.problems(self.place, self.settings)
        if wrong:
            raise Problem("Nothing was changed, because:\n" + "\n".join(f"  - {line}" for line in wrong))
        with lock.exclusive(self.place, self.steps.say):
            self.build()
            kept = {name: (self.folder / name).read_bytes() for name in FILES}
            try:
                self.prepare()
                self.roll()
            except BaseException:
                for name, content in kept.items():
                    (self.folder / name).write_bytes(content)
                raise
            self.prove()
        self.tell()

    def roll(self) -> None:
        """The app, then the edge; each only where it changed."""
        with self.steps.step("check settings, migrate the store"):
            self.one_shot("check", "migrate")
        if rollout.APP in rollout.changed(self.place):
            rollout.replace(self.place, self.settings, self.steps)
        with self.steps.step("configure the edge"):
            rollout.again(self.place, "edge-config")
            rollout.reload_edge(self.place)
        self.tidy_networks()
        self.cannot = self.edge_words()
        # Those that were left alone are still what they were.
        self.remember(self.fingerprint(), self.services() | {rollout.APP: compose.hashes(self.place)[rollout.APP]})

    def tell(self) -> None:
        """What was left alone, since it cannot be replaced without a stop."""
        left = rollout.changed(self.place)
        print(f"\nRolled out after {self.steps.seconds:.1f} s.")
        if left:
            print(f"  Changed as well, and replaced only by `make up`, which stops them: {', '.join(left)}")
