"""What the engine of a cluster tells of its models: which there are, not where they are loaded."""

from models.catalog.profile import load_profile
from models.runtime.model_states import ModelState, ReportsModels
from models.runtime.ray.cluster import ClusterEngine


def test_the_models_of_a_cluster_are_told_without_asking_it() -> None:
    profile = load_profile("lite")
    engine = ClusterEngine("127.0.0.1:1", profile, 1)
    assert isinstance(engine, ReportsModels)
    states = engine.model_states()
    assert states.models == [
        ModelState(role.name, card.name, card.memory_mb, "cluster")
        for role, card in profile.items()
    ]
    assert (states.held_mb, states.budget_mb) == (None, None)
    assert {one.is_loaded for one in states.models} == {None}
