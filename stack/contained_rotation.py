"""`make rotate`: new passwords for the stores and a new signing key, and nothing is left that knows the old ones."""

from __future__ import annotations

from stack import compose, contained_secrets, lock, rollout
from stack.contained_start import QUIETLY, ContainedStart
from stack.problem import Problem

STORES = ("valkey", "postgres")
WATCHERS = ("valkey-exporter", "postgres-exporter")


class ContainedRotation(ContainedStart):
    """One run of `make rotate`, step by step; one that was cut off is put in order by another."""

    def run(self) -> None:
        """The stores first, then the app as in a roll-out: in between posts are refused and nobody is disconnected."""
        running = compose.states(self.place)
        if rollout.APP not in running:
            raise Problem("The stack is not running. Start it: make up")
        # Those of what runs: what the clone has become meanwhile is for `make up` or `make rollout`.
        self.images = {rollout.APP: running[rollout.APP].image}
        print(f"Rotation over {compose.project(self.place)}, state in {self.place.state}", flush=True)
        with lock.exclusive(self.place, self.steps.say):
            with self.steps.step("make new passwords") as notes:
                notes.extend(contained_secrets.renew(self.place, self.images[rollout.APP]))
            with self.steps.step("restart the stores with them"):
                self.recreate(*STORES)
            with self.steps.step("make a new signing key"):
                self.one_shot("keys rotate")
            rollout.replace(self.place, self.settings, self.steps)
            with self.steps.step("restart what watches the stores"):
                self.recreate(*WATCHERS)
            self.prove()
        print(f"\nRotated after {self.steps.seconds:.1f} s.")

    def recreate(self, *services: str) -> None:
        """A container sees the files that were there when it was made."""
        try:
            compose.run(self.place, "up", *QUIETLY, "--no-deps", "--force-recreate", "--wait", *services)
        except Problem as problem:
            raise Problem(f"{problem}\nThe passwords are new already: run make rotate once more.") from None
