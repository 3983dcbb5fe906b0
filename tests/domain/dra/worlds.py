"""Worlds of ResourceSlices, claims and rules drawn from a seed, and what they still give out, counted apart from the product.

Nothing here uses fleet.domain.dra: a world is the wire objects, and the count goes by plain numbers and the rules of KEP-4381,
4815, 5055 and 5075, one claim after the other, each given the first device of which the whole is still valid.
"""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

Raw = dict[str, Any]
DRIVER = "gpu.nvidia.com"
NODES = {"n0": {"zone": "east"}, "n1": {"zone": "east"}, "n2": {"zone": "west"}}
BLOCKS = ("NoSchedule", "NoExecute")


class World:
    """`slices`, `rules` and `held` are objects as the API server has them."""

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(seed)
        self.slices: list[Raw] = []
        self.rules: list[Raw] = []
        self.held: list[Raw] = []
        for name in NODES:
            self._local_pool(name)
        if self._chance.random() < 0.5:
            self._pool_of_several_nodes()
        for _ in range(self._chance.randint(0, 2)):
            self._rule()
        self._hold()

    def _local_pool(self, node: str) -> None:
        chance, kind = self._chance, self._chance.choice(("whole", "whole", "shared", "cut", "instances"))
        cards = range(chance.randint(1, 3))
        sets = [{"name": f"gpu-{card}", "counters": {"tiles": {"value": "4"}}} for card in cards] if kind == "cut" else []
        devices = [device for card in cards for device in getattr(self, f"_{kind}")(card)]
        for device in devices:
            self._taint(device)
        if sets and chance.random() < 0.15:
            sets.pop()  # a counter set that devices name is not there
        if chance.random() < 0.1:
            devices.append(dict(devices[0]))  # one name twice
        if chance.random() < 0.5:
            chance.shuffle(devices)
        self._publish(node, {"nodeName": node}, devices, sets)

    def _publish(self, pool: str, place: Raw, devices: list[Raw], sets: list[Raw]) -> None:
        chance, generation = self._chance, self._chance.randint(1, 3)
        half = chance.randint(1, len(devices))
        parts = [(devices[:half], []), (devices[half:], sets)] if sets or half < len(devices) else [(devices, [])]
        of = len(parts) + (chance.random() < 0.07)  # sometimes a slice is still to come
        for number, (listed, counted) in enumerate(parts):
            self._slice(pool, place, generation, of, number, listed, counted)
        if chance.random() < 0.2:
            self._slice(pool, place, generation - 1, 1, 9, [self._device("stale")], [])

    def _slice(self, pool: str, place: Raw, generation: int, of: int, number: int, listed: list[Raw], sets: list[Raw]) -> None:
        spec: Raw = {"driver": DRIVER, "pool": {"name": pool, "generation": generation, "resourceSliceCount": of}, **place}
        spec |= {"devices": listed} | ({"sharedCounters": sets} if sets else {})
        self.slices.append({"metadata": {"name": f"{pool}-{generation}-{number}"}, "spec": spec})

    def _device(self, name: str, type_: str = "gpu", **fields: Any) -> Raw:
        attributes = {"type": {"string": type_}, "uuid": {"string": f"GPU-{name}"}}
        return {"name": name, "attributes": attributes | fields.pop("attributes", {}), **fields}

    def _whole(self, card: int) -> list[Raw]:
        return [self._device(f"gpu-{card}")]

    def _shared(self, card: int) -> list[Raw]:
        chance = self._chance
        policy: Raw | None = chance.choice(
            (
                {"default": "2", "validRange": {"min": "1", "step": "1"}},
                {"default": "3", "validRange": {"min": "3", "max": "6", "step": "3"}},
                {"default": "2", "validValues": ["2", "4"]},
                {"default": "0"},
                None,
            )
        )
        memory = {"value": str(chance.randint(4, 12))} | ({"requestPolicy": policy} if policy else {})
        return [self._device(f"gpu-{card}", allowMultipleAllocations=chance.random() < 0.9, capacity={"memory": memory})]

    def _cut(self, card: int) -> list[Raw]:
        def part(name: str, tiles: int, type_: str, profile: str) -> Raw:
            attributes = {"parentUUID": {"string": f"GPU-{card}"}, "profile": {"string": profile}} if profile else {}
            uses = [{"counterSet": f"gpu-{card}", "counters": {"tiles": {"value": str(tiles)}}}]
            device = self._device(name, type_, attributes=attributes, consumesCounters=uses)
            if profile:
                del device["attributes"]["uuid"]
            return device

        parts = [part(f"gpu-{card}-mig-{size}g-{n}", size, "mig", f"{size}g.10gb") for size in (1, 2) for n in range(4 // size)]
        return parts if self._chance.random() < 0.5 else [part(f"gpu-{card}", 4, "gpu", ""), *parts]

    def _instances(self, card: int) -> list[Raw]:
        parent = {"parentUUID": {"string": f"GPU-{card}"}, "profile": {"string": "1g.10gb"}}
        return [self._device(f"gpu-{card}-mig-{n}", "mig", attributes=parent) for n in range(self._chance.randint(1, 3))]

    def _pool_of_several_nodes(self) -> None:
        """Devices of a fabric for all nodes, for those of a zone, or each for its own node with one counter for all."""
        chance = self._chance
        devices = [self._device(f"fabric-{number}") for number in range(chance.randint(1, 3))]
        place: Raw = {"allNodes": True}
        sets: list[Raw] = []
        match chance.randint(0, 2):
            case 0:
                expression = {"key": "zone", "operator": "In", "values": ["east"]}
                place = {"nodeSelector": {"nodeSelectorTerms": [{"matchExpressions": [expression]}]}}
            case 1:
                place = {"perDeviceNodeSelection": True}
                sets = [{"name": "switch", "counters": {"ports": {"value": "2"}}}]
                for device in devices:
                    device |= {"nodeName": chance.choice(("n0", "n1"))}
                    device |= {"consumesCounters": [{"counterSet": "switch", "counters": {"ports": {"value": "1"}}}]}
        for device in devices:
            self._taint(device)
        self._publish("fabric", place, devices, sets)

    def _taint(self, device: Raw) -> None:
        if self._chance.random() < 0.2:
            effect = self._chance.choice((*BLOCKS, "None"))
            device["taints"] = [{"key": "example.com/ill", "value": "", "effect": effect}]

    def _rule(self) -> None:
        chance = self._chance
        spec = chance.choice(self.slices)["spec"]
        selector: Raw = {"driver": DRIVER, "pool": spec["pool"]["name"]}
        if chance.random() < 0.7:
            selector["device"] = chance.choice(spec["devices"] or [{"name": "gpu-0"}])["name"]
        taint = {"key": "example.com/drain", "effect": chance.choice((*BLOCKS, "None"))}
        self.rules.append({"deviceSelector": selector, "taint": taint})

    def _hold(self) -> None:
        for pool, devices in self.pools().items():
            for device in devices:
                if self._chance.random() < 0.3 and device["name"] not in {held["device"] for held in self.held}:
                    held: Raw = {"request": "r", "driver": DRIVER, "pool": pool, "device": device["name"]}
                    if device.get("allowMultipleAllocations"):
                        held |= {"shareID": "s", "consumedCapacity": {"memory": "3"}}
                    elif self._chance.random() < 0.2:
                        held["adminAccess"] = True
                    self.held.append(held)

    # --- what is left, by plain numbers ---

    def pools(self, node: str = "") -> dict[str, list[Raw]]:
        """Devices by pool, of the newest generation, in the order of the slices; for a node, or all. Without incomplete pools."""
        newest: Counter[str] = Counter()
        for piece in self.slices:
            name = piece["spec"]["pool"]["name"]
            newest[name] = max(newest[name], piece["spec"]["pool"]["generation"])
        pools: dict[str, list[Raw]] = {}
        seen: Counter[str] = Counter()
        wanted: dict[str, int] = {}
        for piece in sorted(self.slices, key=lambda item: item["metadata"]["name"]):
            spec = piece["spec"]
            name = spec["pool"]["name"]
            if spec["pool"]["generation"] == newest[name]:
                seen[name] += 1
                wanted[name] = spec["pool"]["resourceSliceCount"]
                rows = pools.setdefault(name, [])
                rows += [device for device in spec["devices"] if not node or _is_for(spec, device, node)]
        return {name: devices for name, devices in sorted(pools.items()) if seen[name] == wanted[name]}

    def own_pools(self, node: str) -> list[str]:
        """Returns the pools whose devices name the node."""
        per_device = {piece["spec"]["pool"]["name"] for piece in self.slices if piece["spec"].get("perDeviceNodeSelection")}
        return [name for name in self.pools(node) if name == node or name in per_device]

    def _totals(self, pool: str) -> dict[tuple[str, str], int]:
        newest = max(piece["spec"]["pool"]["generation"] for piece in self.slices if piece["spec"]["pool"]["name"] == pool)
        sets = [
            entry
            for piece in self.slices
            if piece["spec"]["pool"]["name"] == pool and piece["spec"]["pool"]["generation"] == newest
            for entry in piece["spec"].get("sharedCounters") or ()
        ]
        return {(row["name"], name): int(amount["value"]) for row in sets for name, amount in row["counters"].items()}

    def is_blocked(self, pool: str, device: Raw) -> bool:
        taints = [taint["effect"] for taint in device.get("taints") or ()]
        for rule in self.rules:
            selector = rule["deviceSelector"]
            if selector["pool"] == pool and selector.get("device", device["name"]) == device["name"]:
                taints.append(rule["taint"]["effect"])
        return any(effect in BLOCKS for effect in taints)

    def count(self, node: str, *, pool: str = "", type_: str = "", profile: str = "", most: int = 40) -> int:
        """Returns how many claims for one such device the node still takes, one after the other, up to `most`."""
        held = Counter((entry["pool"], entry["device"]) for entry in self.held if not entry.get("adminAccess"))
        drawn = Counter({(entry["pool"], entry["device"]): 3 for entry in self.held if entry.get("shareID")})
        number = 0
        while number < most and self._grant(node, (pool, type_, profile), held, drawn):
            number += 1
        return number

    def available(self, node: str, pool: str) -> int:
        """Returns how many devices of a pool a claim could have now, each by itself."""
        return sum(self.count(node, pool=pool, type_=f"={device['name']}", most=1) for device in self.pools(node).get(pool, ()))

    def unavailable(self, node: str, pool: str) -> int:
        """Returns how many devices of a pool nothing holds and no claim can have (KEP-5677)."""
        held = {row["device"] for row in self.held if row["pool"] == pool and not row.get("adminAccess")}
        rows = [device for device in self.pools(node).get(pool, ()) if device["name"] not in held]
        return sum(not self.count(node, pool=pool, type_=f"={device['name']}", most=1) for device in rows)

    def _grant(
        self, node: str, wish: tuple[str, str, str], held: Counter[tuple[str, str]], drawn: Counter[tuple[str, str]]
    ) -> bool:
        for name, devices in self.pools(node).items():
            if (wish[0] and wish[0] != name) or self._is_invalid(name, devices):
                continue
            for device in devices:
                if not _is_wished(device, wish) or self.is_blocked(name, device):
                    continue
                key, share = (name, device["name"]), _share(device)
                if device.get("allowMultipleAllocations"):
                    if drawn[key] + share > _memory(device):
                        continue
                    if not held[key] and not self._fits(name, device, held):
                        continue
                elif held[key] or not self._fits(name, device, held):
                    continue
                held[key] += 1
                drawn[key] += share
                return True
        return False

    def _is_invalid(self, pool: str, devices: list[Raw]) -> bool:
        names = [device["name"] for device in devices]
        totals = {name for name, _ in self._totals(pool)}
        used = {use["counterSet"] for device in self.pools()[pool] for use in device.get("consumesCounters") or ()}
        return len(set(names)) < len(names) or bool(used - totals)

    def _fits(self, pool: str, device: Raw, held: Counter[tuple[str, str]]) -> bool:
        if not device.get("consumesCounters"):
            return True
        left = Counter(self._totals(pool))
        for row in [*(row for row in self.pools()[pool] if held[pool, row["name"]]), device]:
            for use in row.get("consumesCounters") or ():
                left.subtract({(use["counterSet"], name): int(amount["value"]) for name, amount in use["counters"].items()})
        return min(left.values()) >= 0


def _is_for(spec: Raw, device: Raw, node: str) -> bool:
    if spec.get("perDeviceNodeSelection"):
        return bool(device["nodeName"] == node)
    of_zone = "nodeSelector" in spec and NODES[node]["zone"] == "east"
    return bool(spec.get("allNodes")) or spec.get("nodeName") == node or of_zone


def _is_wished(device: Raw, wish: tuple[str, str, str]) -> bool:
    _, type_, profile = wish
    if type_.startswith("="):
        return bool(device["name"] == type_[1:])
    attributes = device["attributes"]
    return type_ in ("", attributes["type"]["string"]) and profile in ("", attributes.get("profile", {}).get("string", ""))


def _memory(device: Raw) -> int:
    return int(device["capacity"]["memory"]["value"])


def _share(device: Raw) -> int:
    memory = (device.get("capacity") or {}).get("memory")
    return 0 if memory is None else int((memory.get("requestPolicy") or {}).get("default", memory["value"]))
