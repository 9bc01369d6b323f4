"""What a server tells while it waits for the models of a cluster."""

from types import SimpleNamespace

from models.catalog.profile import load_profile
from models.runtime.ray.cluster import ClusterEngine
from models.start_progress import StartProgress


def test_it_tells_how_many_models_are_up_and_one_that_is_not() -> None:
    progress = StartProgress()
    profile = load_profile("lite")
    engine = ClusterEngine("auto", profile, 8, progress)
    cards = {role.name: card.name for role, card in profile.items()}
    engine._tell_progress(None)  # nothing is deployed yet
    assert progress.as_json() == {"card": "u2netp", "models": 0, "total_models": len(cards)}
    status = {name: "UPDATING" for name in cards} | {"matting": "HEALTHY", "Directory": "HEALTHY"}
    deployments = {name: SimpleNamespace(status=one) for name, one in status.items()}
    engine._tell_progress(SimpleNamespace(deployments=deployments))
    assert progress.as_json() == {
        "card": cards["inpainting"],
        "models": 1,
        "total_models": len(cards),
    }
    for one in deployments.values():
        one.status = "HEALTHY"
    engine._tell_progress(SimpleNamespace(deployments=deployments))
    assert progress.as_json() == {"models": len(cards), "total_models": len(cards)}
