# The first process of the engine's process and mount namespaces: when it ends, the kernel ends every process in them and
# drops every mount made in them.
#
# usage: <run folder>  <size of the RAM disk, or ->  <command …>
set -e
run=$1 size=$2
shift 2

mkdir -p "$run/data" "$run/private"
[ "$size" = - ] || mount -t tmpfs -o "size=$size,mode=711" tmpfs "$run/data"

# containerd and runc keep sockets and plugin folders at fixed paths below /run and /opt. They see the machine's files
# there; their own writes stay in the run folder.
mount -t tmpfs -o size=64m,mode=711 tmpfs "$run/private"
for folder in /run /opt; do
    [ -d "$folder" ] || continue
    mkdir -p "$run/private$folder/upper" "$run/private$folder/work"
    mount -t overlay -o "lowerdir=$folder,upperdir=$run/private$folder/upper,workdir=$run/private$folder/work" overlay "$folder"
done

# Not `exec`: as the first process, a shell reaps orphaned children; the daemons do not.
"$@" &
wait $!
