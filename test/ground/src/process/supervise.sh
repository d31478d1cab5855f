# Starts one daemon, ends it when its owner goes away, and leaves nothing behind.
#
# Standard input is the lifeline: a pipe whose other end the owner holds. The kernel closes it however the
# owner ends, `kill -9` included. Standard output is a locked file, held open here and by nobody below, so
# that the lock tells that this script is still at work. Standard error is the daemon's log.
#
# usage: run|clean  <run folder>  <bridge, or ->  <subnet, or ->  <cgroup, or ->  <busybox, or ->  [command …]
verb=$1 run=$2 bridge=$3 subnet=$4 cgroup=$5 busybox=$6
shift 6

network() {
    if command -v ip >/dev/null 2>&1; then ip "$@"; else "$busybox" ip "$@"; fi
}

# Waits for a tenth of a second between tries: what a killed process held is given back by the kernel in its own time.
patiently() {
    tries=0
    until "$@" 2>/dev/null; do
        tries=$((tries + 1))
        [ "$tries" -lt 50 ] || return 1
        sleep 0.1
    done
}

without_cgroup() {
    for group in /sys/fs/cgroup/"$cgroup" /sys/fs/cgroup/*/"$cgroup"; do
        [ ! -d "$group" ] || find "$group" -depth -type d -exec rmdir {} + || return 1
    done
}

clean() {
    [ "$bridge" = - ] || [ ! -e "/sys/class/net/$bridge" ] || network link delete "$bridge"
    [ "$cgroup" = - ] || patiently without_cgroup
    patiently rm -rf -- "$run"
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

# Should this script be killed outright, the kernel kills the daemon with it.
setpriv --pdeathsig KILL -- "$@" 3<&- >&2 &
daemon=$!
trap 'kill -KILL "$daemon" 2>/dev/null' HUP INT TERM
{
    # Everything the daemon made is thrown away, so there is nothing it would have to put in order.
    read -r _ <&3
    # Unless this script was killed and the daemon with it: then the number may be another process's by now.
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
