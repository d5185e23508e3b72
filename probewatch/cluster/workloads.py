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

Which revision is newer no hash says. The controllers number them: a Deployment's annotates its ReplicaSets
(deployment.kubernetes.io/revision, pkg/controller/deployment/util SetNewReplicaSetAnnotations), ControllerRevisions have
it as a field. What is rolled back to gets the next number.

Limitations. A ReplicaSet that somebody named himself so that it ends like its Pods' pod-template-hash is taken for a
Deployment's. A CronJob is not told from a Job. The deployer Pod of a DeploymentConfig, and a static Pod's mirror, whose
owner is its Node, belong to no workload.
"""

from __future__ import annotations

from typing import Final

from probewatch.model.spec import Workload

from .schema import ObjectMeta, OwnerReference, Revisioned

_TEMPLATE_HASHES: Final = {"pod-template-hash": "Deployment", "rollouts-pod-template-hash": "Rollout"}
"""Label with the revision of a ReplicaSet -> what made the ReplicaSet."""
_REVISION_HASH: Final = "controller-revision-hash"
_CONFIG_NAMES: Final = ("openshift.io/deployment-config.name", "deploymentconfig", "deployment-config")
"""Labels or annotations with a DeploymentConfig's name."""
DIGITS: Final = 19
"""Of a revision's number; the API server has 63 bits for it."""
_NUMBERS: Final = ("deployment.kubernetes.io/revision", "rollout.argoproj.io/revision")
"""Annotations of a ReplicaSet with the number of its revision."""
_OWN_REVISIONS: Final = ("StatefulSet", "DaemonSet")
"""Kinds whose templates are kept in ControllerRevisions; others have ReplicaSets."""
REVISIONS: Final = ("ReplicaSet", "ControllerRevision")
"""Kinds that tell the number of a revision."""
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
            count = int(number) if number.isdecimal() and len(number) < DIGITS else None
            return Workload(kind="DeploymentConfig", name=name, revision=number, number=count)
    return Workload(
        kind=owner.kind, name=owner.name, revision=labels.get(_REVISION_HASH, "").removeprefix(owner.name + "-")
    )


def number_of(kind: str, made: Revisioned) -> int | None:
    """Return the number of the revision that a ReplicaSet or ControllerRevision is; None where it does not tell."""
    if kind == "ControllerRevision":
        return made.revision
    annotations = (made.metadata.annotations if made.metadata is not None else None) or {}
    text = next((value for key in _NUMBERS if (value := annotations.get(key))), "")
    return int(text) if text.isdecimal() and len(text) < DIGITS else None


def maker_of(workload: Workload) -> tuple[str, str]:
    """Return kind and name of what tells the number of a Pod's revision."""
    kind = "ControllerRevision" if workload.kind in _OWN_REVISIONS else "ReplicaSet"
    return kind, f"{workload.name}-{workload.revision}"


def _controller(owners: list[OwnerReference]) -> OwnerReference | None:
    """Return the owner that controls the Pod: there is at most one (metav1.GetControllerOf)."""
    named = [owner for owner in owners if owner.kind and owner.name]
    return next((owner for owner in named if owner.controller), named[0] if len(named) == 1 else None)
