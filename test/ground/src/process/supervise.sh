# Starts one daemon, stops it when its owner ends, and removes everything of it.
#
# Standard input is the lifeline: a pipe whose other end the owner holds. The kernel closes it however the owner ends,
# `kill -9` included. Standard output is a locked file that this script holds open and its children do not: while it is
# locked, this script is running. Standard error is the daemon's log.
#
# usage: run|clean  <run folder>  <bridge, or ->  <subnet, or ->  <cgroup, or ->  <busybox, or ->  [command …]
verb=$1 run=$2 bridge=$3 subnet=$4 cgroup=$5 busybox=$6
shift 6

network() {
    if command -v ip >/dev/null 2>&1; then ip "$@"; else "$busybox" ip "$@"; fi
}

# Retries every tenth of a second: the kernel releases the resources of a killed process with a delay.
retried() {
    tries=0
    until "$@" 2>/dev/null; do
        tries=$((tries + 1))
        [ "$tries" -lt 50 ] || return 1
        sleep 0.1
    done
}

remove_cgroup() {
    for group in /sys/fs/cgroup/"$cgroup" /sys/fs/cgroup/*/"$cgroup"; do
        [ ! -d "$group" ] || find "$group" -depth -type d -exec rmdir {} + || return 1
    done
}

clean() {
    [ "$bridge" = - ] || [ ! -e "/sys/class/net/$bridge" ] || network link delete "$bridge"
    [ "$cgroup" = - ] || retried remove_cgroup
    retried rm -rf -- "$run"
}

if [ "$verb" = clean ]; then
    clean
    exit
fi

exec 3<&0 </dev/null
if [ "$bridge" != - ]; then
    network link add "$bridge" type bridge && network addr add "$subnet" dev "$bridge" &&
        network link set "$bridge" up || { clean && rm -f -- "$run.lock"; exit 1; }
fi

# If this script is killed, the kernel kills the daemon too.
setpriv --pdeathsig KILL -- "$@" 3<&- >&2 &
daemon=$!
trap 'kill -KILL "$daemon" 2>/dev/null' HUP INT TERM
{
    # Everything that the daemon wrote is removed, so it needs no orderly end.
    read -r _ <&3
    # If this script was killed, so was the daemon, and its number may belong to another process by now.
    kill -0 $$ && kill -KILL "$daemon"
} >/dev/null 2>&1 &
watcher=$!

code=0
while kill -0 "$daemon" 2>/dev/null; do
    wait "$daemon"
    code=$?
done
kill "$watcher" 2>/dev/null
clean && rm -f -- "$run.lock"
exit "$code"
