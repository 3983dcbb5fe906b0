"""REMEMBERS. One file per noun; rows hold facts and judgements, never logic."""

from fleet.models.clusters import Cluster
from fleet.models.gpus import Gpu, MigInstance
from fleet.models.nodes import Node, NodeResource
from fleet.models.pods import Pod
from fleet.models.revisions import NodeRevision
from fleet.models.runs import CollectionRun, RunOutcome
from fleet.models.tokens import ApiToken
from fleet.models.users import Role, SavedView, SignInLink, User

__all__ = [
    "ApiToken",
    "Cluster",
    "CollectionRun",
    "Gpu",
    "MigInstance",
    "Node",
    "NodeResource",
    "NodeRevision",
    "Pod",
    "Role",
    "RunOutcome",
    "SavedView",
    "SignInLink",
    "User",
]
