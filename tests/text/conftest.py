"""What tests of trainings share."""

import pytest

from stages.nets import training


@pytest.fixture
def killed(monkeypatch):
    """A function that kills a training once it has saved its first checkpoint, and returns the steps done by then."""
    monkeypatch.setattr(training, "BETWEEN_CHECKPOINTS", 0.0)
    save, done = training.Checkpoint.save, []

    def kill(self, tensors, values):
        save(self, tensors, values)
        done.append(values["done"])
        raise KeyboardInterrupt

    def run(train):
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(training.Checkpoint, "save", kill)
            train()
        return done

    return run
