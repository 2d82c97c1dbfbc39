"""A container's requests and limits are what the files of its control group say, of version 1 or 2."""

from __future__ import annotations

from scaler.checks.join import JoinCheck
from scaler.checks.parts.main import CPU_LIMIT_MILLIS, MEMORY_LIMIT_MEBIBYTES

_BYTES = MEMORY_LIMIT_MEBIBYTES << 20
_QUOTA = CPU_LIMIT_MILLIS * 100
# A request of 50 thousandths of a CPU is 51 shares; as a weight of version 2 runtimes make it 2, or 11 since 2025.
_LINE = f"""cd /sys/fs/cgroup || exit 1
if [ -e memory.max ]; then
  m=$(cat memory.max); c=$(cat cpu.max); w=$(cat cpu.weight)
  [ "$w" -lt 39 ] && w=51
else
  cd cpu 2>/dev/null || cd cpu,cpuacct
  m=$(cat ../memory/memory.limit_in_bytes); c="$(cat cpu.cfs_quota_us) $(cat cpu.cfs_period_us)"; w=$(cat cpu.shares)
fi
[ "$m" = {_BYTES} ] || {{ echo "the memory limit is $m bytes, not {_BYTES}"; exit 1; }}
[ "$c" = "{_QUOTA} 100000" ] || {{ echo "the CPU limit is '$c', not '{_QUOTA} 100000'"; exit 1; }}
[ "$w" = 51 ] || {{ echo "the CPU request is $w shares, not 51"; exit 1; }}"""


CHECK = JoinCheck("cgroup-limits", "node", lambda _: _LINE, group="cgroup")
