"""Hardware of the simulated machines: GPU models with their MIG profiles, and machine types.

Memory is what the driver reports, in MiB. A MIG profile's memory lies below its nominal name, as on real cards.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class MigProfile:
    """One kind of MIG instance on one GPU model. `most` is the number that fits on one GPU."""

    name: str
    most: int
    memory_mib: int
    multiprocessors: int
    slices: int
    copy: int = 1
    decoder: int = 0
    jpeg: int = 0
    gi_profile: int = 19


@dataclass(frozen=True, slots=True)
class GpuModel:
    """One GPU product. `name` is the driver's name for it; the product label is made of it."""

    name: str
    memory_mib: int
    family: str
    architecture: str
    compute: tuple[int, int]
    tdp_w: int
    clock_mhz: int
    memory_clock_mhz: int
    high_bandwidth_memory: bool = True
    pci_vendor: str = "10de"
    profiles: tuple[MigProfile, ...] = ()

    @property
    def product(self) -> str:
        """The model as GPU Feature Discovery writes it into a label."""
        kept = "".join(char for char in self.name if char.isalnum() or char in "-_. ")
        return "-".join(kept.split())

    def profile(self, name: str) -> MigProfile:
        return next(profile for profile in self.profiles if profile.name == name)

    @property
    def balanced(self) -> tuple[str, ...]:
        """The profiles of one GPU under mig-parted's `all-balanced`: two small, one double, one triple."""
        small, double, triple = self.profiles[0].name, self.profiles[1].name, self.profiles[2].name
        return (small, small, double, triple)


def _profiles(memory: tuple[int, int, int, int], names: tuple[str, str, str, str], sm: int) -> tuple[MigProfile, ...]:
    """The usual seven-slice geometry: 1g ×7, 2g ×3, 3g ×2, 7g ×1; `sm` multiprocessors to a slice."""
    return (
        MigProfile(names[0], 7, memory[0], sm, 1, 1, 0, 0, 19),
        MigProfile(names[1], 3, memory[1], 2 * sm, 2, 2, 1, 0, 14),
        MigProfile(names[2], 2, memory[2], 3 * sm, 3, 3, 2, 0, 9),
        MigProfile(names[3], 1, memory[3], 7 * sm, 7, 7, 5, 1, 0),
    )


_AMPERE_40 = _profiles((4864, 9856, 19968, 40192), ("1g.5gb", "2g.10gb", "3g.20gb", "7g.40gb"), 14)
_AMPERE_80 = _profiles((9728, 19968, 40192, 81050), ("1g.10gb", "2g.20gb", "3g.40gb", "7g.80gb"), 14)
_HOPPER_80 = _profiles((9984, 20096, 40448, 81007), ("1g.10gb", "2g.20gb", "3g.40gb", "7g.80gb"), 16)
_HOPPER_141 = _profiles((16384, 33280, 71424, 143167), ("1g.18gb", "2g.35gb", "3g.71gb", "7g.141gb"), 16)
_BLACKWELL_180 = _profiles((21760, 44416, 90880, 182784), ("1g.23gb", "2g.45gb", "3g.90gb", "7g.180gb"), 18)
_BLACKWELL_186 = _profiles((22528, 46080, 93440, 188928), ("1g.23gb", "2g.47gb", "3g.93gb", "7g.186gb"), 18)

T4 = GpuModel("Tesla T4", 15360, "turing", "Turing", (7, 5), 70, 1590, 5000, False)
A10G = GpuModel("NVIDIA A10G", 23028, "ampere", "Ampere", (8, 6), 300, 1710, 6250, False)
L4 = GpuModel("NVIDIA L4", 23034, "ada-lovelace", "Ada Lovelace", (8, 9), 72, 2040, 6250, False)
L40S = GpuModel("NVIDIA L40S", 46068, "ada-lovelace", "Ada Lovelace", (8, 9), 350, 2520, 9000, False)
A30 = GpuModel("NVIDIA A30", 24576, "ampere", "Ampere", (8, 0), 165, 1440, 1215)
A100_40 = GpuModel("NVIDIA A100-SXM4-40GB", 40960, "ampere", "Ampere", (8, 0), 400, 1410, 1215, profiles=_AMPERE_40)
A100_80 = GpuModel("NVIDIA A100-SXM4-80GB", 81920, "ampere", "Ampere", (8, 0), 400, 1410, 1593, profiles=_AMPERE_80)
H100 = GpuModel("NVIDIA H100 80GB HBM3", 81559, "hopper", "Hopper", (9, 0), 700, 1980, 2619, profiles=_HOPPER_80)
H200 = GpuModel("NVIDIA H200", 143771, "hopper", "Hopper", (9, 0), 700, 1980, 3201, profiles=_HOPPER_141)
B200 = GpuModel("NVIDIA B200", 183359, "blackwell", "Blackwell", (10, 0), 1000, 1965, 3996, profiles=_BLACKWELL_180)
GB200 = GpuModel("NVIDIA GB200", 189471, "blackwell", "Blackwell", (10, 0), 1200, 2062, 3996, profiles=_BLACKWELL_186)
L40S_VGPU = GpuModel("NVIDIA L40S-24Q", 24576, "ada-lovelace", "Ada Lovelace", (8, 9), 350, 2520, 9000, False)
MI300X = GpuModel("AMD Instinct MI300X VF", 196592, "AI", "CDNA3", (9, 4), 750, 2100, 2600, pci_vendor="1002")
FLEX_170 = GpuModel("Intel Data Center GPU Flex 170", 16384, "Flex", "Xe-HPG", (12, 0), 150, 2050, 9000, False, pci_vendor="8086")
GAUDI2 = GpuModel("HL-225", 98304, "gaudi", "Gaudi2", (2, 0), 600, 1650, 2400, pci_vendor="1da3")


@dataclass(frozen=True, slots=True)
class Machine:
    """One machine type. `gpus` lists one model per slot on the board; empty for a CPU node."""

    type: str
    name: str
    gpus: tuple[GpuModel, ...]
    cpus: int
    memory_kib: int
    cpu: str = "sapphire-rapids"
    hugepages: str = "0"
    extra: dict[str, str] = field(default_factory=dict)
    accelerator: str = ""
    """The cloud's name of the GPU: `cloud.google.com/gke-accelerator`, or Karpenter's instance-gpu-name."""

    @property
    def arch(self) -> str:
        return "arm64" if self.cpu == "grace" else "amd64"


def _eight(model: GpuModel) -> tuple[GpuModel, ...]:
    return (model,) * 8


_GIB = 1024 * 1024
_HUGE = "10562Mi"
_EFA = {"vpc.amazonaws.com/efa": "32"}

P5 = Machine("p5.48xlarge", "p5.48xlarge", _eight(H100), 192, 2000 * _GIB, "milan", _HUGE, _EFA, "h100")
P5EN = Machine("p5en.48xlarge", "p5en.48xlarge", _eight(H200), 192, 2000 * _GIB, hugepages=_HUGE, extra=_EFA)
P6E = Machine("p6e-gb200.36xlarge", "GB200-NVL", (GB200,) * 4, 144, 960 * _GIB, "grace", _HUGE)
G6E = Machine("g6e.12xlarge", "g6e.12xlarge", (L40S,) * 4, 48, 372 * _GIB, "milan")
G5 = Machine("g5.12xlarge", "g5.12xlarge", (A10G,) * 4, 48, 187 * _GIB, "milan")
G4DN = Machine("g4dn.12xlarge", "g4dn.12xlarge", (T4,) * 4, 48, 187 * _GIB, "cascade-lake")
G6 = Machine("g6.12xlarge", "g6.12xlarge", (L4,) * 4, 48, 187 * _GIB, "milan", accelerator="l4")
M6I = Machine("m6i.4xlarge", "m6i.4xlarge", (), 16, 62 * _GIB, "cascade-lake")

A2_ULTRA = Machine("a2-ultragpu-8g", "Google-Compute-Engine", _eight(A100_80), 96, 1328 * _GIB, accelerator="nvidia-a100-80gb")
A2_HIGH = Machine("a2-highgpu-8g", "Google-Compute-Engine", _eight(A100_40), 96, 669 * _GIB, accelerator="nvidia-tesla-a100")
A3_HIGH = Machine("a3-highgpu-8g", "Google-Compute-Engine", _eight(H100), 208, 1836 * _GIB, accelerator="nvidia-h100-80gb")
G2 = Machine("g2-standard-48", "Google-Compute-Engine", (L4,) * 4, 48, 189 * _GIB, accelerator="nvidia-l4")
N1_T4 = Machine("n1-standard-16", "Google-Compute-Engine", (T4,) * 2, 16, 59 * _GIB, accelerator="nvidia-tesla-t4")
E2 = Machine("e2-standard-8", "Google-Compute-Engine", (), 8, 31 * _GIB)

XD670 = Machine(
    "bm.h100.8", "ProLiant-XD670", _eight(H100), 224, 2015 * _GIB, hugepages=_HUGE, extra={"rdma/hca_shared_devices_a": "1k"}
)
DGX_B200 = Machine("bm.b200.8", "DGX-B200", _eight(B200), 224, 2015 * _GIB, hugepages=_HUGE)
DGX_A100 = Machine("bm.a100.8", "DGX-A100-920-23687-2530-000", _eight(A100_80), 256, 2015 * _GIB, "milan", _HUGE)
R760XA = Machine("bm.l40s.4", "PowerEdge-R760xa", (L40S,) * 4, 128, 1007 * _GIB)
R760XA_MIXED = Machine("bm.mixed.4", "PowerEdge-R760xa", (L40S, L40S, A30, A30), 128, 503 * _GIB)
VM_VGPU = Machine("vm.l40s-24q", "VMware7-1", (L40S_VGPU,), 16, 125 * _GIB)
XE9680_MI300X = Machine("bm.mi300x.8", "PowerEdge-XE9680", _eight(MI300X), 224, 2015 * _GIB)
R760_FLEX = Machine("bm.flex170.2", "PowerEdge-R760", (FLEX_170,) * 2, 64, 251 * _GIB)
XE9680_GAUDI2 = Machine("bm.gaudi2.8", "XH22010", _eight(GAUDI2), 160, 1007 * _GIB)
R660 = Machine("bm.cpu", "PowerEdge-R660", (), 64, 251 * _GIB)

CPU_FLAGS = {
    "cascade-lake": (
        "ADX AESNI AVX AVX2 AVX512BW AVX512CD AVX512DQ AVX512F AVX512VL AVX512VNNI CMPXCHG8 FMA3 FXSR FXSROPT "
        "HYPERVISOR LAHF MOVBE MPX OSXSAVE SYSCALL SYSEE X87 XGETBV1 XSAVE XSAVEC XSAVEOPT XSAVES"
    ),
    "sapphire-rapids": (
        "ADX AESNI AMXBF16 AMXINT8 AMXTILE AVX AVX2 AVX512BF16 AVX512BITALG AVX512BW AVX512CD AVX512DQ AVX512F "
        "AVX512FP16 AVX512IFMA AVX512VBMI AVX512VBMI2 AVX512VL AVX512VNNI AVX512VPOPCNTDQ AVXVNNI CLDEMOTE CMPXCHG8 "
        "FLUSH_L1D FMA3 FSRM FXSR FXSROPT GFNI HYPERVISOR IA32_ARCH_CAP IBPB IBRS LAHF MD_CLEAR MOVBE MOVDIR64B "
        "MOVDIRI OSXSAVE SERIALIZE SPEC_CTRL_SSBD STIBP SYSCALL SYSEE TSXLDTRK VAES VPCLMULQDQ WAITPKG WBNOINVD X87 "
        "XGETBV1 XSAVE XSAVEC XSAVEOPT XSAVES"
    ),
    "milan": (
        "ADX AESNI AVX AVX2 CLZERO CMPXCHG8 CPBOOST EFER_LMSLE_UNS FMA3 FP256 FSRM FXSR FXSROPT HYPERVISOR IBPB IBRS "
        "IBRS_PREFERRED IBRS_PROVIDES_SMP IBS INVLPGB LAHF LBRVIRT MCAOVERFLOW MCOMMIT MOVBE MOVU MSRIRC NRIPS OSXSAVE "
        "RDPRU SCE SPEC_CTRL_SSBD SSE4A STIBP SUCCOR SVM SVML SYSCALL SYSEE TOPEXT VAES VPCLMULQDQ VTE WBNOINVD X87 "
        "XGETBV1 XSAVE XSAVEC XSAVEOPT XSAVES"
    ),
    "grace": (
        "AESNI ASIMD ASIMDDP ASIMDHP ASIMDRDM ATOMICS CPUID CRC32 DCPOP EVTSTRM FCMA FP FPHP JSCVT LRCPC PMULL SHA1 "
        "SHA2 SHA3 SHA512 SM3 SM4 SVE"
    ),
}
"""The flags Node Feature Discovery finds, by processor, in one text each."""

CPU_IDENTITY = {
    "cascade-lake": ("Intel", "6", "85"),
    "sapphire-rapids": ("Intel", "6", "143"),
    "milan": ("AMD", "25", "1"),
    "grace": ("NVIDIA", "0", "0"),
}
"""Vendor, family and model of each processor, as in the labels cpu-model.*."""
