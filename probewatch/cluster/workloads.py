"""Whose Pod it is: the workload behind its ownerReferences, and the revision of the template it was made from.

A Pod names only the controller that made it. What stands above it, and which revision it is, its labels tell:

| made by | workload | revision |
| --- | --- | --- |
| ReplicaSet `web-7d9f6c5b44` | Deployment `web`, where the label pod-template-hash is the end of the name | that hash |
| ReplicaSet of Argo Rollouts | Rollout, by the label rollouts-pod-template-hash | that hash |
| ReplicationController `web-3` | DeploymentConfig `web`, by its label or annotation | 3 |
| StatefulSet, DaemonSet | itself | label controller-revision-hash |
| Job and anything else | itself | none |

Sources: pkg/controller/deployment/sync.go getNewReplicaSet (name and pod-template-hash of a ReplicaSet),
pkg/controller/history/controller_history.go (controller-revision-hash; a StatefulSet's has its name before it),
openshift/library-go apps/appsutil (labels and annotations of a DeploymentConfig's Pods).

Limitations. A ReplicaSet that somebody named himself so that it ends like its Pods' pod-template-hash is taken for a
Deployment's. A CronJob is not told from a Job. The deployer Pod of a DeploymentConfig, and a static Pod's mirror, whose
owner is its Node, belong to no workload.
"""

from __future__ import annotations

from typing import Final

from probewatch.model.spec import Workload

from .schema import ObjectMeta, OwnerReference

_TEMPLATE_HASHES: Final = {"pod-template-hash": "Deployment", "rollouts-pod-template-hash": "Rollout"}
"""Label with the revision of a ReplicaSet -> what made the ReplicaSet."""
_REVISION_HASH: Final = "controller-revision-hash"
_CONFIG_NAMES: Final = ("openshift.io/deployment-config.name", "deploymentconfig", "deployment-config")
"""Labels or annotations with a DeploymentConfig's name."""
_DEPLOYER: Final = "openshift.io/deployer-pod-for.name"


def workload_of(metadata: ObjectMeta) -> Workload | None:
    """Return the workload that a Pod's metadata names, or None for a Pod on its own."""
    labels = {key: value for key, value in (metadata.labels or {}).items() if value}
    owner = _controller(metadata.owner_references or [])
    if owner is None or owner.kind == "Node" or _DEPLOYER in labels:
        return None
    if owner.kind == "ReplicaSet":
        for label, kind in _TEMPLATE_HASHES.items():
            name = owner.name.removesuffix("-" + labels.get(label, ""))
            if label in labels and name and name != owner.name:
                return Workload(kind=kind, name=name, revision=labels[label])
    if owner.kind == "ReplicationController":
        known = labels | {key: value for key, value in (metadata.annotations or {}).items() if value}
        name, _, number = owner.name.rpartition("-")
        if name in [known[key] for key in _CONFIG_NAMES if key in known]:
            return Workload(kind="DeploymentConfig", name=name, revision=number)
    return Workload(
        kind=owner.kind, name=owner.name, revision=labels.get(_REVISION_HASH, "").removeprefix(owner.name + "-")
    )


def _controller(owners: list[OwnerReference]) -> OwnerReference | None:
    """Return the owner that controls the Pod: there is at most one (metav1.GetControllerOf)."""
    named = [owner for owner in owners if owner.kind and owner.name]
    return next((owner for owner in named if owner.controller), named[0] if len(named) == 1 else None)
