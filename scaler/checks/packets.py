"""Full-sized packets: whether what a pod's interface lets through arrives as it is."""

from __future__ import annotations

# How many times the kernel was told that something did not arrive: the column of ICMP's third type.
_TOLD = (
    "awk '/^IcmpMsg:/ { if (n++) { for (i = 2; i <= NF; i++) if (h[i] == \"InType3\") print $i } split($0, h) }' "
    "/proc/net/snmp"
)


def full_sized(address: str, what: str) -> str:
    """Return a line that sends one packet of the interface's own size to ``address``, after two small ones.

    The kernel forbids that it is cut on the way. Where a link is smaller, it is lost, also where the sender is told and
    learns; so only a pod that has sent nothing big yet finds out. One that is lost by chance is sent once more.
    """
    head = 48 if ":" in address else 28
    big = f"ping -c 1 -W 2 -s $((mtu - {head})) {address} >/dev/null 2>&1"
    told = f"$({_TOLD})"
    device = f"$(ip route get {address} | sed -n 's/.* dev \\([^ ]*\\).*/\\1/p')"
    return (
        # The first packet may wait for a neighbour's address, or for a route that is just being told.
        f"i=0; until ping -c 1 -W 1 -s 56 {address} >/dev/null 2>&1; do i=$((i + 1)); "
        f"[ $i -lt 8 ] || {{ echo 'no answer to ICMP from {what}: the size of packets cannot be tried'; exit 3; }}; "
        f"done; dev={device}; mtu=$(cat /sys/class/net/${{dev:=eth0}}/mtu); "
        f"a={told}; {big} && exit 0; {big}; s=$?; b={told}; "
        '[ $s = 0 ] && [ "$a" = "$b" ] && exit 0; '
        f'echo "a packet of $mtu bytes, the MTU of $dev, to {what} was lost; small ones come back"; exit 1'
    )
